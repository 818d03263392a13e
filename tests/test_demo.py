"""The demo from end to end, with a handful of videos and steps."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import cv2
import pytest
from processes import quick_python
from run_tools import run_tool

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_quick_demo_leaves_table_and_picture(tmp_path):
    tmp_path = tmp_path / 'my demo'
    tmp_path.mkdir()
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run(
        [quick_python(), str(ROOT / 'tools/demo.py'), '--quick', '--folder', str(tmp_path)],
        capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for step in range(1, 7):
        assert f'[{step}/6]' in done.stdout
    for column in ('Head', 'Total', 'mean7', 'left_wrist', 'boxes = ground truth'):
        assert column in done.stdout
    assert cv2.imread(str(tmp_path / 'work_dirs/demo/demo.jpg')) is not None
    assert cv2.imread(str(tmp_path / 'work_dirs/demo/shipped.jpg')) is not None
    assert len(list((tmp_path / 'work_dirs/demo/predictions').glob('*.json'))) == 2
    log = (tmp_path / 'work_dirs/demo/cmpose/output.log').read_text()
    # All weights of the first stage arrive: only the method's own are new.
    missing = log.split('missing keys in source state_dict:')[1].split('\n')[0]
    assert 'unexpected key' not in log
    assert all(key.strip().startswith('method.') for key in missing.split(','))
    assert 'loss_mask' in log and 'loss_denoise' in log


@pytest.mark.parametrize(
    ('folder', 'message'),
    [('none', 'none'), ('other', 'choose another')],
)
def test_a_folder_that_can_not_serve_is_one_sentence(tmp_path, folder, message):
    data = tmp_path / 'other/data/synthetic_demo'
    data.mkdir(parents=True)
    (data / 'synthetic.json').write_text('{"version": 1, "seed": 5}')
    done = run_tool(ROOT / 'tools/demo.py', '--quick', '--folder', tmp_path / folder)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert message in done.stderr.splitlines()[-1]
