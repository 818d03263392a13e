"""CM-Pose learns on real frames, through mim as a user would call it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmpose_mm import config_path
from cmpose_mm.ablation import last_validation

STEPS = 40


def mim(*args: str) -> str:
    result = subprocess.run(
        [sys.executable, '-m', 'mim', *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.mark.slow
def test_learns_on_the_real_clip(real_data, tmp_path):
    """From scratch, on 30 labelled frames of one video; scored on the 11 that follow."""
    root = real_data / 'posetrack_clip'
    data = [
        *(f'{loader}_dataloader.dataset.data_root={root}' for loader in ('train', 'val', 'test')),
        *(f'{which}_evaluator.ann_file={root}/annotations/val' for which in ('val', 'test')),
    ]
    schedule = [
        'load_from=None',
        f'train_cfg.max_iters={STEPS}',
        f'train_cfg.val_interval={STEPS}',
        f'param_scheduler.1.T_max={STEPS}',
        f'default_hooks.checkpoint.interval={STEPS}',
        'optim_wrapper.optimizer.lr=2e-3',
    ]
    config = config_path('cmpose_demo.py')
    work_dir = tmp_path / 'clip'
    options = ['--cfg-options', *data, *schedule]
    mim('train', 'mmpose', config, '--work-dir', str(work_dir), *options)
    trained = last_validation(work_dir)
    assert trained['Total AP'] > 20, trained

    checkpoint = work_dir / f'iter_{STEPS}.pth'
    output = mim('test', 'mmpose', config, '--checkpoint', str(checkpoint), *options[:1], *data)
    tested = float(re.findall(r'posetrack/Total AP: ([\d.]+)', output)[-1])
    assert tested == pytest.approx(trained['Total AP'], abs=0.01)
    assert Path(work_dir / f'best_posetrack_AP_iter_{STEPS}.pth').exists()
