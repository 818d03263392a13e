"""Places for names: inside the picture, and none over another."""

from __future__ import annotations

from collections.abc import Sequence

Rectangle = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels; the last column and row are not part of it."""


def nearest_free(
    x: int, y: int, width: int, height: int, frame: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle | None:
    """The place of a rectangle that is nearest to where it is wanted.

    Exact: where the nearest place is not at the wanted row it touches a taken rectangle from above
    or below, and likewise for columns, so only such rows and columns are tried.

    Args:
        x, y: the upper left corner that is wanted; it is moved into the frame first.
        width, height: of the rectangle, in pixels.
        frame: (width, height) of the picture.
        taken: what it must not cover.

    Returns:
        The rectangle, or None if there is no free place of its size in the frame.
    """
    last_x, last_y = frame[0] - width, frame[1] - height
    if last_x < 0 or last_y < 0:
        return None
    x, y = min(max(x, 0), last_x), min(max(y, 0), last_y)
    rows = {y, *(t[1] - height for t in taken), *(t[3] for t in taken)}
    best, best_distance = None, float('inf')
    for row in sorted((r for r in rows if 0 <= r <= last_y), key=lambda r: (abs(r - y), r)):
        if (row - y) ** 2 >= best_distance:
            break
        blocked = [(t[0] - width, t[2]) for t in taken if t[1] < row + height and row < t[3]]
        for column in _nearest_columns(x, blocked):
            distance = (column - x) ** 2 + (row - y) ** 2
            if distance < best_distance and 0 <= column <= last_x:
                best, best_distance = (column, row, column + width, row + height), distance
    return best


def _nearest_columns(x: int, blocked: list[tuple[int, int]]) -> tuple[int, ...]:
    """Those nearest to x, to either side, that are inside no interval; x alone if it is free."""
    low = high = x
    for start, end in sorted(blocked):  # which unite to gaps and blocks, from left to right
        if start < high and low < high:
            high = max(high, end)
        elif low < x < high:
            break
        else:
            low, high = start, end
    return (low, high) if low < x < high else (x,)
