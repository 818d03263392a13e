"""Clips as all converters write them."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from cmpose_mm.converters.posetrack_form import Clip, config_options, mim_can_not_read


def test_options_can_be_pasted_into_a_shell() -> None:
    options = shlex.split(config_options('/my data/split1', '/a'))
    assert 'val_dataloader.dataset.data_root=/my data/split1/' in options and len(options) == 6


def test_folders_that_mim_can_not_read_are_told() -> None:
    assert mim_can_not_read('/data/split1', '/a') is None
    for folder in ('/my data', '/a,b'):
        assert mim_can_not_read('/data', folder).startswith(f'{folder}: mim drops spaces after')


@pytest.mark.parametrize('num_full, expected', [(10, True), (9, True), (8, False), (0, False)])
def test_full_body_is_all_limbs_in_nine_of_ten_frames(num_full, expected) -> None:
    keypoints = np.ones((10, 15, 3))
    keypoints[num_full:, -1] = 0
    boxes = np.full((10, 4), np.nan)
    clip = Clip(1, [''] * 10, keypoints, boxes, boxes, 64, 48, 'run', 'name')
    assert clip.is_full_body == expected
