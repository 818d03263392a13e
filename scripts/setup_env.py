"""Makes the virtual environment that `make` targets run in, exactly as a requirements file says.

    python3 scripts/setup_env.py light      .venv, requirements.txt
    python3 scripts/setup_env.py full       .venv-full, requirements-full.txt
    python3 scripts/setup_env.py classic    .venv-classic, requirements-classic.txt

Needs Python's venv module; the last two also need Linux, Python's C headers and gcc/g++. Whatever
it makes is inside that folder, except for built wheels and downloads, kept in
${XDG_CACHE_HOME:-~/.cache} for the next clone. An environment that is ready and of these very pins
is left alone; any other is made anew, so after a kill just run it again.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of each stack: folder, pins, Python, megabytes of its wheels on Linux (most of it torch's CUDA).
STACKS = {
    'light': ('.venv', 'requirements.txt', '3.11', 3300),
    'full': ('.venv-full', 'requirements-full.txt', '3.11', 3030),
    'classic': ('.venv-classic', 'requirements-classic.txt', '3.10', 2990),
}
# The versions of what a file names without one.
CONSTRAINTS = ROOT / 'requirements-light-nodeps.txt'
CACHE = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'cmpose_mm'

# Compiled here against the installed torch and numpy: mmcv is published as source, and xtcocotools'
# wheel is for numpy 1. The wheels of both know nothing of the torch and numpy they were built with.
COMPILED = ('mmcv', 'onedl-mmcv', 'xtcocotools')
# Needed only where mmcv's ops are built for CUDA.
CUDA_COMPILER = ('nvidia-cuda-nvcc', 'nvidia-nvvm', 'nvidia-cuda-crt', 'nvidia-cuda-cccl')

# Imported once, so that the first test or training does not wait for Python to compile them.
IMPORTS = (
    'cmpose_mm, mmpose.apis, mim, onnx, onnxruntime, av, pytest, hypothesis, tensorboard, '
    'torch._dynamo, torch.onnx, torch.distributed.run'
)

START = time.monotonic()


def elapsed(since: float = START) -> str:
    minutes, seconds = divmod(int(time.monotonic() - since), 60)
    return f'{minutes} min {seconds:02d} s' if minutes else f'{seconds} s'


def say(message: str) -> None:
    print(f'[set-up, {elapsed()}] {message}', flush=True)


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Runs a command with its output shown; ends the set-up with one sentence if it fails."""
    status = subprocess.run([str(part) for part in command], env=env).returncode
    if status:
        line = ' '.join(str(part) for part in command)
        raise SystemExit(f'Set-up failed: `{line}` ended with status {status}, see above.')


def pins(name: str) -> list[str]:
    """The lines of a requirements file that name a package, with those of the files it includes."""
    lines = []
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith('-r '):
            lines += pins(line[3:])
        elif line and not line.startswith(('#', '-')):
            lines.append(line)
    return lines


def find_python(version: str, headers: bool) -> list[str]:
    """uv's options for the interpreter: one on PATH or of pyenv, else uv's own."""
    pyenv = os.environ.get('PYENV_ROOT') or str(Path.home() / '.pyenv')
    candidates = [sys.executable, f'python{version}', 'python3']
    candidates += sorted(glob.glob(f'{pyenv}/versions/{version}.*/bin/python'), reverse=True)
    code = (
        'import os, sys, sysconfig\n'
        f"if not {headers} or os.path.exists(sysconfig.get_path('include') + '/Python.h'):\n"
        "    print('%d.%d' % sys.version_info[:2], sys.executable)"
    )
    for candidate in candidates:
        with contextlib.suppress(OSError):  # no such program
            answer = subprocess.run([candidate, '-c', code], capture_output=True, text=True)
            if answer.stdout.startswith(version + ' '):
                return ['--python', answer.stdout.split(' ', 1)[1].strip()]
    say(f'no Python {version}{" with its C headers" if headers else ""} here: uv fetches one')
    return ['--managed-python', '--python', version]


