"""Checks of the trackers' input."""

from __future__ import annotations

import numpy as np


def finite_array(name: str, values: object, shape: tuple[int, ...]) -> np.ndarray:
    """A float64 copy of `values`, checked to be finite and of this shape.

    Raises:
        ValueError: one sentence about the first value that is wrong.
    """
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f'{name} has shape {array.shape}, expected {shape}.')
    finite = np.isfinite(array)
    if not finite.all():
        bad = np.argwhere(~finite)
        place = ', '.join(map(str, bad[0]))
        raise ValueError(f'{name}[{place}] is {array[tuple(bad[0])]}, expected finite numbers.')
    return array


def valid_boxes(boxes: object, count: int) -> np.ndarray:
    """A float64 copy of (count, 4) boxes x1, y1, x2, y2.

    Raises:
        ValueError: one sentence about the first box that is not finite or has no area.
    """
    array = finite_array('boxes', boxes, (count, 4))
    bad = np.flatnonzero((array[:, 2:] <= array[:, :2]).any(axis=1))
    if len(bad):
        raise ValueError(
            f'boxes[{bad[0]}] is {array[bad[0]].tolist()}, expected x1, y1, x2, y2 with x1 < x2 '
            'and y1 < y2.'
        )
    return array
