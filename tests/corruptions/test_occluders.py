"""Occluders: their area, their paths, and that labels know which joints they hide."""

import numpy as np
import pytest

from cmpose_mm.corruptions import (
    moving_occluders,
    occluded_points,
    random_stream,
    setting,
)
from cmpose_mm.corruptions.occluders import NUM_OCCLUDERS, draw_occluders

SIZE = (160, 120)


def stream(sequence='s'):
    return random_stream(0, 'moving_occluders', sequence)


def drawn(severity, number, sequence='s', size=SIZE):
    """(H, W) bool: the pixels that are painted over, seen on two backgrounds."""
    black = np.zeros((size[1], size[0], 3), np.uint8)
    over = [
        moving_occluders(np.full_like(black, value), severity, stream(sequence), number)
        for value in (0, 255)
    ]
    return (over[0] == over[1]).all(axis=-1)


@pytest.mark.parametrize('severity', [1, 3, 5])
@pytest.mark.parametrize('number', [0, 7, 500])
def test_hidden_points_are_the_drawn_pixels(severity, number):
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    points = np.stack([x, y], axis=-1).astype(float)
    hidden = occluded_points(points, SIZE, severity, stream(), number)
    assert np.array_equal(hidden, drawn(severity, number))
    assert 0 < hidden.mean() < 1


def test_area_of_each_object():
    # Twelve objects, each alone on a canvas so large that it is not cut off.
    size, severity = (4000, 3000), 2
    area = setting('moving_occluders', severity) * size[0] * size[1] / NUM_OCCLUDERS
    y, x = np.mgrid[-2000:2000:10, -2000:2000:10]
    for sequence in ('a', 'b'):
        for occluder in draw_occluders(stream(sequence)):
            centre = occluder.centre(5) * size
            alone = _alone(occluder, np.stack([x, y], -1) + centre, size, severity)
            assert alone.sum() * 100 == pytest.approx(area, rel=0.01)


def _alone(occluder, points, size, severity):
    from cmpose_mm.corruptions import occluders

    offset = points - occluder.centre(5) * size
    axes = occluders._half_axes(occluder, severity, *size)
    return occluders._inside(
        occluder, *occluders._own_coordinates(occluder, axes, offset[..., 0], offset[..., 1], 5)
    )


def test_objects_grow_where_they_are():
    masks = [drawn(severity, 3) for severity in range(1, 6)]
    for smaller, larger in zip(masks, masks[1:]):
        assert (smaller <= larger).all() and smaller.sum() < larger.sum()


def test_objects_move_smoothly_and_stay_in_the_image():
    for occluder in draw_occluders(stream()):
        path = np.array([occluder.centre(number) for number in range(2000)])
        steps = np.abs(np.diff(path, axis=0))
        assert path.min() >= 0 and path.max() <= 1
        assert (steps <= occluder.velocity + 1e-9).all()
        # Straight on nearly always: reflections at the borders are rare.
        assert (np.isclose(steps, occluder.velocity).mean(axis=0) > 0.95).all()


def test_next_frame_is_nearly_the_same_and_a_later_one_is_not():
    first, second, later = (drawn(4, number).astype(bool) for number in (10, 11, 60))
    overlap = (first & second).sum() / (first | second).sum()
    assert overlap > 0.85
    assert (first & later).sum() / (first | later).sum() < overlap - 0.2


def test_sequences_differ():
    assert not np.array_equal(drawn(3, 0, 'one'), drawn(3, 0, 'two'))
