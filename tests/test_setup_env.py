"""The set-up's parts: which pins hold, and that a compiled wheel is built once, whole or not."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SETUP = """
from setuptools import setup
{line}
setup(name='toy', version='1.0', py_modules=[])
"""


@pytest.fixture
def setup_env(tmp_path, monkeypatch):
    """The script as a module, with a cache folder of its own."""
    spec = importlib.util.spec_from_file_location('setup_env', ROOT / 'scripts' / 'setup_env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'CACHE', tmp_path / 'cache')
    return module


@pytest.fixture
def toy_source(tmp_path, monkeypatch):
    """Offers a package 'toy', as source only, to pip; takes a line for its setup.py."""
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path / 'index'))

    def offer(line: str) -> Path:
        (tmp_path / 'index').mkdir(exist_ok=True)
        archive = tmp_path / 'index' / 'toy-1.0.tar.gz'
        files = {
            'setup.py': SETUP.format(line=line),
            'PKG-INFO': 'Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n',
        }
        with tarfile.open(archive, 'w:gz') as tar:
            for name, text in files.items():
                info = tarfile.TarInfo(f'toy-1.0/{name}')
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        return archive

    return offer


def wheel_of(setup_env, key: str = 'key') -> Path:
    return setup_env.compiled_wheel('toy==1.0', Path(sys.executable), dict(os.environ), key)


def test_each_stack_has_its_pins(setup_env):
    light, full, classic = (
        set(setup_env.pins(setup_env.STACKS[stack][1])) for stack in ('light', 'full', 'classic')
    )
    assert {'torch==2.15.0', 'mmcv-lite==2.2.0', 'mmpose==1.3.2'} <= light
    assert {'torch==2.12.1', 'onedl-mmcv==2.3.6', 'onedl-mmengine', 'mmpose'} <= full
    assert {'torch==2.1.2', 'mmcv==2.1.0', 'mmengine==0.10.7', 'mmpose'} <= classic
    for stack in (light, full, classic):
        assert {'orjson==3.13.0', 'uv==0.13.8'} <= stack
    names = [{line.split('==')[0] for line in stack} for stack in (light, full, classic)]
    assert not names[0] & set(setup_env.COMPILED)
    assert set(setup_env.CUDA_COMPILER) <= names[1]


@pytest.mark.parametrize('stack', ['light', 'full', 'classic'])
def test_pins_are_exact(setup_env, stack):
    """Every package has one version, in its line or by the constraints."""
    _, file, python, _ = setup_env.STACKS[stack]
    constrained = {Requirement(line).name for line in setup_env.pins(setup_env.CONSTRAINTS.name)}
    names = set()
    for requirement in map(Requirement, setup_env.pins(file)):
        machine = {'python_version': python, 'sys_platform': 'linux'}
        if requirement.marker and not requirement.marker.evaluate(machine):
            continue
        assert requirement.name not in names
        names.add(requirement.name)
        version = str(requirement.specifier)
        assert re.fullmatch(r'==[0-9][0-9a-z.]*', version) or requirement.name in constrained
    assert len(names) > 80


@pytest.mark.skipif(
    not (Path(sys.prefix) / 'ready').is_file(), reason='not in an environment of `make setup`'
)
def test_environment_is_as_pinned(setup_env):
    files = {folder: file for folder, file, *_ in setup_env.STACKS.values()}
    constraints = map(Requirement, setup_env.pins(setup_env.CONSTRAINTS.name))
    constrained = {each.name: each.specifier for each in constraints}
    for requirement in map(Requirement, setup_env.pins(files[Path(sys.prefix).name])):
        name = requirement.name
        if requirement.marker and not requirement.marker.evaluate():
            continue
        if name in setup_env.CUDA_COMPILER and 'full' in sys.prefix:
            continue  # on CUDA machines only
        assert metadata.version(name) in (requirement.specifier or constrained[name]), name


def test_light_stack_asks_for_no_compiler(setup_env, monkeypatch):
    """Without gcc and Python's headers the light stack goes on, the full one ends in a sentence."""
    reached = []

    def install_uv(pin):
        reached.append(pin)
        raise KeyboardInterrupt

    monkeypatch.setattr(setup_env.shutil, 'which', lambda name: None)
    monkeypatch.setattr(setup_env, 'install_uv', install_uv)
    with pytest.raises(KeyboardInterrupt):
        setup_env.make_environment('light')
    assert reached == ['uv==0.13.8']
    with pytest.raises(SystemExit, match='full stack needs a C.. compiler: gcc and g.. not found'):
        setup_env.make_environment('full')
    version = f'{sys.version_info[0]}.{sys.version_info[1]}'
    monkeypatch.setattr(setup_env.os.path, 'exists', lambda path: False)
    assert setup_env.find_python(version, headers=False)[0] == '--python'


@pytest.mark.slow
def test_wheel_is_built_once_per_key(setup_env, toy_source):
    archive = toy_source('')
    first = wheel_of(setup_env)
    assert first.name == 'toy-1.0-py3-none-any.whl' and first.parent.name == 'key'
    archive.unlink()
    assert wheel_of(setup_env) == first  # could not be built any more
    with pytest.raises(SystemExit, match='toy==1.0'):
        wheel_of(setup_env, key='other')
    assert not (setup_env.CACHE / 'build' / 'key_toy').exists()


