"""Poses drawn over images.

Images are BGR uint8, as OpenCV has them. P persons, K = 15 joints.
"""

from __future__ import annotations

import cv2
import numpy as np

from cmpose_mm.posetrack.joints import JOINT_NAMES

LEFT, RIGHT, MIDDLE = (0, 255, 0), (0, 128, 255), (255, 153, 51)
"""BGR colours of the person's own left and right side, and of what is between."""

_LIMBS = (
    ('head_top', 'nose'), ('nose', 'head_bottom'), ('head_bottom', 'left_shoulder'),
    ('head_bottom', 'right_shoulder'), ('left_shoulder', 'left_elbow'),
    ('left_elbow', 'left_wrist'), ('right_shoulder', 'right_elbow'),
    ('right_elbow', 'right_wrist'), ('left_shoulder', 'left_hip'),
    ('right_shoulder', 'right_hip'), ('left_hip', 'right_hip'), ('left_hip', 'left_knee'),
    ('left_knee', 'left_ankle'), ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'),
)  # fmt: skip


def side_colour(*joints: str) -> tuple[int, int, int]:
    """Colour of a joint, or of the limb between two: `LEFT`, `RIGHT` or `MIDDLE`."""
    for side, colour in (('left', LEFT), ('right', RIGHT)):
        if any(j.startswith(side) for j in joints) and not any(
            j.startswith(('left', 'right')) and not j.startswith(side) for j in joints
        ):
            return colour
    return MIDDLE


def draw_poses(
    image: np.ndarray,
    keypoints: np.ndarray,
    shown: np.ndarray | None = None,
    thickness: int = 2,
) -> np.ndarray:
    """Draws skeletons, the left side green and the right side orange.

    Args:
        image: (H, W, 3) uint8 BGR.
        keypoints: (P, 15, 2) x, y in pixels of the image, joints as in `JOINT_NAMES`.
        shown: (P, 15) bool, the joints to draw; all by default. A limb needs both its ends.
        thickness: of the limbs in pixels.

    Returns:
        A new image.

    Raises:
        ValueError: if ``keypoints`` has another shape.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(JOINT_NAMES), 2):
        raise ValueError(f'keypoints have shape {keypoints.shape}, expected (P, 15, 2)')
    if shown is None:
        shown = np.ones(keypoints.shape[:2], bool)
    image = image.copy()
    for joints, visible in zip(keypoints, shown):
        point = {
            name: tuple(np.rint(xy * 8).astype(int).tolist())
            for name, xy, v in zip(JOINT_NAMES, joints, visible)
            if v
        }
        for start, end in _LIMBS:
            if start in point and end in point:
                cv2.line(image, point[start], point[end], side_colour(start, end), thickness,
                         cv2.LINE_AA, shift=3)  # fmt: skip
        for name, xy in point.items():
            cv2.circle(image, xy, 8 * (thickness + 1), (255, 255, 255), -1, cv2.LINE_AA, shift=3)
            cv2.circle(image, xy, 8 * thickness, side_colour(name), -1, cv2.LINE_AA, shift=3)
    return image
