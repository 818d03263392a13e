"""Savitzky-Golay smoothing of one track, and filling of its gaps."""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter


def fill_gaps(values: np.ndarray, seen: np.ndarray, max_gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Fills short gaps between seen frames by straight lines.

    Args:
        values: (T, C) of frames at equal distances in time.
        seen: (T,) bool, frames that have values.
        max_gap: longest run of frames to fill.

    Returns:
        The values, (T, C) float64, and the frames that have values now, (T,) bool. What comes
        before the first or after the last seen frame is never filled.
    """
    values, known = np.array(values, np.float64), np.array(seen, bool)
    places = np.flatnonzero(known)
    for before, after in zip(places[:-1], places[1:]):
        if 1 < after - before <= max_gap + 1:
            share = (np.arange(before + 1, after) - before)[:, None] / (after - before)
            values[before + 1 : after] = (1 - share) * values[before] + share * values[after]
            known[before + 1 : after] = True
    return values, known


def smooth_series(values: np.ndarray, known: np.ndarray, window: int, order: int = 2) -> np.ndarray:
    """Savitzky-Golay filter of each uninterrupted run of frames.

    A polynomial is fitted by least squares to the ``window`` frames around each; its value there is
    the result. At both ends the polynomial of the outermost window is used. A run that is shorter
    than the window is filtered by the largest odd window that fits, and kept as it is if that has
    no more frames than the polynomial has coefficients.

    Args:
        values: (T, C) of frames at equal distances in time.
        known: (T,) bool, frames that have values; the others keep what they hold.
        window: odd number of frames.
        order: of the polynomial.

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
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        frames = min(window, stop - start - (stop - start + 1) % 2)
        if frames > order + 1:
            smoothed[start:stop] = savgol_filter(smoothed[start:stop], frames, order, axis=0)
    return smoothed


def window_in_frames(seconds: float, frame_rate: float) -> int:
    """The odd number of frames that is nearest to a time."""
    return 2 * round((seconds * frame_rate - 1) / 2) + 1 if seconds * frame_rate > 1 else 1
