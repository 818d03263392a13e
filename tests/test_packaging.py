"""The built wheel, installed outside the checkout, is all that a user of MMPose needs.

The clean environment sees the heavy packages of the running one (a .pth line), but not its install
of cmpose_mm: that one is editable, by .pth files that are read only in its own site-packages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny_training import TINY_CONFIG

import cmpose_mm
from cmpose_mm.compat import TORCH_VERSION as TORCH

pytestmark = pytest.mark.slow  # processes

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'cmpose_vit_posetrack18.py'
USERS_OWN = {
    'torch', 'torchvision', 'numpy', 'mmcv', 'mmengine', 'mmdet', 'mmpose', 'mmpretrain',
    'onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection', 'opencv-python',
    'opencv-python-headless', 'scipy',
}  # fmt: skip


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command with nothing of the checkout on its path; returns what it printed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith('PYTHON')}
    process = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=dict(env, OMP_NUM_THREADS='1'), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
    return process.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """A wheel built from the source archive, which is built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp('build')
    source = folder / 'source'

    def left_out(parent: str, names: list[str]) -> set[str]:
        products = {'build', 'dist', 'data', 'work_dirs'} if Path(parent) == ROOT else set()
        return {
            name
            for name in names
            if name in products
            or name.startswith('.')
            or name.endswith(('.egg-info', '__pycache__'))
        }

    shutil.copytree(ROOT, source, ignore=left_out)
    run(
        sys.executable, '-c',
        f'from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})',
        cwd=source,
    )  # fmt: skip
    archive = next(folder.glob('cmpose_mm-*.tar.gz'))
    pip = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-index', '--no-cache-dir']
    run(*pip, '--no-deps', '--no-build-isolation', '-w', folder, archive, cwd=folder)
    return next(folder.glob('cmpose_mm-*.whl'))


