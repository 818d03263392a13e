"""Similarity of persons in two frames, by their boxes and by their joints.

Shapes: A and B persons, J joints. Positions are in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmpose_mm.posetrack.joints import JOINT_SIGMAS


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes.

    Args:
        first: (A, 4) x1, y1, x2, y2 of positive size.
        second: (B, 4).

    Returns:
        (A, B) from 0 to 1.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (box_area(first)[:, None] + box_area(second) - shared)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """(A,) areas in square pixels of boxes (A, 4) x1, y1, x2, y2."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def object_keypoint_similarity(
    first: np.ndarray,
    second: np.ndarray,
    first_seen: np.ndarray,
    second_seen: np.ndarray,
    first_areas: np.ndarray,
    second_areas: np.ndarray,
    sigmas: Sequence[float] = JOINT_SIGMAS,
) -> np.ndarray:
    """OKS: mean of exp(-d^2 / (2 area (2 sigma)^2)) over the joints that count in both persons.

    Args:
        first: (A, J, 2) joints.
        second: (B, J, 2) joints.
        first_seen: (A, J) bool, joints that count.
        second_seen: (B, J) bool.
        first_areas: (A,) areas of the persons in square pixels; a pair has the mean of both.
        second_areas: (B,).
        sigmas: (J,) by which a joint may be off, relative to the person's size; by default those
            of PoseTrack's 15 joints.

    Returns:
        (A, B) from 0 to 1, NaN where no joint counts in both persons.

    Source: COCO's keypoint evaluation.
    """
    squared = np.square(first[:, None] - second[None]).sum(-1)
    areas = (first_areas[:, None] + second_areas) / 2
    alike = np.exp(-squared / (2 * areas[..., None] * (2 * np.array(sigmas)) ** 2))
    both = first_seen[:, None] & second_seen[None]
    with np.errstate(invalid='ignore'):
        return (alike * both).sum(-1) / both.sum(-1)
