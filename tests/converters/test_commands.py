"""Converters run where neither torch nor MMPose is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FRAMEWORKS = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpose', 'mmdet', 'mmpretrain')
ROOT = Path(__file__).parents[2]
TOOLS = 'convert_jhmdb convert_penn_action distinct_frames extract_frames list_clips'.split()


@pytest.mark.parametrize('tool', TOOLS)
def test_commands_need_no_framework(tool) -> None:
    code = (
        f'import runpy, sys; sys.modules.update(dict.fromkeys({FRAMEWORKS!r})); '
        f'sys.argv[1:] = ["--help"]; runpy.run_path({str(ROOT / "tools" / tool)!r} + ".py", '
        'run_name="__main__")'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, '')
    assert 'usage: ' in done.stdout