def install_uv(pin: str) -> Path:
    """Puts uv in the cache folder, if it is not there; returns its virtual environment.

    pip would unpack torch's five gigabytes anew for each clone; uv links them from its cache.
    """
    folder = CACHE / pin.replace('==', '-')
    if (folder / 'bin' / 'uv').exists() and (folder / 'bin' / 'python').exists():
        return folder
    say(f'installing {pin}')
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        made = Path(scratch) / 'made'
        run(sys.executable, '-m', 'venv', made)
        run(made / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', pin)
        with contextlib.suppress(OSError):  # another set-up was faster
            made.rename(folder)
    return folder


def uv_settings(python: Path) -> dict[str, str]:
    """The environment for uv: the user's, plus pip's configuration, which uv does not read."""
    env = dict(os.environ)
    listing = subprocess.run(
        [str(python), '-m', 'pip', 'config', 'list'], stdout=subprocess.PIPE, text=True
    ).stdout
    configured = {}
    for line in listing.splitlines():
        key, _, value = line.partition('=')
        configured[key.split('.')[-1]] = ast.literal_eval(value).split()
    for key, name, separator in (
        ('index-url', 'UV_DEFAULT_INDEX', ' '),
        ('extra-index-url', 'UV_INDEX', ' '),
        ('find-links', 'UV_FIND_LINKS', ','),
        ('trusted-host', 'UV_INSECURE_HOST', ' '),
        ('cert', 'SSL_CERT_FILE', ' '),
    ):
        if key in configured:
            env.setdefault(name, separator.join(configured[key]))
    # As pip: a version may come from any index, not only from the first that has the name.
    env.setdefault('UV_INDEX_STRATEGY', 'unsafe-best-match')
    return env


def torch_facts(python: Path) -> dict:
    """What decides which compiled wheels fit: versions, and the CUDA devices torch can use."""
    code = """
import json, numpy, torch
devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
arches = sorted({'%d.%d' % torch.cuda.get_device_capability(device) for device in devices})
numpy_major = numpy.__version__.split('.')[0]
print(json.dumps(dict(torch=torch.__version__, numpy=numpy_major, arches=arches)))
"""
    answer = subprocess.run([str(python), '-c', code], stdout=subprocess.PIPE, text=True)
    if answer.returncode:
        raise SystemExit('Set-up failed: torch cannot be imported, see above.')
    return json.loads(answer.stdout)


def compiled_wheel(requirement: str, python: Path, env: dict[str, str], key: str) -> Path:
    """The wheel of a package that is compiled here: from the cache folder, or built into it."""
    name, version = requirement.split('==')
    wheels = CACHE / 'wheels' / key
    pattern = f'{name.replace("-", "_")}-{version}-*.whl'
    wheels.mkdir(parents=True, exist_ok=True)
    if not list(wheels.glob(pattern)):
        import fcntl  # where wheels are compiled, that is on Linux

        with open(wheels / f'{name}.lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f'waiting for another set-up, which compiles {requirement}')
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not list(wheels.glob(pattern)):
                build_wheel(requirement, python, env, key, wheels)
    return next(wheels.glob(pattern))


def build_wheel(
    requirement: str, python: Path, env: dict[str, str], key: str, wheels: Path
) -> None:
    """Builds a wheel from its source archive, with progress."""
    name = requirement.split('==')[0]
    builds = CACHE / 'build' / f'{key}_{name}'
    shutil.rmtree(builds, ignore_errors=True)  # of killed set-ups
    builds.mkdir(parents=True)
    # Never a known name: the compiler processes of a killed set-up may live on for some seconds.
    build = Path(tempfile.mkdtemp(dir=builds))
    pip = [str(python), '-m', 'pip', '--no-cache-dir']
    options = ['--no-deps', '--no-build-isolation']
    say(f'fetching the source of {requirement}')
    run(*pip, 'download', '--quiet', *options, '--no-binary', name, '-d', build, requirement)
    log = build / 'log.txt'
    say(f'compiling {requirement} (log: {log})')
    if name.endswith('mmcv'):
        say('this is the longest part: 5 to 9 minutes on two cores, once per machine')
    with open(log, 'w') as output:
        process = subprocess.Popen(
            [*pip, 'wheel', '--verbose', *options, '-w', str(build), next(build.glob('*.tar.gz'))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace', env=env,
        )  # fmt: skip
        show_progress(process.stdout, output, name)
        status = process.wait()
    if status < 0:
        raise SystemExit(
            f'Set-up stopped: compiling {requirement} was ended by signal {-status}. Run it again.'
        )
    if status:
        tail = ''.join(log.read_text(errors='replace').splitlines(keepends=True)[-40:])
        raise SystemExit(f'{tail}\nSet-up failed: {requirement} does not compile, see {log}.')
    wheel = next(build.glob('*.whl'))
    os.replace(wheel, wheels / wheel.name)  # one file system, so a wheel is there whole or not
    shutil.rmtree(builds)


def show_progress(lines, log, name: str) -> None:
    """Copies a build's output to its log and tells how many of ninja's objects are compiled."""
    start = time.monotonic()
    shown = 0.0
    for line in lines:
        log.write(line)
        log.flush()
        count = re.search(r'\[(\d+)/(\d+)\]', line)
        if not count:
            continue
        done, total = map(int, count.groups())
        now = time.monotonic()
        if now - shown < (0.5 if sys.stdout.isatty() else 20) and done < total:
            continue
        shown = now
        text = f'{name}: {done} of {total} files compiled in {elapsed(start)}'
        left = (now - start) / done * (total - done) / 60
        if done >= 5 and left >= 1:
            text += f', about {left:.0f} min to go'
        if sys.stdout.isatty():
            print(f'\r  {text:<78}', end='\n' if done == total else '', flush=True)
        else:
            print(f'  {text}', flush=True)


def build_settings(env: dict[str, str], arches: list[str], venv: Path) -> dict[str, str]:
    """The environment for compiling: as many jobs as cores, no debug symbols, CUDA if asked for."""
    env = dict(env)
    env['PATH'] = f'{venv / "bin"}{os.pathsep}{env["PATH"]}'  # ninja
    env.setdefault('MAX_JOBS', str(len(os.sched_getaffinity(0))))
    # Debug symbols take more than half of the compile time. Not CFLAGS: it would replace -O3.
    env['CPPFLAGS'] = f'{env.get("CPPFLAGS", "")} -g0'.strip()
    if arches:
        env['FORCE_CUDA'] = '1'
        env.setdefault('TORCH_CUDA_ARCH_LIST', ';'.join(arches))
        env['CUDA_HOME'] = str(link_cuda_home(venv))
    else:
        env['CUDA_VISIBLE_DEVICES'] = ''  # mmcv's build looks by itself
    return env


def link_cuda_home(venv: Path) -> Path:
    """A CUDA toolkit as torch's build wants it, made of links to the nvidia wheels' files.

    A toolkit of the machine is not used: it would have to be of torch's CUDA version.
    """
    wheels = next(venv.glob('lib/python*/site-packages/nvidia/cu[0-9]*'))
    home = venv / 'cuda'
    (home / 'lib64').mkdir(parents=True)
    for name in ('bin', 'include', 'nvvm'):
        (home / name).symlink_to(wheels / name)
    for library in (wheels / 'lib').glob('*.so.*'):  # the linker looks for names without version
        link = home / 'lib64' / (library.name.split('.so')[0] + '.so')
        if not link.exists():
            link.symlink_to(library)
    return home


def make_environment(stack: str) -> None:
    folder, requirements, version, megabytes = STACKS[stack]
    venv = ROOT / folder
    lines = {re.split('[= ]', line)[0]: line for line in pins(requirements)}
    compiled = {name: lines[name] for name in COMPILED if name in lines}
    missing = [tool for tool in ('gcc', 'g++') if not shutil.which(tool)]
    if compiled and missing:
        raise SystemExit(
            f'Set-up of the {stack} stack needs a C++ compiler: {" and ".join(missing)} not found. '
            'The light stack (make test) needs none.'
        )
    uv_home = install_uv(lines['uv'])
    env = uv_settings(uv_home / 'bin' / 'python')
    uv = uv_home / 'bin' / 'uv'
    say(f'making {folder} for Python {version}')
    if venv.exists():  # half made, moved, or of other pins
        shutil.rmtree(venv)
    run(uv, 'venv', '--quiet', *find_python(version, headers=bool(compiled)), venv, env=env)
    python = venv / 'bin' / 'python'
    install = [uv, 'pip', 'install', '--python', python, '--no-deps', '--constraints', CONSTRAINTS]

    left = (*COMPILED, *CUDA_COMPILER) if compiled else ()
    chosen = [line for line in pins(requirements) if re.split('[= ]', line)[0] not in left]
    say(f'installing packages; with an empty cache this downloads {megabytes} MB')
    run(*install, *chosen, env=env)
    if compiled:
        install_compiled(compiled, lines, venv, version, install, env)
    say('installing cmpose_mm, editable')
    run(*install, '--quiet', '--no-build-isolation', '--editable', ROOT, env=env)
    say('importing everything once, which compiles Python files')
    env.pop('PYTHONDONTWRITEBYTECODE', None)
    run(python, '-W', 'ignore', '-c', f'import {IMPORTS}', env=env)


def install_compiled(
    compiled: dict[str, str],
    lines: dict[str, str],
    venv: Path,
    version: str,
    install: list,
    env: dict[str, str],
) -> None:
    """Installs the wheels that are built here, for the installed torch, numpy and device."""
    python = venv / 'bin' / 'python'
    facts = torch_facts(python)
    # On the classic stack the ops are for the CPU only: there are no wheels of nvcc for its CUDA.
    arches = facts['arches'] if 'nvidia-cuda-nvcc' in lines else []
    if arches:
        say(f'torch sees CUDA devices ({", ".join(arches)}): installing the compiler for them')
        run(*install, *(lines[name] for name in CUDA_COMPILER), env=env)
    device = 'cuda' + '-'.join(arches) if arches else 'cpu'
    libc = ''.join(platform.libc_ver())
    key = '_'.join(
        [f'torch{facts["torch"]}', f'numpy{facts["numpy"]}', f'python{version}', device]
        + [libc, platform.machine()]
    )
    settings = build_settings(env, arches, venv)
    for requirement in compiled.values():
        wheel = compiled_wheel(requirement, python, settings, key)
        say(f'installing {wheel.name}, kept in {wheel.parent}')
        run(*install, '--quiet', wheel, env=env)
    run(python, '-W', 'ignore', '-c', 'import mmcv.ops, mmdet, xtcocotools.coco')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('stack', choices=list(STACKS))
    stack = parser.parse_args().stack

    venv = ROOT / STACKS[stack][0]
    stamp = venv / 'ready'
    state = hashlib.sha256(str(venv).encode())  # a virtual environment cannot be moved
    sources = [Path(__file__), ROOT / 'setup.py', CONSTRAINTS]
    for content in [*pins(STACKS[stack][1]), *(path.read_text() for path in sources)]:
        state.update(content.encode())
    if stamp.is_file() and stamp.read_text() == state.hexdigest():
        return
    make_environment(stack)
    stamp.write_text(state.hexdigest())
    say(f'{venv.name} is ready')


if __name__ == '__main__':
    main()
