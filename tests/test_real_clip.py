"""Training on real frames, through mim as a user would call it.

CM-Pose learns, and twice the same; the other methods train and test.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from pathlib import Path

import pytest
from processes import quick_python

from cmpose_mm import config_path
from cmpose_mm.ablation import last_validation

STEPS = 40


def mim(*args: str) -> str:
    result = subprocess.run(
        [quick_python(), '-m', 'mim', *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


def logged(work_dir: Path) -> list[dict[str, float]]:
    """All lines of a run's log."""
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


def data_options(root: Path) -> list[str]:
    """Overrides of a config that put the real clip in place of its data."""
    return [
        *(f'{loader}_dataloader.dataset.data_root={root}' for loader in ('train', 'val', 'test')),
        *(f'{which}_evaluator.ann_file={root}/annotations/val' for which in ('val', 'test')),
        'train_dataloader.dataset.pipeline.0.cache_size_mb=500',  # each image is decoded once
    ]


def losses(work_dir: Path) -> list[dict[str, float]]:
    """All logged losses, step by step."""
    lines = logged(work_dir)
    steps = [{k: v for k, v in line.items() if 'loss' in k} for line in lines if 'loss' in line]
    assert len(steps) == STEPS // 5
    return steps


@pytest.mark.slow(90)
def test_learns_on_the_real_clip(real_data, tmp_path):
    """From scratch, on 30 labeled frames of one video; scored on the 11 that follow."""
    data = data_options(real_data / 'posetrack_clip')
    schedule = [
        'load_from=None',
        f'train_cfg.max_iters={STEPS}',
        f'train_cfg.val_interval={STEPS}',
        f'param_scheduler.1.T_max={STEPS}',
        f'default_hooks.checkpoint.interval={STEPS}',
        # Nothing is learned yet, so nothing is to be kept as it is.
        'train_dataloader.batch_size=8',
        'optim_wrapper.optimizer.lr=5e-3',
        *(f'optim_wrapper.paramwise_cfg.custom_keys.{p}.lr_mult=1' for p in ('backbone', 'head')),
        'model.backbone.norm_eval=False',
    ]
    config = config_path('cmpose_demo.py')
    options = ['--cfg-options', *data, *schedule]
    work_dir, again = tmp_path / 'clip', tmp_path / 'again'
    for folder in (work_dir, again):
        mim('train', 'mmpose', config, '--work-dir', str(folder), *options)
    trained = last_validation(work_dir)
    assert trained['Total AP'] > 20, trained
    assert last_validation(again) == trained
    assert losses(again) == losses(work_dir)

    checkpoint = work_dir / f'iter_{STEPS}.pth'
    output = mim('test', 'mmpose', config, '--checkpoint', str(checkpoint), *options[:1], *data)
    tested = float(re.findall(r'posetrack/Total AP: ([\d.]+)', output)[-1])
    assert tested == pytest.approx(trained['Total AP'], abs=0.01)
    assert Path(work_dir / f'best_posetrack_AP_iter_{STEPS}.pth').exists()


@pytest.mark.slow(25)
@pytest.mark.parametrize(
    'name, own',
    [
        ('tdmi', {'loss_mi', 'gate_useful', 'gate_noisy'}),
        ('jmpose', {'loss_orthogonality', 'loss_frame'}),
        ('stdpose', {'loss_frame'}),
        ('hkm', set()),
    ],
)
def test_other_methods_train_on_the_real_clip(name, own, real_data, tmp_path):
    """The tiny models, for four epochs from scratch: the heatmap loss falls; `mim test` agrees."""
    config = config_path(f'{name}/{name}_tiny.py')
    options = ['--cfg-options', *data_options(real_data / 'posetrack_clip')]
    schedule = [
        'optim_wrapper.optimizer.lr=2e-3', 'train_cfg.max_epochs=4', 'train_cfg.val_interval=4'
    ]  # fmt: skip
    mim('train', 'mmpose', config, '--work-dir', str(tmp_path), *options, *schedule)
    steps = [line for line in logged(tmp_path) if 'loss_kpt' in line]
    assert len(steps) == 120 and all(own <= line.keys() for line in steps)
    assert all(math.isfinite(line['loss']) for line in steps)
    first, last = (sum(line['loss_kpt'] for line in part) for part in (steps[:30], steps[-30:]))
    assert last < 0.9 * first
    checkpoint = str(tmp_path / 'epoch_4.pth')
    output = mim('test', 'mmpose', config, '--checkpoint', checkpoint, *options)
    tested = float(re.findall(r'posetrack/Total AP: ([\d.]+)', output)[-1])
    assert tested == pytest.approx(last_validation(tmp_path)['Total AP'], abs=0.01)
