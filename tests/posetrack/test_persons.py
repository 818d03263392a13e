"""Boxes of persons: absent ones, cut ones, and those that can't be used."""

from __future__ import annotations

import numpy as np
import pytest

from cmpose_mm.posetrack.annotations import Video, empty_frame
from cmpose_mm.posetrack.persons import (
    box_problem,
    clip_box,
    key_frames,
    person_boxes,
    repeated_ids,
)

NAN = float('nan')


def test_absent_boxes_are_the_extent_of_the_labeled_joints_times_1_3():
    keypoints = np.zeros((3, 15, 3))
    keypoints[0, 3] = 10, 20, 1
    keypoints[0, 7] = 30, 60, 0  # occluded but labeled: counts
    boxes = np.array([[NAN] * 4, [1, 2, 3, 4], [NAN] * 4])
    got = person_boxes(boxes, keypoints)
    # Extent 20 x 40 about (20, 40), enlarged to 26 x 52. Unlabeled joints at (0, 0) don't count.
    np.testing.assert_allclose(got[0], [7, 14, 33, 66])
    np.testing.assert_allclose(got[1], [1, 2, 4, 6])
    assert np.isnan(got[2]).all()


@pytest.mark.parametrize(
    'box, problem',
    [
        ([0, 0, 10, 10], None),
        ([-5, -5, 300, 300], None),
        ([99.5, 0, 110, 10], 'a box outside the image'),
        ([-20, 0, 0, 10], 'a box outside the image'),
        ([10, 80, 20, 90], 'a box outside the image'),
        ([10, -30, 20, -1], 'a box outside the image'),
        ([10, 10, 10, 20], 'a box of zero or negative size'),
        ([10, 10, 20, 5], 'a box of zero or negative size'),
        ([NAN, 0, 10, 10], 'a box that is not finite'),
        ([0, 0, float('inf'), 10], 'a box that is not finite'),
    ],
)
def test_box_problem(box, problem):
    assert box_problem(np.array(box, float), width=100, height=80) == problem


def test_clip_box_ends_at_the_last_pixel():
    clipped = clip_box(np.array([-5.0, 3.5, 300.0, 80.0]), width=100, height=80)
    assert clipped.tolist() == [0, 3.5, 99, 79]


def video(name, labeled, ids=()):
    """A video of as many frames as `labeled` has flags, with annotation ids in each."""
    frames = [empty_frame(f'{name}/{number}.jpg', number, number) for number in range(len(labeled))]
    for frame, flag in zip(frames, labeled):
        frame.is_labeled = flag
    for frame, values in zip(frames, ids):
        frame.ids = np.array(values, np.int64)
    return Video(name, frames, f'{name}.json')


def test_key_frames_are_the_labeled_ones_and_those_of_test_videos():
    videos = [video('a', [True, False, True]), video('b', [False, False])]
    found = [(v.name, f.number) for v, f in key_frames(videos)]
    assert found == [('a', 0), ('a', 2)]
    detected = [(v.name, f.number) for v, f in key_frames(videos, detected=True)]
    assert detected == [*found, ('b', 0), ('b', 1)]


@pytest.mark.parametrize(
    'ids, repeated',
    [
        ([[1, 2], [3]], []),
        ([[-1, -1], [-1]], []),
        ([[0, 1], [0, 1, 2]], ['a/1.jpg, annotation 0', 'a/1.jpg, annotation 1']),
        ([[4, 4, 4], []], ['a/0.jpg, annotation 4'] * 2),
    ],
)
def test_repeated_annotation_ids(ids, repeated):
    both = [video('a', [True, True], ids), video('b', [True], [[10]])]
    assert repeated_ids(key_frames(both)) == [f'a.json: {where}' for where in repeated]
