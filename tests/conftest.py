"""Shared fixtures: a small rendered dataset, the real clip, and a config that trains in seconds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from quick_mmengine import make_quick

from cmpose_mm.synthetic import Settings, write_dataset

TINY_CONFIG = """
_base_ = [__import__('cmpose_mm').config_path('cmpose_vit-s_posetrack18.py')]
load_from = None
codec = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
model = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=32),
        img_size=(128, 96),
        drop_path_rate=0.1,
    ),
    method=dict(
        embed_dims=32,
        neck=dict(num_blocks=1, num_heads=2),
        fte=dict(num_causal=1, num_neighbors=3, num_clusters=8),
    ),
    head=dict(
        in_channels=32, deconv_out_channels=(32, 32), deconv_kernel_sizes=(4, 4), decoder=codec
    ),
)
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(data_root={root!r}, ann_file='annotations/train')
)
train_dataloader['dataset']['pipeline'] = [
    dict(type='LoadClip', cache_size_mb=1),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='ClipRandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', scale_factor=(0.65, 1.35), rotate_factor=45),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackClipInputs'),
]
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root={root!r}, ann_file='annotations/val', pipeline=val_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={root!r} + '/annotations/val')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
param_scheduler = []
default_hooks = dict(logger=dict(interval=1))
work_dir = {work_dir!r}
"""


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
