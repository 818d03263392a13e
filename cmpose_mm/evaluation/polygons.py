"""Which points lie strictly inside a polygon: the test behind PoseTrack's ignore regions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

# Shewchuk's bound on the relative error of a 2 x 2 orientation determinant in float64
_ORIENT_ERROR = (3 + 16 * 2**-53) * 2**-53


def inside_any_polygon(points: np.ndarray, polygons: list[np.ndarray]) -> np.ndarray:
    """Tells which points lie strictly inside at least one polygon.

    Even-odd rule, so a polygon may cross itself; a point on its boundary is outside. Polygons of
    fewer than three corners contain nothing. The answer is exact for the given float64 numbers.

    Args:
        points: (M, 2), pixels of the image.
        polygons: each (n, 2), pixels of the image; the last corner joins the first.

    Returns:
        (M,) bool.
    """
    inside = np.zeros(len(points), dtype=bool)
    for polygon in polygons:
        if len(polygon) < 3:
            continue
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        near = np.flatnonzero(((points > low) & (points < high)).all(axis=1) & ~inside)
        if len(near):
            inside[near] = _inside_polygon(points[near], polygon)
    return inside


def _inside_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(M,) bool: strictly inside one polygon of at least three corners."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = polygon.T
    bx, by = np.roll(polygon, -1, axis=0).T
    left, right = (bx - ax) * (y - ay), (by - ay) * (x - ax)
    turn = left - right  # > 0: the point is to the left of the edge a -> b
    at_height = (np.minimum(ay, by) <= y) & (y <= np.maximum(ay, by))
    unsure = at_height & (np.abs(turn) <= _ORIENT_ERROR * (np.abs(left) + np.abs(right)))
    for point, edge in np.argwhere(unsure):
        turn[point, edge] = _exact_turn(polygon[edge], (bx[edge], by[edge]), points[point])
    beside = (np.minimum(ax, bx) <= x) & (x <= np.maximum(ax, bx))
    on_boundary = (at_height & beside & (turn == 0)).any(axis=1)
    # a ray to the right of the point crosses the edge: half-open heights count a corner once
    crosses = ((ay > y) != (by > y)) & (np.where(by > ay, turn, -turn) > 0)
    return (crosses.sum(axis=1) % 2 == 1) & ~on_boundary


def _exact_turn(a, b, point) -> int:
    """Sign of the orientation determinant in exact arithmetic."""
    ax, ay, bx, by, x, y = (Fraction(float(value)) for value in (*a, *b, *point))
    turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return (turn > 0) - (turn < 0)
