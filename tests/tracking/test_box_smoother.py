"""Smoothed boxes against a weighted straight-line fit through the whole history."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpose_mm.tracking import BoxSmoother


def slow_smooth(history: list[tuple[int, np.ndarray]], now: int, decay: float) -> np.ndarray:
    """The box at `now`, the time of the last of (time, box), by numpy's fit of polynomials."""
    if len(history) == 1:
        return history[-1][1]
    times = np.array([time for time, _ in history])
    boxes = np.array([box for _, box in history])
    sizes = boxes[:, 2:] - boxes[:, :2]
    values = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, np.log(sizes)], axis=1)
    # polyfit squares the weights
    x, y, w, h = np.polyfit(times - now, values, 1, w=np.sqrt(decay ** (now - times)))[1]
    return np.array([x - np.exp(w) / 2, y - np.exp(h) / 2, x + np.exp(w) / 2, y + np.exp(h) / 2])


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(0, 300, (count, 2))
    return np.concatenate([low, low + rng.uniform(20, 200, (count, 2))], axis=1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.6, 0.8, 0.95]))
@pytest.mark.slow
def test_equals_a_fit_through_all_boxes(seed, decay) -> None:
    rng = np.random.default_rng(seed)
    smoother, histories = BoxSmoother(decay), {}
    for now in range(12):
        ids = rng.permutation(np.flatnonzero(rng.random(4) < 0.7))
        boxes = random_boxes(rng, len(ids))
        smoothed = smoother.update(ids, boxes)
        for track_id, box, found in zip(ids.tolist(), boxes, smoothed):
            histories.setdefault(track_id, []).append((now, box))
            np.testing.assert_allclose(
                found, slow_smooth(histories[track_id], now, decay), rtol=1e-7, atol=1e-6
            )


def test_even_motion_is_not_lagged_behind() -> None:
    smoother = BoxSmoother(0.8)
    for number in range(50):
        half = 20 * 1.02**number
        center = np.array([100 + 7.0 * number, 200 - 3 * number])
        box = np.concatenate([center - half, center + half])[None]
        np.testing.assert_allclose(smoother.update(np.array([3]), box), box, rtol=1e-9)


@pytest.mark.parametrize('decay, share', [(0.6, 0.75), (0.8, 0.55), (0.9, 0.4)])
def test_jitter_shrinks(decay, share) -> None:
    rng = np.random.default_rng(0)
    smoother = BoxSmoother(decay)
    true = np.array([[100.0, 100, 300, 500]])
    noisy = [true + rng.normal(0, 5, (1, 4)) for _ in range(400)]
    smooth = [smoother.update(np.array([0]), box) for box in noisy]
    jitter, left = (np.std(np.array(boxes)[50:] - true) for boxes in (noisy, smooth))
    assert left < share * jitter


def test_without_decay_boxes_stay() -> None:
    rng = np.random.default_rng(0)
    smoother = BoxSmoother(0)
    for _ in range(5):
        boxes = random_boxes(rng, 3)
        np.testing.assert_allclose(smoother.update(np.arange(3), boxes), boxes, rtol=1e-12)


def test_persons_without_id_keep_their_boxes() -> None:
    rng = np.random.default_rng(0)
    smoother = BoxSmoother()
    for _ in range(5):
        boxes = random_boxes(rng, 4)
        smoothed = smoother.update(np.array([-1, 7, -1, 8]), boxes)
        np.testing.assert_array_equal(smoothed[[0, 2]], boxes[[0, 2]])
    assert (smoothed[[1, 3]] != boxes[[1, 3]]).all()


def test_a_track_that_was_away_starts_anew() -> None:
    smoother = BoxSmoother(0.6)
    for number in range(20):
        smoother.update(np.array([0]), np.array([[9.0 * number, 0, 9 * number + 50, 100]]))
    for _ in range(60):
        assert smoother.update(np.zeros(0, dtype=int), np.zeros((0, 4))).shape == (0, 4)
    box = np.array([[40.0, 10, 80, 120]])
    np.testing.assert_allclose(smoother.update(np.array([0]), box), box, rtol=1e-12)


def test_memory_does_not_grow() -> None:
    smoother = BoxSmoother(0.9)
    for track_id in range(500):
        smoother.update(np.array([track_id]), np.array([[0.0, 0, 50, 100]]))
    assert len(smoother._sums) < 200


def test_input_is_not_changed() -> None:
    rng = np.random.default_rng(0)
    smoother, ids = BoxSmoother(), np.arange(3)
    for _ in range(3):
        boxes = random_boxes(rng, 3)
        before = boxes.copy()
        smoother.update(ids, boxes)
        np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize(
    'ids, boxes, message',
    [
        ([0, 0], [[0, 0, 9, 9], [0, 0, 8, 8]], r'ids are \[0, 0\], expected each track once'),
        ([0], [[0, 0, np.nan, 9]], r'boxes\[0, 2\] is nan, expected finite numbers'),
        ([0], [[5, 5, 5, 9]], r'boxes\[0\] is \[5.0, 5.0, 5.0, 9.0\], expected x1, y1, x2, y2'),
        ([0, 1], [[0, 0, 9, 9]], r'ids has shape \(2,\), expected \(1,\)'),
    ],
)
def test_bad_input_is_one_clear_error_and_leaves_no_trace(ids, boxes, message) -> None:
    smoother, untouched = BoxSmoother(), BoxSmoother()
    for each in (smoother, untouched):
        each.update(np.array([0]), np.array([[0.0, 0, 10, 10]]))
    with pytest.raises(ValueError, match=message):
        smoother.update(np.array(ids), np.array(boxes, dtype=float))
    for step in range(3):
        box = np.array([[3.0 * step, 0, 10 + step * step, 10]])
        np.testing.assert_array_equal(
            smoother.update(np.array([0]), box), untouched.update(np.array([0]), box)
        )


@pytest.mark.parametrize('decay', [-0.1, 1.0, np.nan])
def test_decay_out_of_range_is_an_error(decay) -> None:
    with pytest.raises(ValueError, match=f'decay is {decay}, expected 0 or more'):
        BoxSmoother(decay)


def test_many_negative_ids_are_no_repetition() -> None:
    boxes = np.array([[0.0, 0, 9, 9]] * 3)
    np.testing.assert_array_equal(BoxSmoother().update(np.array([-1, -1, -1]), boxes), boxes)
