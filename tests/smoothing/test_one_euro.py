"""One-Euro: against a loop over single coordinates; tracks, gaps and wrong input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmpose_mm.smoothing import OneEuroSmoother


def slow_one_euro(values, times, size, min_cutoff, beta, derivative_cutoff):
    """The filter of one coordinate, as its authors write it."""

    def alpha(cutoff, step):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau / step)

    out, speed = [values[0]], 0.0
    for n in range(1, len(values)):
        step = times[n] - times[n - 1]
        raw_speed = (values[n] - values[n - 1]) / step / size
        a = alpha(derivative_cutoff, step)
        speed = a * raw_speed + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed), step)
        out.append(a * values[n] + (1 - a) * out[-1])
    return out


@pytest.mark.parametrize('settings', [(2.0, 10.0, 1.0), (0.5, 0.0, 3.0)])
def test_equals_the_loop(settings):
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.2, 12))
    poses = rng.normal(0, 50, (12, 2, 3, 2)).cumsum(axis=0)  # to and fro
    sizes = [80.0, 200.0]
    smoother = OneEuroSmoother(*settings)
    # The second person is away in two frames, and is in another place of the list at times.
    found = {0: [], 7: []}
    for frame, time in enumerate(times):
        persons = [0] if frame in (4, 5) else [1, 0] if frame % 2 else [0, 1]
        ids = np.array([(0, 7)[p] for p in persons])
        out = smoother.update(ids, poses[frame, persons], np.array(sizes)[persons], time)
        for track, pose in zip(ids.tolist(), out):
            found[track].append(pose)
    for person, out in enumerate(found.values()):
        seen = [f for f in range(12) if not (person and f in (4, 5))]
        for joint, axis in np.ndindex(3, 2):
            expected = slow_one_euro(
                poses[seen, person, joint, axis], times[seen], sizes[person], *settings
            )
            np.testing.assert_allclose(
                np.array(out)[:, joint, axis], expected, rtol=1e-12, atol=1e-9
            )


def test_a_person_at_rest_trembles_less_and_a_runner_hardly_lags():
    rng = np.random.default_rng(1)
    still, moving = OneEuroSmoother(), OneEuroSmoother()
    noise = rng.normal(0, 1, (100, 1, 15, 2))
    rest, run = [], []
    for n in range(100):
        arguments = np.array([0]), np.array([100.0]), n / 25
        rest.append(still.update(arguments[0], noise[n], *arguments[1:]))
        path = np.full((1, 15, 2), 12.0 * n)  # three body lengths a second
        run.append(path - moving.update(arguments[0], path, *arguments[1:]))
    assert np.std(rest[20:]) < 0.6
    assert np.abs(run[20:]).max() < 12 / 3  # a third of a frame


def test_input_stays_and_persons_without_a_track_are_left_alone():
    smoother = OneEuroSmoother()
    pose = np.random.default_rng(0).uniform(0, 9, (2, 4, 2))
    before = pose.copy()
    for time in (0.0, 0.1):
        out = smoother.update(np.array([-1, 3]), pose + time * 50, np.ones(2), time)
    np.testing.assert_array_equal(pose, before)
    np.testing.assert_array_equal(out[0], pose[0] + 5)
    assert (out[1] != pose[1] + 5).any()
    assert smoother.update(np.zeros(0), np.zeros((0, 4, 2)), np.zeros(0), 0.2).shape == (0, 4, 2)


def test_wrong_input_changes_nothing():
    smoother, pose = OneEuroSmoother(), np.ones((2, 3, 2))
    smoother.update(np.array([1, 2]), pose, np.ones(2), 1.0)
    for ids, sizes, time, said in (
        ([1, 1], [1, 1], 2.0, 'expected each track once'),
        ([1, 2], [1, 0], 2.0, 'expected them above 0'),
        ([5, 2], [1, 1], 1.0, 'expected it after 1.0 s, when track 2 was last seen'),
    ):
        with pytest.raises(ValueError, match=said):
            smoother.update(np.array(ids), 9 * pose, np.array(sizes), time)
    out = smoother.update(np.array([5, 2]), pose, np.ones(2), 2.0)
    np.testing.assert_array_equal(out, pose)
    with pytest.raises(ValueError, match='min_cutoff is 0'):
        OneEuroSmoother(min_cutoff=0)


def test_memory_does_not_grow_with_the_number_of_tracks():
    smoother, pose = OneEuroSmoother(), np.ones((1, 3, 2))
    for track in range(2000):
        smoother.update(np.array([track]), pose, np.ones(1), track / 25)
    assert len(smoother._last) <= 10 * 25 + 1
    back = smoother.update(np.array([0]), pose + 7, np.ones(1), 81.0)
    np.testing.assert_array_equal(back, pose + 7)


def test_a_track_begins_anew_after_ten_seconds_whoever_else_is_there():
    for others in ([], [19.9]):
        smoother = OneEuroSmoother()
        smoother.update([1], np.zeros((1, 1, 2)), [50], 0.0)
        for time in others:
            smoother.update([2], np.zeros((1, 1, 2)), [50], time)
        found = smoother.update([1], np.full((1, 1, 2), 1000.0), [50], 20.0)
        assert (found == 1000).all()


def test_what_is_not_finite_is_refused_and_forgotten():
    smoother = OneEuroSmoother()
    smoother.update([1], np.ones((1, 1, 2)), [50], 0.0)
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match='keypoints have a coordinate that is not finite'):
            smoother.update([1], np.full((1, 1, 2), value), [50], 0.1)
    assert np.isfinite(smoother.update([1], np.ones((1, 1, 2)), [50], 0.2)).all()
