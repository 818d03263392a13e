"""The sheet of corrupted frames, and the command that draws it."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from processes import quick_python
from run_tools import run_tool

from cmpose_mm.corruptions import corrupt_frame
from cmpose_mm.visualization.corruption_sheet import corruption_sheet
from cmpose_mm.visualization.layout import CAPTION_HEIGHT, GAP

TOOL = Path(__file__).parents[2] / 'tools' / 'browse_corruptions.py'


@pytest.fixture
def frame(synthetic_root):
    return sorted(Path(synthetic_root, 'images', 'val').glob('*/*.jpg'))[2]


def test_pictures_are_the_corrupted_frames(frame):
    names = ['impulse_noise', 'moving_occluders']
    sheet = corruption_sheet(str(frame), names, seed=4)
    image = cv2.imread(str(frame))
    height, width = image.shape[:2]
    where = dict(seed=4, sequence=frame.parent.name, frame_number=int(frame.stem))
    for line, name in enumerate(names):
        top = GAP + line * (CAPTION_HEIGHT + height + GAP) + CAPTION_HEIGHT
        for severity in range(6):
            left = GAP + severity * (width + GAP)
            picture = sheet[top : top + height, left : left + width]
            expected = corrupt_frame(image, name, severity, **where) if severity else image
            assert np.array_equal(picture, expected)


@pytest.mark.slow
def test_command(frame, tmp_path):
    out = tmp_path / 'sheet.png'
    command = [quick_python(), str(TOOL), str(frame), '--out', str(out), '--height', '60']
    subprocess.run(command, check=True)
    assert np.array_equal(cv2.imread(str(out)), corruption_sheet(str(frame), height=60))
    command[2] = str(tmp_path / '1.jpg')
    done = run_tool(*command[1:])
    assert done.returncode == 1 and '1.jpg: image can not be read: ' in done.stderr.splitlines()[-1]