@pytest.mark.slow
def test_failed_build_leaves_no_wheel_and_tells_why(setup_env, toy_source):
    toy_source("import sys\nif 'bdist_wheel' in sys.argv: raise RuntimeError('no such header')")
    with pytest.raises(SystemExit, match='(?s)no such header.*toy==1.0 does not compile'):
        wheel_of(setup_env)
    assert not list((setup_env.CACHE / 'wheels').rglob('*.whl'))
    toy_source('')
    assert wheel_of(setup_env).is_file()


@pytest.mark.slow
def test_killed_build_says_so_and_is_repeated(setup_env, toy_source):
    toy_source(
        'import os, signal, sys\n'
        "if 'bdist_wheel' in sys.argv: os.kill(os.getppid(), signal.SIGKILL)"
    )
    with pytest.raises(SystemExit, match='toy==1.0 was ended by signal 9'):
        wheel_of(setup_env)
    toy_source('')
    assert wheel_of(setup_env).is_file()


@pytest.mark.slow
def test_two_setups_build_one_wheel(setup_env, toy_source, tmp_path):
    marks = tmp_path / 'marks'
    marks.mkdir()
    toy_source(
        'import os, sys\n'
        f"if 'bdist_wheel' in sys.argv: open({str(marks)!r} + '/%d' % os.getpid(), 'w')"
    )
    threads = [threading.Thread(target=wheel_of, args=(setup_env,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(marks.iterdir())) == 1


def test_progress_counts_compiled_files(setup_env, capsys, tmp_path):
    lines = ['running build_ext\n', *(f'[{i}/8] c++ -c {i}.cpp\n' for i in range(1, 9)), 'done\n']
    with open(tmp_path / 'log', 'w') as log:
        setup_env.show_progress(lines, log, 'toy')
    assert (tmp_path / 'log').read_text() == ''.join(lines)
    assert 'toy: 8 of 8 files compiled' in capsys.readouterr().out


def test_uv_follows_pips_configuration(setup_env, monkeypatch):
    monkeypatch.setenv('PIP_INDEX_URL', 'https://mirror.example/simple')
    monkeypatch.setenv('PIP_FIND_LINKS', '/some/wheels /more')
    for name in ('UV_DEFAULT_INDEX', 'UV_FIND_LINKS'):
        monkeypatch.delenv(name, raising=False)
    settings = setup_env.uv_settings(Path(sys.executable))
    assert settings['UV_DEFAULT_INDEX'] == 'https://mirror.example/simple'
    assert settings['UV_FIND_LINKS'] == '/some/wheels,/more'
    monkeypatch.setenv('UV_DEFAULT_INDEX', 'https://own.example/simple')
    settings = setup_env.uv_settings(Path(sys.executable))
    assert settings['UV_DEFAULT_INDEX'] == 'https://own.example/simple'


def test_cuda_build_uses_the_toolkit_of_the_wheels(setup_env, tmp_path):
    nvidia = tmp_path / 'lib' / 'python3.11' / 'site-packages' / 'nvidia'
    for name in ('cudnn/lib', 'cu13/bin', 'cu13/include', 'cu13/nvvm', 'cu13/lib'):
        (nvidia / name).mkdir(parents=True)
    (nvidia / 'cu13' / 'bin' / 'nvcc').touch()
    (nvidia / 'cu13' / 'lib' / 'libcudart.so.13').touch()
    settings = setup_env.build_settings({'PATH': '/bin'}, ['8.0', '9.0'], tmp_path)
    home = Path(settings['CUDA_HOME'])
    assert (home / 'bin' / 'nvcc').is_file()
    assert (home / 'lib64' / 'libcudart.so').is_file()
    assert settings['TORCH_CUDA_ARCH_LIST'] == '8.0;9.0' and settings['FORCE_CUDA'] == '1'
    assert 'FORCE_CUDA' not in setup_env.build_settings({'PATH': '/bin'}, [], tmp_path)


def test_ready_environment_is_left_alone_and_half_made_one_is_not(setup_env, tmp_path, monkeypatch):
    for path in ROOT.glob('requirements*.txt'):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(setup_env, 'ROOT', tmp_path)
    (tmp_path / 'setup.py').touch()
    made = []

    def make(stack):
        made.append(stack)
        (tmp_path / setup_env.STACKS[stack][0]).mkdir(exist_ok=True)
        if len(made) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(setup_env, 'make_environment', make)
    monkeypatch.setattr(sys, 'argv', ['setup_env.py', 'light'])
    with pytest.raises(KeyboardInterrupt):
        setup_env.main()
    for _ in range(3):
        setup_env.main()
    assert made == ['light', 'light']
    for number, name in enumerate(['setup.py', 'requirements-shared.txt', 'requirements.txt'], 3):
        with open(tmp_path / name, 'a') as file:
            file.write('changed==1.0\n')
        setup_env.main()
        assert len(made) == number
    with open(tmp_path / 'requirements-full.txt', 'a') as file:
        file.write('changed==1.0\n')
    setup_env.main()
    assert len(made) == 5


@pytest.mark.parametrize('target', ['help', ''])
def test_make_lists_its_targets(target):
    listing = subprocess.run(
        ['make', '-C', str(ROOT), *filter(None, [target])], capture_output=True, text=True
    ).stdout
    for name in ('setup', 'test', 'test-full', 'test-classic', 'demo', 'lint', 'format', 'clean'):
        assert f'  {name} ' in listing
