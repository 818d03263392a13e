"""Clips as all converters write them."""

from __future__ import annotations

import numpy as np
import pytest

from cmpose_mm.converters.posetrack_form import Clip


@pytest.mark.parametrize('num_full, expected', [(10, True), (9, True), (8, False), (0, False)])
def test_full_body_is_all_limbs_in_nine_of_ten_frames(num_full, expected) -> None:
    keypoints = np.ones((10, 15, 3))
    keypoints[num_full:, -1] = 0
    boxes = np.full((10, 4), np.nan)
    clip = Clip(1, [''] * 10, keypoints, boxes, boxes, 64, 48, 'run', 'name')
    assert clip.is_full_body == expected
