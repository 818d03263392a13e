"""A run that is killed in mid-epoch and resumed ends like the uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader
from processes import quick_python

from cmpose_mm.ablation import last_validation

SETTINGS = """
train_cfg = dict(max_epochs=3)
train_dataloader.update(batch_size=1, num_workers=2, persistent_workers=True)
train_dataloader['dataset'].update(random_neighbors=True, stride=2)
default_hooks['annealed'] = dict(type='ModelScheduleHook', attribute='method.aux.loss_weight',
                                 values={0.0: 1.0, 1.0: 0.1})
"""


def mim_train(config: str, *args: str) -> subprocess.Popen:
    return subprocess.Popen(
        [quick_python(), '-m', 'mim', 'train', 'mmpose', config, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]


def logged_epochs(work_dir: Path) -> set[int]:
    return {
        json.loads(line).get('epoch')
        for log in work_dir.glob('*/vis_data/scalars.json')
        for line in log.read_text().splitlines()
    }


def kill_in_epoch(process: subprocess.Popen, work_dir: Path, epoch: int) -> None:
    """SIGKILL for the process and its children as soon as the epoch has begun."""
    while epoch not in logged_epochs(work_dir):
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_killed_and_resumed_run_ends_like_the_whole_one(tiny_config, synthetic_root, tmp_path):
    finish(mim_train(tiny_config(synthetic_root, 'whole', SETTINGS)))

    config = tiny_config(synthetic_root, 'killed', SETTINGS)
    kill_in_epoch(mim_train(config), tmp_path / 'killed', epoch=2)
    last = (tmp_path / 'killed' / 'last_checkpoint').read_text()
    assert last.endswith('epoch_1.pth'), 'the kill was to come within the second epoch'
    finish(mim_train(config, '--resume'))

    whole, resumed = (
        CheckpointLoader.load_checkpoint(str(tmp_path / name / 'epoch_3.pth'), map_location='cpu')
        for name in ('whole', 'killed')
    )
    torch.testing.assert_close(resumed['state_dict'], whole['state_dict'], rtol=1e-6, atol=1e-8)
    expected = pytest.approx(last_validation(tmp_path / 'whole'), abs=1e-6, nan_ok=True)
    assert last_validation(tmp_path / 'killed') == expected
    # Killed once more in the last validation, which comes after the last checkpoint.
    for log in (tmp_path / 'killed').glob('*/vis_data/scalars.json'):
        lines = log.read_text().splitlines()
        kept = [line for line in lines if json.loads(line)['step'] < 3 or 'loss' in line]
        log.write_text('\n'.join(kept))
    assert last_validation(tmp_path / 'killed') != expected
    finish(mim_train(config, '--resume'))
    assert last_validation(tmp_path / 'killed') == expected
