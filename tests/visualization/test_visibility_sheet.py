"""The sheet of a dataset's splits: what is drawn where, and the command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from processes import quick_python
from run_tools import run_tool

from cmpose_mm.visualization.layout import CAPTION_HEIGHT, GAP
from cmpose_mm.visualization.visibility_sheet import COLORS, visibility_sheet

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path) -> Path:
    """Two videos of three gray frames; one nose that is hidden, visible, and hidden twice over."""
    for split in ('one', 'two'):
        names = [f'images/{split}/a/{number:06d}.jpg' for number in range(4)]
        annotations = []
        for number, v in enumerate((0, 1, 0, 0)):
            keypoints = np.zeros((17, 3))
            keypoints[0] = 20 + 10 * number, 30, v
            keypoints[15] = 60, 60, 1
            annotations.append(dict(
                id=number, image_id=100 + number, category_id=1, track_id=0,
                keypoints=keypoints.ravel().tolist(), bbox=[10, 10, 60, 60],
                bbox_head=[10, 10, 20, 20],
            ))  # fmt: skip
            path = tmp_path / names[number]
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((90, 120, 3), 128, np.uint8))
        names17 = ['nose', 'head_bottom', 'head_top', 'left_ear', 'right_ear'] + [
            f'{side}_{part}'
            for part in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
            for side in ('left', 'right')
        ]
        labels = tmp_path / 'annotations' / split / 'a.json'
        labels.parent.mkdir(parents=True)
        labels.write_text(json.dumps(dict(
            images=[dict(id=100 + i, file_name=name) for i, name in enumerate(names)],
            annotations=annotations,
            categories=[dict(id=1, name='person', keypoints=names17)],
        )))  # fmt: skip
    return tmp_path


def test_a_video_without_labels_is_one_sentence(root):
    labels = root / 'annotations' / 'two' / 'a.json'
    labels.write_text(json.dumps({**json.loads(labels.read_text()), 'annotations': []}))
    with pytest.raises(ValueError, match="Video 0 of split 'two' has no labeled person"):
        visibility_sheet(root, ['one', 'two'], num_frames=4, height=180)


def test_joints_have_the_color_of_their_visibility(root):
    sheet = visibility_sheet(root, ['one', 'two'], num_frames=4, height=180)
    assert sheet.shape == (
        2 * (CAPTION_HEIGHT + 180 + GAP) + CAPTION_HEIGHT + 2 * GAP,
        4 * 240 + 5 * GAP,
        3,
    )
    top = GAP + CAPTION_HEIGHT
    for row in (top, top + 180 + GAP + CAPTION_HEIGHT):
        for frame, name in enumerate(('recoverable', 'visible', 'recoverable', 'lost')):
            corner = np.array([GAP + frame * (240 + GAP), row])
            x, y = corner + np.rint((np.array([20 + 10 * frame, 30]) + 0.5) * 2 - 0.5).astype(int)
            assert tuple(sheet[y, x]) == COLORS[name]
            x, y = corner + np.rint((np.array([60, 60]) + 0.5) * 2 - 0.5).astype(int)
            assert tuple(sheet[y, x]) == COLORS['visible']
            assert abs(int(sheet[y + 30, x, 0]) - 128) < 3


@pytest.mark.slow
def test_command(root):
    command = [quick_python(), str(ROOT / 'tools/draw_visibility.py'), str(root)]
    done = subprocess.run(
        [*command, str(root / 'out.jpg'), '--splits', 'one', '--frames', '2'],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(root / 'out.jpg')).shape[1] == 2 * 240 + 3 * GAP
    for wrong, message in (
        (['--splits', 'none'], 'not found'),
        (
            ['--splits', 'one', '--video', '1'],
            "'one' has the videos 0 to 0, not 1",
        ),
    ):
        done = run_tool(*command[1:], root / 'x.jpg', *wrong)
        assert done.returncode == 1 and message in done.stderr
