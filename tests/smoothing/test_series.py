"""Gap filling and Savitzky-Golay: against scipy on the same series, and least squares by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_filter

from cmpose_mm.smoothing import fill_gaps, smooth_series
from cmpose_mm.smoothing.series import window_in_frames


def slow_savgol(values, window, order):
    """A polynomial by least squares for every frame; at the ends that of the outermost window."""
    half, out = window // 2, []
    for n in range(len(values)):
        center = min(max(n, half), len(values) - 1 - half)
        frames = np.arange(center - half, center + half + 1)
        out.append(np.polyval(np.polyfit(frames - n, values[frames], order), 0))
    return np.array(out)


@pytest.mark.parametrize('window, order', [(5, 2), (7, 3), (3, 1)])
def test_equals_scipy_and_least_squares(window, order):
    values = np.random.default_rng(0).normal(size=(20, 4)).cumsum(axis=0)
    found = smooth_series(values, np.ones(20, bool), window, order)
    np.testing.assert_array_equal(found, savgol_filter(values, window, order, axis=0))
    for column in range(4):
        np.testing.assert_allclose(
            found[:, column], slow_savgol(values[:, column], window, order), atol=1e-9
        )


def test_runs_are_smoothed_apart():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(24, 2))
    known = np.ones(24, bool)
    known[[3, 9, 10, 21]] = False  # runs of 3, 5, 10 and 2 frames
    found = smooth_series(values, known, 7, 2)
    expected = values.copy()
    expected[4:9] = savgol_filter(values[4:9], 5, 2, axis=0)  # the largest window that fits
    expected[11:21] = savgol_filter(values[11:21], 7, 2, axis=0)
    np.testing.assert_array_equal(found, expected)
    assert np.array_equal(smooth_series(values, np.zeros(24, bool), 7), values)


def test_gaps_are_filled_by_straight_lines():
    values = np.array([[0.0], [9], [9], [6], [9], [9], [9], [2], [9]])
    seen = np.array([1, 0, 0, 1, 0, 0, 0, 1, 0], bool)
    filled, known = fill_gaps(values, seen, 2)
    assert known.tolist() == [True] * 4 + [False] * 3 + [True, False]
    np.testing.assert_allclose(filled[known, 0], [0, 2, 4, 6, 2])
    filled, known = fill_gaps(values, seen, 3)
    np.testing.assert_allclose(filled[:, 0], [0, 2, 4, 6, 5, 4, 3, 2, 9])
    assert known.tolist() == [True] * 8 + [False]
    assert np.array_equal(fill_gaps(values, seen, 0)[1], seen)


def test_window_is_the_nearest_odd_number_of_frames_that_smooths():
    rates = (1, 8, 12, 15, 24, 25, 30, 60, 120)
    for order in (0, 1, 2, 3):
        frames = [window_in_frames(0.25, rate, order) for rate in rates]
        least = order + 2 if order % 2 else order + 3 if order else 3
        assert all(n % 2 == 1 for n in frames)
        assert all(abs(n - max(0.25 * rate, least)) <= 1 for n, rate in zip(frames, rates))
        assert frames[0] == least and frames[-1] in (29, 31)
        assert window_in_frames(0, 25, order) == 1
        noise = np.random.default_rng(0).normal(size=(9, 1))
        assert (smooth_series(noise, np.ones(9, bool), least, order) != noise).all()


def test_steady_motion_stays_at_uneven_times():
    """A polynomial of the order over time, at a variable frame rate with dropped frames."""
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.3, 3, 60))
    values = np.stack([7 * times - 4, 90 - times], axis=1)
    known = np.ones(60, bool)
    found = smooth_series(values, known, 7, 2, times, max_gap=5)
    np.testing.assert_allclose(found, values, atol=1e-9)
    seen = known.copy()
    seen[[5, 20, 21, 40]] = False
    filled, now = fill_gaps(np.where(seen[:, None], values, 0), seen, 9, times)
    assert now.all()
    np.testing.assert_allclose(filled, values, atol=1e-9)


def test_noise_falls_at_uneven_times_too():
    rng = np.random.default_rng(3)
    times = np.arange(200) + rng.uniform(-0.3, 0.3, 200)
    noise = rng.normal(size=(200, 1))
    even = smooth_series(noise, np.ones(200, bool), 7)
    uneven = smooth_series(noise, np.ones(200, bool), 7, 2, times, 2)
    assert even.std() < 0.7 * noise.std() and uneven.std() < 0.75 * noise.std()


def test_a_pause_is_a_gap():
    times = np.array([0, 1, 2, 3, 4, 30, 31, 32, 33, 34.0])
    values = np.repeat([[0.0], [200]], 5, axis=0)
    known = np.ones(10, bool)
    found = smooth_series(values, known, 5, 2, times, max_gap=6)
    np.testing.assert_allclose(found, values, atol=1e-9)
    seen = known.copy()
    seen[[4, 5]] = False
    assert np.array_equal(fill_gaps(values, seen, 6, times)[1], seen)
    assert fill_gaps(values, seen, 28, times)[1].all()


def test_wrong_window():
    with pytest.raises(ValueError, match='window is 4 and order 2, expected an odd number'):
        smooth_series(np.zeros((9, 1)), np.ones(9, bool), 4)


def test_times_that_are_not_even_are_taken_as_they_are():
    """A line in time stays a line; by frame numbers it would have steps."""
    rng = np.random.default_rng(3)
    times = np.arange(40.0) + rng.uniform(-0.4, 0.4, 40)
    line = (5 + 3 * times)[:, None]
    found = smooth_series(line, np.ones(40, bool), 9, 2, times=times)
    np.testing.assert_allclose(found, line, atol=1e-9)
    by_number = smooth_series(line, np.ones(40, bool), 9, 2)
    assert np.abs(by_number - line).max() > 0.5
