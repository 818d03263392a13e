"""Neighboring frames that are lost or late. The key frame itself is never affected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .severities import setting
from .streams import random_stream


def is_lost(seed: int, severity: int, sequence: str, frame_number: int) -> bool:
    """Whether ``frame_drop`` loses a frame. Higher severities lose the same frames and more."""
    share = setting('frame_drop', severity)
    return random_stream(seed, 'frame_drop', sequence, frame_number).random() < share


def without_lost(
    positions: np.ndarray, key_index: int, lost: Callable[[int], bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Replaces lost neighbors by the nearest frame toward the key frame that is not lost.

    The dataset does the same where a clip extends beyond the end of its video.

    Args:
        positions: (T,) positions of the clip's frames in their video.
        key_index: of the key frame in the clip; it counts as not lost.
        lost: says for a position whether its frame is lost.

    Returns:
        (T,) positions, and (T,) bool, False where another frame replaces the lost one.
    """
    key = int(positions[key_index])
    found = []
    for position in positions.tolist():
        while position != key and lost(position):
            position += 1 if position < key else -1
        found.append(position)
    found = np.array(found)
    return found, found == positions


def frozen(positions: np.ndarray, key_index: int, severity: int) -> np.ndarray:
    """Replaces each neighbor by an earlier frame, or by the first frame of the video.

    Args:
        positions: (T,) positions of the clip's frames in their video.
        key_index: of the key frame in the clip, which does not change.
        severity: 1 to 5.

    Returns:
        (T,) positions. Neighbors that have the key frame's position do not change either: at an end
        of the video, the key frame replaces a missing neighbor.
    """
    lag = setting('frame_freeze', severity)
    late = np.maximum(positions - lag, 0)
    return np.where(positions == positions[key_index], positions, late)
