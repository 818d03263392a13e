"""Similarity of persons against plain loops and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import slow_tracker
from hypothesis import given
from hypothesis import strategies as st

from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_SIGMAS
from cmpose_mm.tracking import box_iou, object_keypoint_similarity


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(-50, 150, (count, 2))
    return np.concatenate([low, low + rng.uniform(1, 120, (count, 2))], axis=1)


def test_sigmas_are_those_of_mmpose() -> None:
    pytest.importorskip('mmpose')
    from mmengine.hub import get_config

    from cmpose_mm.datasets.body.posetrack_video_dataset import posetrack_metainfo

    info = get_config('mmpose::_base_/datasets/posetrack18.py').dataset_info
    by_name = {info.keypoint_info[i].name: sigma for i, sigma in enumerate(info.sigmas)}
    assert list(JOINT_SIGMAS) == [by_name[name] for name in JOINT_NAMES]
    assert list(JOINT_SIGMAS) == posetrack_metainfo('posetrack18')['sigmas']


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 5))
def test_iou_equals_the_slow_reference(seed, num_first, num_second) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_boxes(rng, num_first), random_boxes(rng, num_second)
    found = box_iou(first, second)
    assert found.shape == (num_first, num_second)
    expected = [slow_tracker.iou(a, b) for a in first for b in second]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-12, atol=0)


def test_known_iou() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 7, 7]])
    np.testing.assert_allclose(box_iou(box, others), [[1, 1 / 3, 0, 0.25]])


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 4))
def test_oks_equals_the_slow_reference(seed, num_first, num_second) -> None:
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 60, (num_first, 15, 2))
    second = rng.uniform(0, 60, (num_second, 15, 2))
    first_seen = rng.random((num_first, 15)) < 0.3
    second_seen = rng.random((num_second, 15)) < 0.3
    first_areas = rng.uniform(100, 40000, num_first)
    second_areas = rng.uniform(100, 40000, num_second)
    found = object_keypoint_similarity(
        first, second, first_seen, second_seen, first_areas, second_areas
    )
    assert found.shape == (num_first, num_second)
    for a in range(num_first):
        for b in range(num_second):
            expected = slow_tracker.oks(
                first[a], second[b], first_seen[a], second_seen[b], first_areas[a], second_areas[b]
            )
            if expected is None:
                assert np.isnan(found[a, b])
            else:
                assert found[a, b] == pytest.approx(expected, rel=1e-10)


def test_known_oks() -> None:
    """A shift by one standard deviation of the nose, in an area of 100 x 100."""
    joints = np.zeros((1, 15, 2))
    seen = np.zeros((1, 15), dtype=bool)
    seen[0, JOINT_NAMES.index('nose')] = True
    areas = np.array([100.0**2])
    moved = joints + [2 * 0.026 * 100, 0]
    found = object_keypoint_similarity(joints, moved, seen, seen, areas, areas)
    assert found == pytest.approx(math.exp(-0.5))
