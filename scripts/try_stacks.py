"""Installs the light stack with several versions of Python and torch, and runs tests in each.

    python3 scripts/try_stacks.py                   all, with a table as in docs/stacks.md
    python3 scripts/try_stacks.py 3.9 3.13-2.15.0   some: Python alone, or Python and torch

Each is installed in an empty environment with the two lines of docs/install.md, from the package
index alone. A Python without torch has `pip install .[video,tables]` and a few packages for single
tools: evaluation, tracking, converters of labels, videos and poses, smoothing, rendering.
Not a part of CI: every torch is 1 to 3 GB to download, kept until the end in a temporary folder.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setup_env import ROOT, STACKS, find_python, install_uv, pins, say, uv_settings

# Python, torch and torchvision that belong together. torch before 2.3 needs NumPy 1 and OpenMMLab's
# own MMEngine.
MODELS = (
    ('3.9', '2.1.2', '0.16.2'),
    ('3.10', '2.0.1', '0.15.2'),
    ('3.12', '2.5.1', '0.20.1'),
    ('3.13', '2.12.1', '0.27.1'),
    ('3.11', '2.15.0', '0.29.2'),
    ('3.13', '2.15.0', '0.29.2'),
)
EVALUATION = ('3.9', '3.12', '3.13')
TEST_PACKAGES = (
    'pytest', 'hypothesis', 'motmetrics', 'xmltodict', 'tabulate', 'tensorboard', 'psutil',
)  # fmt: skip
MODEL_TESTS = (
    'tests/models', 'tests/apis/test_export.py', 'tests/test_compat.py', 'tests/test_packaging.py',
)  # fmt: skip
EVALUATION_TESTS = (
    'tests/posetrack', 'tests/evaluation', 'tests/tracking', 'tests/synthetic', 'tests/converters',
    'tests/pose_formats', 'tests/smoothing', 'tests/corruptions',
)  # fmt: skip
EVALUATION_PACKAGES = ('numpy', 'opencv-python-headless<5', 'pycocotools', 'pandas')
VERSIONS = """
from importlib.metadata import PackageNotFoundError, version
for names in (['numpy'], ['onedl-mmengine', 'mmengine']):
    for name in names:
        try:
            print(name, version(name))
        except PackageNotFoundError:
            continue
        break
"""


def try_stack(folder: Path, python: str, torch: str, torchvision: str) -> list[str]:
    """One row of the table: versions, and how many tests passed."""
    name = f'{python}-{torch}' if torch else python
    uv_home = install_uv(next(line for line in pins(STACKS['light'][1]) if line.startswith('uv==')))
    uv = uv_home / 'bin' / 'uv'
    env = uv_settings(uv_home / 'bin' / 'python')
    env.update(UV_CACHE_DIR=str(folder / 'cache'), OMP_NUM_THREADS='1', CMPOSE_TEST_STACK='light')
    env.pop('PYTHONDONTWRITEBYTECODE', None)  # hundreds of processes import torch
    venv = folder / name
    program = venv / 'bin' / 'python'
    install = [uv, 'pip', 'install', '--quiet', '--python', program]
    log = folder / f'{name}.txt'

    def run(*command: str | Path) -> bool:
        with open(log, 'a') as output:
            print('$', *command, file=output, flush=True)
            done = subprocess.run(
                [str(part) for part in command], env=env, cwd=ROOT, stdout=output, stderr=output
            )
        return done.returncode == 0

    say(f'{name}: installing (log: {log})')
    ready = run(uv, 'venv', '--quiet', *find_python(python, headers=False), venv)
    if torch:
        chosen = [f'torch=={torch}', f'torchvision=={torchvision}']
        old = tuple(map(int, torch.split('.')[:2])) < (2, 3)
        if old:
            chosen.append('numpy<2')
        ready = ready and run(*install, f'{ROOT}[light,video,export]', *chosen, *TEST_PACKAGES)
        ready = ready and run(*install, '--no-deps', '-r', ROOT / 'requirements-light-nodeps.txt')
        if old:
            run(uv, 'pip', 'uninstall', '--python', program, 'onedl-mmengine', 'mmengine')
            ready = ready and run(*install, '--no-deps', 'mmengine==0.10.7')
    else:
        ready = ready and run(
            *install, f'{ROOT}[video,tables]', *EVALUATION_PACKAGES, *TEST_PACKAGES
        )
    row = [python, torch or 'none', '', '', 'cannot be installed']
    if ready:
        answer = subprocess.run([program, '-c', VERSIONS], capture_output=True, text=True)
        versions = [line.split() for line in answer.stdout.splitlines()]
        row[2:4] = versions[0][1], ' '.join(versions[1]) if len(versions) > 1 else ''
        say(f'{name}: testing')
        tests = MODEL_TESTS if torch else EVALUATION_TESTS
        run(program, '-m', 'pytest', '-p', 'no:cacheprovider', '-q', *tests)
        counts = re.findall(r'^(?:=+ )?(\d+ .*) in [\d.]+s', log.read_text(), re.M)
        row[4] = counts[-1] if counts else 'the tests did not start'
    shutil.rmtree(venv, ignore_errors=True)
    say(f'{name}: {row[4]}')
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    stacks = {f'{python}-{torch}': (python, torch, vision) for python, torch, vision in MODELS}
    stacks.update({python: (python, '', '') for python in EVALUATION})
    parser.add_argument('names', nargs='*', help=f'of {", ".join(stacks)}; default: all')
    names = parser.parse_args().names or list(stacks)
    unknown = [name for name in names if name not in stacks]
    if unknown:
        parser.error(f'no stack {", ".join(unknown)}; expected some of {", ".join(stacks)}')
    folder = Path(tempfile.mkdtemp(prefix='stacks_'))
    rows = [try_stack(folder, *stacks[name]) for name in names]
    shutil.rmtree(folder / 'cache', ignore_errors=True)
    print('| Python | torch | NumPy | MMEngine | tests |')
    print('|---|---|---|---|---|')
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')


if __name__ == '__main__':
    sys.exit(main())
