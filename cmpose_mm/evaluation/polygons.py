"""Which points lie strictly inside a polygon: the test behind PoseTrack's ignore regions.

Shapes: F frames, M points and R polygons of all frames, kept flat frame after frame.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .grouped_pairs import pairs_within

# Shewchuk's bound on the relative error of a 2 x 2 orientation determinant in float64
_ORIENT_ERROR = (3 + 16 * 2**-53) * 2**-53
_MAX_EDGES = 1_000_000  # looked at together, to bound memory


def inside_any_polygon(
    points: np.ndarray, num_points: np.ndarray, polygons: list[np.ndarray], num_polygons: np.ndarray
) -> np.ndarray:
    """Tells which points lie strictly inside at least one polygon of their frame.

    Even-odd rule, so a polygon may cross itself; a point on its boundary is outside. Polygons of
    fewer than three corners contain nothing. The answer is exact for the given float64 numbers.

    Args:
        points: (M, 2), pixels of the image.
        num_points: (F,) points of each frame.
        polygons: R arrays (n, 2), pixels of the image; the last corner joins the first.
        num_polygons: (F,) polygons of each frame.

    Returns:
        (M,) bool.
    """
    inside = np.zeros(len(points), dtype=bool)
    sizes = np.array([len(polygon) for polygon in polygons], dtype=int)
    if not (len(points) and (sizes >= 3).any()):
        return inside
    # a polygon of one corner stands in for an empty one, which the grouping below cannot hold
    corners = np.concatenate([p if len(p) else np.full((1, 2), np.nan) for p in polygons])
    sizes = np.maximum(sizes, 1)
    starts = np.cumsum(sizes) - sizes
    low, high = np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)
    ends = np.roll(np.arange(len(corners)), -1)  # of the edge that starts at each corner
    ends[starts + sizes - 1] = starts

    point, polygon = pairs_within(num_points, num_polygons)
    near = np.ones(len(point), dtype=bool)
    for axis in (0, 1):
        value = points[point, axis]
        near &= (value > low[polygon, axis]) & (value < high[polygon, axis])
    point, polygon = point[near], polygon[near]
    chunk = np.cumsum(sizes[polygon]) // _MAX_EDGES
    for part in np.split(np.arange(len(point)), np.flatnonzero(np.diff(chunk)) + 1):
        hit = _inside(
            points[point[part]], corners, ends, starts[polygon[part]], sizes[polygon[part]]
        )
        inside[point[part[hit]]] = True
    return inside


def _inside(
    points: np.ndarray, corners: np.ndarray, ends: np.ndarray, starts: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """(n,) bool for n points, each with the polygon whose corners are `sizes` from `starts` on."""
    n = len(points)
    pair = np.repeat(np.arange(n), sizes)
    edge = np.arange(len(pair)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    height = points[pair, 1]
    ay, by = corners[edge, 1], corners[ends[edge], 1]
    level = (np.minimum(ay, by) <= height) & (height <= np.maximum(ay, by))
    pair, edge = pair[level], edge[level]  # no other edge is crossed or touched

    (x, y), (ax, ay), (bx, by) = points[pair].T, corners[edge].T, corners[ends[edge]].T
    left, right = (bx - ax) * (y - ay), (by - ay) * (x - ax)
    turn = left - right  # > 0: the point is to the left of the edge a -> b
    for i in np.flatnonzero(np.abs(turn) <= _ORIENT_ERROR * (np.abs(left) + np.abs(right))):
        turn[i] = _exact_turn(ax[i], ay[i], bx[i], by[i], x[i], y[i])
    touches = (turn == 0) & (np.minimum(ax, bx) <= x) & (x <= np.maximum(ax, bx))
    # a ray to the right of the point crosses the edge: half-open heights count a corner once
    crosses = ((ay > y) != (by > y)) & (np.where(by > ay, turn, -turn) > 0)
    num_crossed = np.bincount(pair[crosses], minlength=n)
    return (num_crossed % 2 == 1) & (np.bincount(pair[touches], minlength=n) == 0)


def _exact_turn(*numbers: float) -> int:
    """Sign of the orientation determinant in exact arithmetic."""
    ax, ay, bx, by, x, y = map(Fraction, map(float, numbers))
    turn = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    return (turn > 0) - (turn < 0)
