"""Index arithmetic for things that belong to frames, kept in flat arrays frame after frame."""

from __future__ import annotations

import numpy as np


def pairs_within(num_a: np.ndarray, num_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of an `a` and a `b` of one frame.

    Args:
        num_a: (F,) things of the first kind in each frame.
        num_b: (F,) things of the second kind in each frame.

    Returns:
        Two (N,) index arrays into the flat arrays of either kind, ordered by a, then b.
    """
    partners = np.repeat(num_b, num_a)  # of each a
    first = np.repeat(np.cumsum(num_b) - num_b, num_a)
    a = np.repeat(np.arange(len(partners)), partners)
    place = np.arange(len(a)) - np.repeat(np.cumsum(partners) - partners, partners)
    return a, np.repeat(first, partners) + place
