"""Occluders: their area, their paths, and that labels know which joints they hide."""

import math

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


def slow_mask(severity, number, size):
    """(H, W) bool, pixel by pixel from the definition of each object."""
    width, height = size
    mask = np.zeros((height, width), dtype=bool)
    for occluder in draw_occluders(stream()):
        place = []
        for start, velocity, extent in zip(occluder.start, occluder.velocity, size):
            across = (start + velocity * number) % 2
            place.append((across if across <= 1 else 2 - across) * extent)
        # Of the shape with half axes of 1, in strips: 3.1416 for an ellipse.
        strips = (np.arange(100_000) + 0.5) / 100_000
        unit_area = 4 * ((1 - strips**occluder.power) ** (1 / occluder.power)).mean()
        area = setting('moving_occluders', severity) * width * height / NUM_OCCLUDERS
        half_v = math.sqrt(area / unit_area / occluder.aspect)
        half_u = occluder.aspect * half_v
        angle = occluder.angle + number * occluder.spin
        for y in range(height):
            for x in range(width):
                dx, dy = x - place[0], y - place[1]
                u = (math.cos(angle) * dx + math.sin(angle) * dy) / half_u
                v = (math.cos(angle) * dy - math.sin(angle) * dx) / half_v
                if abs(u) ** occluder.power + abs(v) ** occluder.power <= 1:
                    mask[y, x] = True
    return mask


@pytest.mark.parametrize('severity, number', [(1, 0), (4, 90)])
def test_drawn_pixels_against_a_loop(severity, number):
    assert {occluder.power for occluder in draw_occluders(stream())} == {2, 4}
    expected = slow_mask(severity, number, SIZE)
    # A pixel on the very edge may fall to either side: areas agree to 7 digits.
    assert (expected != drawn(severity, number)).sum() <= 1 and 0.02 < expected.mean() < 0.9


def test_objects_grow_where_they_are():
    masks = [drawn(severity, 3) for severity in range(1, 6)]
    for smaller, larger in zip(masks, masks[1:]):
        assert (smaller <= larger).all() and smaller.sum() < larger.sum()


def test_objects_move_smoothly_and_stay_in_the_image():
    for occluder in draw_occluders(stream()):
        path = np.array([occluder.center(number) for number in range(2000)])
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
