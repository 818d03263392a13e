"""Poses drawn over images.

Images are BGR uint8, as OpenCV has them. P persons, K joints.
"""

from __future__ import annotations

import cv2
import numpy as np

from cmpose_mm.joint_sets import LEFT, MIDDLE, POSETRACK, RIGHT, JointSet, side_color

__all__ = ['LEFT', 'MIDDLE', 'RIGHT', 'draw_poses', 'side_color']

_MANY = 30
"""Joint sets with more joints have hands or a face; circles of the usual size would cover them."""


def draw_poses(
    image: np.ndarray,
    keypoints: np.ndarray,
    shown: np.ndarray | None = None,
    thickness: int | None = None,
    ids: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    joints: JointSet = POSETRACK,
) -> np.ndarray:
    """Draws skeletons in the colors of the joint set: PoseTrack's left side is green, its right
    side orange.

    A label like "id 3  0.87" is written above the highest joint that is drawn, inside the image.
    Persons without a drawn joint have no label.

    Args:
        image: (H, W, 3) uint8 BGR.
        keypoints: (P, K, 2) x, y in pixels of the image.
        shown: (P, K) bool, the joints to draw; all by default. A limb needs both its ends.
        thickness: of the limbs in pixels; the text size is proportional to it. The default depends
            on the image: 2 for up to 400 rows (or columns), 4 for full HD, 8 for 4K.
        ids: (P,) int track id of each person, for the label; negative ids are left out.
        scores: (P,) score of each person, for the label.
        joints: the K joints, with the limbs and colors to draw.

    Returns:
        A new image.

    Raises:
        ValueError: if an argument has another shape.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(joints), 2):
        raise ValueError(
            f'keypoints have shape {keypoints.shape}, expected (P, {len(joints)}, 2): {joints}'
        )
    for name, values in (('ids', ids), ('scores', scores)):
        if values is not None and np.shape(values) != keypoints.shape[:1]:
            raise ValueError(
                f'{name} have shape {np.shape(values)}, expected ({len(keypoints)},), one a person'
            )
    if shown is None:
        shown = np.ones(keypoints.shape[:2], bool)
    if thickness is None:
        thickness = max(2, round(min(image.shape[:2]) / 270))
    radius = thickness if len(joints) <= _MANY else max(1, thickness // 2)
    image = image.copy()
    for person, visible in zip(keypoints, shown):
        point = {
            name: tuple(np.rint(xy * 8).astype(int).tolist())
            for name, xy, v in zip(joints.joints, person, visible)
            if v
        }
        for (start, end), color in zip(joints.limbs, joints.limb_colors):
            if start in point and end in point:
                cv2.line(image, point[start], point[end], color, thickness, cv2.LINE_AA, shift=3)
        for name, color in zip(joints.joints, joints.joint_colors):
            if name in point:
                xy = point[name]
                cv2.circle(image, xy, 8 * (radius + 1), (255, 255, 255), -1, cv2.LINE_AA, shift=3)
                cv2.circle(image, xy, 8 * radius, color, -1, cv2.LINE_AA, shift=3)
    for p, (person, visible) in enumerate(zip(keypoints, shown)):
        parts = [f'id {ids[p]}'] if ids is not None and ids[p] >= 0 else []
        parts += [f'{scores[p]:.2f}'] if scores is not None else []
        if parts and np.any(visible):
            _write_above(image, '  '.join(parts), person[np.asarray(visible, bool)], thickness)
    return image


def _write_above(image: np.ndarray, text: str, points: np.ndarray, thickness: int) -> None:
    """Writes white text on a dark background above the points (n, 2), but inside the image."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.2 * thickness
    weight = max(1, thickness // 2)
    (width, height), below = cv2.getTextSize(text, font, size, weight)
    # OpenCV places text by its baseline: only descenders are below y.
    x = np.mean([points[:, 0].min(), points[:, 0].max()]) - width / 2
    y = points[:, 1].min() - 4 * thickness - below
    x = int(np.clip(x, 0, max(0, image.shape[1] - width)))
    y = int(np.clip(y, height, max(height, image.shape[0] - below)))
    cv2.rectangle(image, (x, y - height - 1), (x + width, y + below), (30, 30, 30), -1)
    cv2.putText(image, text, (x, y), font, size, (255, 255, 255), weight, cv2.LINE_AA)
