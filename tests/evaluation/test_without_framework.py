"""Evaluation needs no framework: whoever has NumPy and SciPy can score files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cmpose_mm

FRAMEWORKS = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpose', 'mmdet', 'mmpretrain', 'cv2')
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    'use',
    [
        'import cmpose_mm.evaluation',
        'from cmpose_mm.evaluation import *',
        'import cmpose_mm.evaluation.label_statistics, cmpose_mm.evaluation.resampling',
        f'import runpy, sys; sys.argv[1:] = ["--help"]; runpy.run_path({str(ROOT)!r} + '
        '"/tools/eval_posetrack.py", run_name="__main__")',
    ],
)
@pytest.mark.slow
def test_it_works_where_no_framework_can_be_imported(use) -> None:
    blocked = f'import sys; sys.modules.update(dict.fromkeys({FRAMEWORKS!r})); '
    done = subprocess.run(
        [sys.executable, '-c', blocked + use],
        capture_output=True,
        text=True,
        cwd=Path(cmpose_mm.__file__).parents[1],
    )
    assert (done.returncode, done.stderr) == (0, '')
