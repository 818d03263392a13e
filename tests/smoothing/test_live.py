"""Smoothing of the inferencer's results."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cmpose_mm.smoothing import OneEuroSmoother, smooth_live


def results(times, persons=2):
    rng = np.random.default_rng(0)
    for number, time in enumerate(times):
        count = 0 if number == 3 else persons
        boxes = np.array([[0, 0, 40, 90], [10, 10, 130, 60]], np.float32)[:count]
        pred = SimpleNamespace(
            keypoints=rng.uniform(0, 90, (count, 5, 2)).astype(np.float32),
            bboxes=boxes, track_ids=np.array([2, -1])[:count],
        )  # fmt: skip
        yield SimpleNamespace(
            frame=SimpleNamespace(number=number, time=time),
            data_sample=SimpleNamespace(pred_instances=pred),
        )


@pytest.mark.parametrize('times', [[0, 0.1, 0.2, 0.3, 0.5, 0.6], [None] * 6])
def test_equals_the_smoother(times):
    raw = [r.data_sample.pred_instances for r in results(times)]
    found = [r.data_sample.pred_instances for r in smooth_live(results(times), frame_rate=10)]
    smoother = OneEuroSmoother()
    for number, (before, after) in enumerate(zip(raw, found)):
        assert after.keypoints.dtype == np.float32
        if number != 3:
            time = number / 10 if times[0] is None else times[number]
            expected = smoother.update(before.track_ids, before.keypoints, [90, 120], time)
            np.testing.assert_array_equal(after.keypoints, expected.astype(np.float32))
            np.testing.assert_array_equal(after.keypoints[1], before.keypoints[1])


def test_frames_without_a_time_need_a_rate():
    with pytest.raises(ValueError, match='frame 0 has no time, expected a frame rate'):
        next(smooth_live(results([None])))


def test_times_that_do_not_rise_count_as_one_frame_later():
    """As files and streams have them; the rest of the video is smoothed all the same."""
    with pytest.warns(UserWarning, match=r'frame 2 has the time 0\.1.* not after 0\.1') as told:
        found = [
            r.data_sample.pred_instances.keypoints
            for r in smooth_live(results([0, 0.1, 0.1, 0.05, 0.5, 0.6]), frame_rate=10)
        ]
    expected = [
        r.data_sample.pred_instances.keypoints
        for r in smooth_live(results([0, 0.1, 0.2, 0.30000000000000004, 0.5, 0.6]))
    ]
    assert len(told) == 1
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)
