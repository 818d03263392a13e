"""CM-Pose learns on real frames, through mim as a user would call it; twice, twice the same."""

from __future__ import annotations

import json
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


def losses(work_dir: Path) -> list[dict[str, float]]:
    """All logged losses, step by step."""
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [{k: v for k, v in line.items() if 'loss' in k} for line in lines if 'loss' in line]
    assert len(steps) == STEPS // 5
    return steps


@pytest.mark.slow
def test_learns_on_the_real_clip(real_data, tmp_path):
    """From scratch, on 30 labeled frames of one video; scored on the 11 that follow."""
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
        # Nothing is learned yet, so nothing is to be kept as it is.
        'optim_wrapper.optimizer.lr=2e-3',
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