@pytest.fixture(scope='module')
def clean_python(wheel, tmp_path_factory) -> Path:
    """Python of a new environment in which only the wheel is installed."""
    folder = tmp_path_factory.mktemp('clean')
    run(sys.executable, '-m', 'venv', '--without-pip', folder / 'env', cwd=folder)
    site = next((folder / 'env').glob('lib/python*/site-packages'))
    # The second line is setuptools' own .pth file: distutils for mim, where Python has none.
    (site / 'heavy.pth').write_text(
        sysconfig.get_path('purelib') + '\nimport _distutils_hack; _distutils_hack.add_shim()\n'
    )
    python = folder / 'env' / 'bin' / 'python'
    pip = [sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-index']
    # --ignore-installed: an editable install in the running environment is not to be removed.
    run(*pip, '--no-deps', '--ignore-installed', wheel, cwd=folder)
    return python


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A folder that has nothing to do with the checkout."""
    folder = tmp_path / 'somewhere else'
    folder.mkdir()
    return folder


def evaluate(python: Path, cwd: Path, code: str):
    """What a program of a few lines, run in the clean environment, leaves in `result`."""
    lines = f'import json\n{code}\nprint("RESULT" + json.dumps(result))'
    output = run(python, '-W', 'ignore', '-c', lines, cwd=cwd)
    return json.loads(output.rpartition('RESULT')[2])


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and path.suffix != '.pyc'
    }


def test_wheel_holds_the_package_and_what_mim_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    carried = {name[len('cmpose_mm/.mim/') :] for name in names if '/.mim/' in name}
    expected = files_below(ROOT / 'configs') | files_below(ROOT / 'tools') | {'model-index.yml'}
    assert len(expected) > 20
    assert carried == expected
    modules = {name for name in names if '.dist-info/' not in name and '/.mim/' not in name}
    packages = files_below(ROOT / 'cmpose_mm') | files_below(ROOT / 'cmpose_cli')
    assert modules == {name for name in packages if '/.mim/' not in name}  # no tests, no benchmarks


def test_source_archive_can_be_tested(wheel):
    listing = subprocess.run(
        ['tar', '-tzf', next(wheel.parent.glob('*.tar.gz'))], capture_output=True, text=True
    ).stdout
    for name in (
        'requirements-light-nodeps.txt',
        'Makefile',
        'tests/test_packaging.py',
        'scripts/setup_env.py',
    ):
        assert f'/{name}\n' in listing


def required_names(requirements: list[str]) -> set[str]:
    names = {re.match(r'[A-Za-z0-9._-]+', line)[0] for line in requirements if 'extra' not in line}
    return {re.sub(r'[-_.]+', '-', name).lower() for name in names}


def test_install_touches_nothing_of_the_users(wheel):
    """Neither our needs nor the needs of those name a package of a working MMPose."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        headers = archive.read(name).decode().split('\n\n')[0].splitlines()
    found: set[str] = set()
    pending = required_names(
        [line.split(': ', 1)[1] for line in headers if line.startswith('Requires-Dist')]
    )
    assert {'pillow', 'scipy'} < pending, 'is METADATA read right?'
    pending -= {'pillow', 'scipy'}  # MMPose's own needs: there, and of any version
    while pending:
        name = pending.pop()
        found.add(name)
        pending |= required_names(metadata.requires(name) or []) - found
    assert not found & USERS_OWN


@pytest.mark.light_stack
@pytest.mark.skipif(TORCH < (2, 3), reason='which wants another MMEngine than the file names')
def test_light_extra_brings_what_openmmlabs_packages_need(wheel):
    """All that they declare, but for what the extra replaces and what only downloads data sets."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        headers = archive.read(name).decode().split('\n\n')[0].splitlines()
    extra = [line.split(': ', 1)[1] for line in headers if 'extra == "light"' in line]
    brought = required_names([line.split(';')[0] for line in extra])
    lines = (ROOT / 'requirements-light-nodeps.txt').read_text().splitlines()
    pinned = [Requirement(line) for line in lines if '==' in line]
    packages = [each.name for each in pinned if not each.marker or each.marker.evaluate()]
    assert len(packages) == 5
    needed = set().union(*(required_names(metadata.requires(name)) for name in packages))
    replaced = {'chumpy', 'xtcocotools', 'opencv-python', 'opendatalab', 'mmengine'}
    assert replaced < needed
    assert needed - replaced <= brought


def test_pip_keeps_an_old_working_mmpose(wheel, tmp_path):
    """pip, which may resolve needs here, leaves older versions of all those packages in place."""
    run(sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'env', cwd=tmp_path)
    site = next((tmp_path / 'env').glob('lib/python*/site-packages'))
    ours = dict.fromkeys(['cachetools', 'orjson', 'pillow', 'tabulate', 'tqdm'], '99')
    old = dict.fromkeys(USERS_OWN, '0.0.1') | ours
    for name, version in old.items():
        info = site / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        (info / 'RECORD').write_text('')
        (info / 'INSTALLER').write_text('pip\n')
    python = tmp_path / 'env' / 'bin' / 'python'
    pip = [sys.executable, '-m', 'pip', '--python', python]
    run(*pip, 'install', '--quiet', '--upgrade', '--no-index', wheel, cwd=tmp_path)
    listing = json.loads(run(*pip, 'list', '--format', 'json', cwd=tmp_path))
    versions = {entry['name']: entry['version'] for entry in listing}
    assert versions == dict(old, cmpose_mm=cmpose_mm.__version__)


@pytest.fixture(scope='module')
def found(clean_python, synthetic_root, tmp_path_factory) -> dict:
    """What one process finds, in a folder that has nothing to do with the checkout.

    Beside configs there is a package that is not ours, with a method in README's words.
    """
    folder = tmp_path_factory.mktemp('somewhere')
    readme = (ROOT / 'README.md').read_text()
    lines = readme[readme.index('from mmpose.registry import MODELS') :].split('# in a config')[0]
    (folder / 'their_package.py').write_text(
        ''.join(line.removeprefix('    ') + '\n' for line in lines.splitlines())
    )
    theirs = TINY_CONFIG.format(root=synthetic_root, work_dir=str(folder / 'theirs'))
    (folder / 'theirs.py').write_text(
        f"{theirs}\nmodel['method'] = dict(_delete_=True, type='MeanOfFrames')\n"
        "custom_imports = dict(imports=['cmpose_mm', 'their_package'], "
        'allow_failed_imports=False)\n'
    )
    (folder / 'child.py').write_text(
        "_base_ = ['mmpose::body_2d_keypoint/topdown_heatmap/posetrack18/"
        "td-hm_hrnet-w32_8xb64-20e_posetrack18-256x192.py']\n"
        "custom_imports = dict(imports=['cmpose_mm'], allow_failed_imports=False)\n"
        "val_evaluator = dict(_delete_=True, type='PoseTrackMetric', "
        "ann_file='annotations/val', prefix='posetrack')\n"
    )
    # The same config by the name of before, and in the folder of its method.
    for name, config in (('mine', CONFIG), ('in_folder', f'cmpose/{CONFIG}')):
        (folder / f'{name}.py').write_text(
            f"_base_ = [__import__('cmpose_mm').config_path({config!r})]\n"
            'train_cfg = dict(max_epochs=3)\n'
        )
    return evaluate(
        clean_python,
        folder,
        f"""
from mmengine import Config
config = Config.fromfile('child.py')  # the first to import cmpose_mm
result = dict(child=[config.model.type, config.val_evaluator.type])

import cmpose_mm
from mmpose.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
result['child'].append(METRICS.get(config.val_evaluator.type).__module__)
result['package'] = [cmpose_mm.__file__, cmpose_mm.__version__]
result['registered'] = [
    MODELS.get('VideoTopdownPoseEstimator') is not None,
    DATASETS.get('PoseTrackVideoDataset') is not None,
    TRANSFORMS.get('PackClipInputs') is not None,
    METRICS.get('PoseTrackMetric') is not None,
    HOOKS.get('EpochSeedHook') is not None,
]

result['path'] = cmpose_mm.config_path({CONFIG!r})
for name in ('mine', 'in_folder'):
    mine = Config.fromfile(name + '.py').to_dict()
    base = Config.fromfile(result['path']).to_dict()
    epochs = [config['train_cfg'].pop('max_epochs') for config in (mine, base)]
    result[name] = [epochs, mine == base]

from mmengine.runner import Runner
runner = Runner.from_cfg(Config.fromfile('theirs.py'))
runner.train()
method = type(runner.model.method)
result['method'] = f'{{method.__module__}}.{{method.__name__}}'
result['metrics'] = runner.val()
""",
    )


def test_imports_and_registers(found, clean_python):
    path, version = found['package']
    assert Path(path).is_relative_to(clean_python.parents[1])
    assert version == cmpose_mm.__version__
    assert found['registered'] == [True] * 5


def test_child_of_an_mmpose_config(found):
    assert found['child'] == [
        'TopdownPoseEstimator', 'PoseTrackMetric', 'cmpose_mm.metrics.posetrack_metric'
    ]  # fmt: skip


@pytest.mark.parametrize('name', ['mine', 'in_folder'])
def test_our_configs_are_inherited_from_anywhere(name, found, clean_python):
    assert Path(found['path']).is_relative_to(clean_python.parents[1])
    assert found[name] == [[3, 20], True]


def test_a_foreign_package_s_own_method_trains(found):
    assert found['method'] == 'their_package.MeanOfFrames'
    assert 0 <= found['metrics']['posetrack/AP'] <= 100


def test_mim_lists_the_configs(clean_python, foreign):
    listing = run(
        clean_python, '-W', 'ignore', '-m', 'mim', 'search', 'cmpose_mm', '--valid-config',
        cwd=foreign,
    )  # fmt: skip
    shipped = {path.stem for path in (ROOT / 'configs').glob('[!_]*/*_posetrack*.py')}
    assert set(re.findall(r'\w[\w-]*_posetrack\d+', listing)) == shipped


@pytest.mark.slow(50)
def test_mim_trains_and_tests(clean_python, foreign, tiny_config):
    """Data by the shipped tool, config by the one-liner, both commands by mim."""
    small = '--train 1 --val 1 --frames 3 --size 160 120 --workers 1'.split()
    site = next(clean_python.parents[1].glob('lib/python*/site-packages'))
    tool = site / 'cmpose_mm' / '.mim' / 'tools' / 'make_synthetic_posetrack.py'
    run(clean_python, tool, foreign / 'made', *small, cwd=foreign)

    config = tiny_config(str(foreign / 'made'))
    mim = [clean_python, '-W', 'ignore', '-m', 'mim']
    gpus = ['--gpus', '0']
    training = run(*mim, 'train', 'mmpose', config, *gpus, cwd=foreign)
    assert re.search(r'Epoch\(train\) .*loss: [0-9.]+', training)
    assert re.search(r'Epoch\(val\) .*posetrack/AP: [0-9.]+', training)
    checkpoint = Path(config).parent / 'tiny' / 'epoch_1.pth'
    testing = run(*mim, 'test', 'mmpose', config, '-C', checkpoint, *gpus, cwd=foreign)
    assert re.search(r'posetrack/AP: [0-9.]+', testing)
    if TORCH >= (2, 6):
        assert 'weights_only' not in testing


def test_config_path_names_similar_configs():
    assert Path(cmpose_mm.config_path('_base_/runtime.py')).is_file()
    with pytest.raises(FileNotFoundError, match='posetrack81.py.*cmpose_vit_posetrack18.py'):
        cmpose_mm.config_path('cmpose_vit_posetrack81.py')
    with pytest.raises(FileNotFoundError, match="'no such thing'.*like cmpose_"):
        cmpose_mm.config_path('no such thing')
