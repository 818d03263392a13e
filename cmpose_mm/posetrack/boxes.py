"""Person boxes: where they come from, and which can't be used. Boxes are in pixels of the image."""

from __future__ import annotations

import numpy as np

ABSENT_BOX_ENLARGEMENT = 1.3


def person_boxes(boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The labelled boxes; where one is absent, the extent of the labelled joints times 1.3.

    Args:
        boxes: (P, 4) x, y, width, height; a row of NaN is absent.
        keypoints: (P, K, 3) x, y, visibility; all zero is a joint without a label.

    Returns:
        (P, 4) float64 x1, y1, x2, y2. The enlarged extent keeps its centre. NaN for a person with
        neither box nor joint.
    """
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    for p in np.flatnonzero(np.isnan(boxes).all(axis=1)):
        joints = keypoints[p, (keypoints[p] != 0).any(axis=1), :2]
        if len(joints):
            low, high = joints.min(axis=0), joints.max(axis=0)
            center, half = (low + high) / 2, (high - low) / 2 * ABSENT_BOX_ENLARGEMENT
            corners[p] = *(center - half), *(center + half)
    return corners


def clip_box(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """The box x1, y1, x2, y2 cut to the image's pixel centres [0, width - 1] x [0, height - 1]."""
    return np.clip(box, 0, [width - 1, height - 1, width - 1, height - 1])


def box_problem(box: np.ndarray, width: int, height: int) -> str | None:
    """Why a box x1, y1, x2, y2 can't be used, or None if it can."""
    if not np.isfinite(box).all():
        return 'box is not finite'
    if (box[2:] <= box[:2]).any():
        return 'box of zero or negative size'
    clipped = clip_box(box, width, height)
    if (clipped[2:] <= clipped[:2]).any():
        return 'box outside the image'
    return None
