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


@pytest.mark.parametrize('rate', [10, None])
def test_times_that_do_not_rise_count_as_one_frame_later(rate):
    times, step = [5, 5.1, 5.1, 5.4, 5.2, 5.5, 0.1, 7], 1 / (rate or 25)
    expected = [5, 5.1, 5.1 + step, 5.4, 5.4 + step, 5.5, 5.5 + step, 7]
    if rate:  # frame 4 has the time of frame 5 then
        expected[5:7] = [5.6, 5.7]
    with pytest.warns(UserWarning, match='frame 2 has the time 5.100 s, .* after 5.100 s') as told:
        found = list(smooth_live(results(times), rate))
    assert len(told) == 1
    for result, other in zip(found, smooth_live(results(expected))):
        np.testing.assert_allclose(
            result.data_sample.pred_instances.keypoints,
            other.data_sample.pred_instances.keypoints, rtol=1e-5,
        )  # fmt: skip
        assert result.frame.time == times[result.frame.number]  # in the files
