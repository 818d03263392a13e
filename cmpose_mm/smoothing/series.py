"""Savitzky-Golay smoothing of one track, and filling of its gaps.

T frames, C coordinates. Times are counted in frames: 1 is the usual distance of two.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter


def fill_gaps(
    values: np.ndarray, seen: np.ndarray, max_gap: int, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fills short gaps between seen frames by straight lines over time.

    Args:
        values: (T, C) of the frames.
        seen: (T,) bool, frames that have values.
        max_gap: longest gap to fill, in frames that lack between two seen ones; 0 fills nothing.
        times: (T,) of the frames, rising; by default 0, 1, 2, ...

    Returns:
        The values, (T, C) float64, and the frames that have values now, (T,) bool. What comes
        before the first or after the last seen frame is never filled.
    """
    values, known = np.array(values, np.float64), np.array(seen, bool)
    times = np.arange(len(values)) if times is None else times
    places = np.flatnonzero(known)
    for before, after in zip(places[:-1], places[1:]) if max_gap else ():
        if after - before > 1 and _lacking(times[after] - times[before]) <= max_gap:
            between = slice(before + 1, after)
            share = (times[between, None] - times[before]) / (times[after] - times[before])
            values[between] = (1 - share) * values[before] + share * values[after]
            known[between] = True
    return values, known


def smooth_series(
    values: np.ndarray,
    known: np.ndarray,
    window: int,
    order: int = 2,
    times: np.ndarray | None = None,
    max_gap: int = 0,
) -> np.ndarray:
    """Savitzky-Golay filter of each of the `pieces`.

    A polynomial is fitted by least squares to the ``window`` frames around each; its value there is
    the result. At both ends the polynomial of the outermost window is used. See `fitting_window`
    for pieces that are shorter than the window. Frames at uneven times are filtered on an even grid
    in time: values lie on straight lines between frames, and results between points of the grid.

    Args:
        values: (T, C) of the frames.
        known: (T,) bool, frames that have values; the others keep what they hold.
        window: odd number of frames.
        order: of the polynomial.
        times: (T,) of the frames, rising; by default 0, 1, 2, ...
        max_gap: see `pieces`.

    Returns:
        (T, C) float64.

    Raises:
        ValueError: if ``window`` is not odd or ``order`` is negative.
    """
    if window % 2 == 0 or window < 1 or order < 0:
        raise ValueError(
            f'window is {window} and order {order}, expected an odd number of frames and 0 or more.'
        )
    smoothed = np.array(values, np.float64)
    times = np.arange(len(smoothed)) if times is None else times
    for start, stop in pieces(known, times, max_gap):
        at = times[start:stop]
        points = even_points(at)
        frames = fitting_window(points, window, order)
        if not frames:
            continue
        grid = np.linspace(at[0], at[-1], points)
        if points == stop - start and np.allclose(grid, at, rtol=0, atol=1e-6):
            smoothed[start:stop] = savgol_filter(smoothed[start:stop], frames, order, axis=0)
            continue
        for column in smoothed[start:stop].T:
            even = savgol_filter(np.interp(grid, at, column), frames, order)
            column[:] = np.interp(at, grid, even)
    return smoothed


def pieces(known: np.ndarray, times: np.ndarray, max_gap: int) -> list[tuple[int, int]]:
    """First frame of each uninterrupted run, and the one after its last.

    A run ends where the next frame has no values, or comes so late that more than ``max_gap``
    frames lack between them.
    """
    places = np.flatnonzero(known)
    is_end = (np.diff(places) > 1) | (_lacking(np.diff(times[places])) > max_gap)
    runs = np.split(places, np.flatnonzero(is_end) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs if len(run)]


def even_points(times: np.ndarray) -> int:
    """Points of the even grid in time that a run of frames is filtered on."""
    return round(times[-1] - times[0]) + 1


def fitting_window(points: int, window: int, order: int) -> int:
    """Frames that a polynomial is fitted to in a run of so many.

    It is ``window``, or the largest odd number that fits; 0 if that is no more than the polynomial
    has coefficients, as it would change nothing.
    """
    frames = min(window, points - (points + 1) % 2)
    return frames if frames > order + 1 else 0


def window_in_frames(seconds: float, frame_rate: float, order: int) -> int:
    """The odd number of frames that is nearest to a time, but enough for the order to smooth.

    A polynomial goes through order + 1 points, whatever they are; so it is order + 2 at least. For
    0 seconds it is 1, which smooths nothing.
    """
    nearest = 2 * round((seconds * frame_rate - 1) / 2) + 1
    return max(nearest, (order + 2) | 1) if seconds > 0 else 1


def _lacking(distance: float | np.ndarray) -> float | np.ndarray:
    """Frames that lack between two at this distance in time."""
    return np.rint(distance) - 1
