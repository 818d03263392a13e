"""Which of a frame's persons are wanted: the largest, the nearest to a point, or some track ids.

P: persons of a frame. Boxes are x1, y1, x2, y2 in pixels of the image.
"""

from __future__ import annotations

import numpy as np

from cmpose_cli.grammar import PersonChoice


def chosen_boxes(choice: PersonChoice, boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Which boxes are chosen by size or place, each frame by itself.

    The size is the box's area. The distance to a point is that of the box's center.

    Args:
        choice: not one of ids.
        boxes: (P, 4).
        width, height: of the image.

    Returns:
        (P,) bool. Of equals, the first are taken.
    """
    if choice.point is None and not choice.at_center:
        rank = -np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    else:
        point = (width / 2, height / 2) if choice.at_center else choice.point
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        rank = np.square(centers - np.array(point)).sum(axis=1)
    chosen = np.zeros(len(boxes), bool)
    chosen[np.argsort(rank, kind='stable')[: choice.count]] = True
    return chosen
