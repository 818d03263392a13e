"""Points in ignore regions, against exact arithmetic on one point and one polygon at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from slow_posetrack import strictly_inside

from cmpose_mm.evaluation import polygons as polygons_module
from cmpose_mm.evaluation.grouped_pairs import pairs_within
from cmpose_mm.evaluation.polygons import inside_any_polygon

# a coarse grid: corners, edges and points often meet, polygons often cross themselves
grid = st.tuples(st.integers(0, 6), st.integers(0, 6))
frames = st.lists(
    st.tuples(
        st.lists(grid, max_size=6),
        st.lists(st.lists(grid, max_size=7), max_size=3),
    ),
    max_size=3,
)


def check(scene: list, scale: float, offset: float) -> None:
    def place(spots) -> np.ndarray:
        return np.array(spots, dtype=float).reshape(-1, 2) * scale + offset

    points = [place(spots) for spots, _ in scene]
    polygons = [[place(polygon) for polygon in regions] for _, regions in scene]
    found = inside_any_polygon(
        np.concatenate([np.zeros((0, 2)), *points]),
        np.array([len(spots) for spots in points], dtype=int),
        [polygon for regions in polygons for polygon in regions],
        np.array([len(regions) for regions in polygons], dtype=int),
    )
    expected = [
        any(strictly_inside(point.tolist(), polygon.tolist()) for polygon in regions)
        for spots, regions in zip(points, polygons)
        for point in spots
    ]
    assert found.tolist() == expected


@given(frames, st.sampled_from([1.0, 0.1, 1 / 3, 1e-9]), st.sampled_from([0.0, 0.7, 1e6]))
def test_equals_exact_arithmetic(scene, scale, offset) -> None:
    check(scene, scale, offset)


@given(frames)
def test_work_in_small_parts_gives_the_same(scene) -> None:
    saved = polygons_module._MAX_EDGES
    polygons_module._MAX_EDGES = 4
    try:
        check(scene, 1.0, 0.0)
    finally:
        polygons_module._MAX_EDGES = saved


def test_points_beside_an_edge_that_float_arithmetic_takes_for_on_it() -> None:
    """Their coordinates differ by less than the rounding of the determinant."""
    triangle = np.array([[-24.0, -24.0], [24.0, 24.0], [48.0, 0.0]])
    one = np.ones(1, dtype=int)
    for i in range(8):
        for j in range(8):
            x, y = 0.5 + i * 2.0**-53, 0.5 + j * 2.0**-53
            found = inside_any_polygon(np.array([[x, y]]), one, [triangle], one)[0]
            assert found == strictly_inside((x, y), triangle.tolist()) == (y < x)


def test_pairs_within_frames() -> None:
    a, b = pairs_within(np.array([2, 0, 1]), np.array([1, 3, 2]))
    assert list(zip(a.tolist(), b.tolist())) == [(0, 0), (1, 0), (2, 4), (2, 5)]


def test_a_point_level_with_a_flat_edge_beside_it() -> None:
    """The edge at its left does not make it a point of the boundary."""
    angle = np.array([[0, 0], [4, 0], [4, 4], [2, 4], [2, 2], [0, 2.0]])
    one = np.array([1])
    assert inside_any_polygon(np.array([[3, 2.0]]), one, [angle], one).all()
