"""Shared fixtures: a small rendered dataset, the real clip, and a config that trains in seconds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from quick_mmengine import make_quick
from tiny_training import TINY_CONFIG

from cmpose_mm.synthetic import Settings, write_dataset


def pytest_collection_finish() -> None:
    make_quick()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what only another stack can run; the end of a run counts it and says why (-rs).

    The slowest files come first, so that all workers end at about the same time.
    """
    seconds: Counter[Path] = Counter()
    for item in items:
        if slow := item.get_closest_marker('slow'):
            seconds[item.path] += slow.args[0] if slow.args else 2
    items.sort(key=lambda item: -seconds[item.path])
    full = all(find_spec(name) for name in ('mmdet', 'mmcv', 'mmcv._ext'))
    # A full stack that is broken must fail, not skip: the Makefile says which one is meant.
    stack = os.environ.get('CMPOSE_TEST_STACK') or ('full' if full else 'light')
    other, target = {'light': ('full', 'test-full'), 'full': ('light', 'test')}[stack]
    for item in items:
        if item.get_closest_marker(f'{other}_stack'):
            item.add_marker(pytest.mark.skip(reason=f'needs the {other} stack: make {target}'))


@pytest.fixture(scope='session')
def synthetic_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A rendered dataset: two training videos and one validation video of five frames."""
    settings = Settings(videos={'train': 2, 'val': 1}, frames=5, height=120, width=160)
    return str(write_dataset(tmp_path_factory.mktemp('synthetic'), settings))


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of the real sample sequences, named by the environment variable CMPOSE_TEST_DATA."""
    folder = os.environ.get('CMPOSE_TEST_DATA')
    if not folder:
        pytest.skip('CMPOSE_TEST_DATA does not name a folder with the real sample sequences')
    return Path(folder)


@pytest.fixture
def tiny_config(tmp_path: Path) -> Callable[..., str]:
    """Writes a config of a tiny CM-Pose on a dataset; returns the file's path.

    Arguments: the dataset's root, a name for the file and work folder, and further config lines.
    """

    def write(root: str, name: str = 'tiny', extra: str = '') -> str:
        path = tmp_path / f'{name}.py'
        path.write_text(TINY_CONFIG.format(root=root, work_dir=str(tmp_path / name)) + extra)
        return str(path)

    return write
