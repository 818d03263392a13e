"""Poses drawn over images.

Images are BGR uint8, as OpenCV has them. P persons, K joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from cmpose_mm.joint_sets import (
    LEFT,
    MIDDLE,
    POSETRACK,
    RIGHT,
    JointSet,
    joint_side,
    side_color,
)

from .names import Rectangle, nearest_free
from .palette import DARK, GRAY, LIGHT, SIDE_COLORS, PersonColors, person_colors, text_color

__all__ = ['COLOR_BY', 'LEFT', 'MIDDLE', 'RIGHT', 'draw_poses', 'side_color']

COLOR_BY = ('person', 'side', 'joints')
"""What colors mean: who it is, which side of the body, or what the joint set says."""
_MANY = 30
"""Joint sets with more joints have hands or a face; circles of the usual size would cover them."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_THIN = 0.6
"""Of the limbs' thickness: boxes, trails, and lines from names."""


def draw_poses(
    image: np.ndarray,
    keypoints: np.ndarray,
    shown: np.ndarray | None = None,
    thickness: int | None = None,
    ids: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    joints: JointSet = POSETRACK,
    *,
    color_by: str = 'joints',
    names: bool = True,
    boxes: np.ndarray | None = None,
    trails: Sequence[Sequence[np.ndarray]] | None = None,
    legend: bool = False,
) -> np.ndarray:
    """Draws skeletons, and what belongs to them.

    A name like "id 3  0.87" is written above the person's box if boxes are drawn, else above the
    highest joint that is drawn. Names stay inside the image and do not cover each other or the
    legend: the person with the lower id is named first, and the next name goes to the nearest free
    place, with a line to its person if that is far. A name that finds no place is left out.
    Persons of whom nothing else is drawn have no name.

    Args:
        image: (H, W, 3) uint8 BGR.
        keypoints: (P, K, 2) x, y in pixels of the image.
        shown: (P, K) bool, the joints to draw; all by default. A limb needs both its ends.
        thickness: of the limbs in pixels; all other sizes are proportional to it. The default
            depends on the image: 2 for up to 400 rows (or columns), 4 for full HD, 8 for 4K.
        ids: (P,) int track id of each person, for name and color; negative ids are none.
        scores: (P,) score of each person, for the name.
        joints: the K joints, with the limbs and colors to draw.
        color_by: ``joints``: the colors of the joint set (PoseTrack's left side is green, its right
            side orange). ``person``: `person_colors` of the track id. ``side``: `SIDE_COLORS` by
            the joints' names.
        names: whether to write them.
        boxes: (P, 4) x1, y1, x2, y2 to draw; none by default. Boxes with a NaN are left out.
        trails: for each person, lines (n, 2) through where they were; none by default.
        legend: lists the drawn persons or sides with their colors in the upper left corner.

    Returns:
        A new image.

    Raises:
        ValueError: if an argument has another shape, ``color_by`` is unknown, or a legend is asked
            for with ``joints``.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(joints), 2):
        raise ValueError(
            f'keypoints have shape {keypoints.shape}, expected (P, {len(joints)}, 2): {joints}'
        )
    count = len(keypoints)
    for name, values, shape in (
        ('ids', ids, ()), ('scores', scores, ()), ('boxes', boxes, (4,)),
        ('shown', shown, (len(joints),)),
    ):  # fmt: skip
        if values is not None and np.shape(values) != (count, *shape):
            expected = ', '.join(map(str, (count, *shape))) + (',' if not shape else '')
            raise ValueError(
                f'{name} have shape {np.shape(values)}, expected ({expected}), one a person'
            )
    if trails is not None and len(trails) != count:
        raise ValueError(f'trails are of {len(trails)} persons, expected {count}')
    if color_by not in COLOR_BY:
        raise ValueError(f'color_by is {color_by!r}, expected one of {", ".join(COLOR_BY)}')
    if legend and color_by == 'joints':
        raise ValueError("legend: needs color_by 'person' or 'side', found 'joints'")
    shown = np.ones(keypoints.shape[:2], bool) if shown is None else np.asarray(shown, bool)
    if thickness is None:
        thickness = max(2, round(min(image.shape[:2]) / 270))
    thin = max(1, round(_THIN * thickness))
    image = image.copy()
    track_ids = np.full(count, -1) if ids is None else np.asarray(ids)
    own = [person_colors(track_id) for track_id in track_ids.tolist()]
    accents = [colors.limbs if color_by == 'person' else GRAY for colors in own]
    for accent, lines in zip(accents, trails or ()):
        lines = [np.rint(np.asarray(line) * 8).astype(np.int32) for line in lines]
        cv2.polylines(image, lines, False, accent, thin, cv2.LINE_AA, shift=3)
    has_box = np.zeros(count, bool)
    if boxes is not None:
        boxes = np.asarray(boxes, np.float64)
        has_box = np.isfinite(boxes).all(axis=1)
        for box, accent in zip(boxes[has_box], np.array(accents)[has_box].tolist()):
            x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
            cv2.rectangle(image, (x1, y1), (x2, y2), accent, thin)
    _draw_skeletons(image, keypoints, shown, joints, thickness, color_by, own)

    drawn = np.flatnonzero(shown.any(axis=1) | has_box)
    drawn = drawn[np.argsort(track_ids[drawn], kind='stable')].tolist()
    panel = None
    if legend:
        if color_by == 'person':
            listed = {max(-1, track_ids[p]): own[p] for p in drawn}
            entries = [(f'id {key}' if key >= 0 else 'no id', c) for key, c in listed.items()]
        else:
            sides = _drawn_sides(joints, shown)
            entries = [(s, PersonColors(c, c)) for s, c in SIDE_COLORS.items() if s in sides]
        panel = _legend(entries, image.shape, thickness)
    named = []
    for p in drawn if names else ():
        parts = [f'id {track_ids[p]}'] if track_ids[p] >= 0 else []
        parts += [f'{scores[p]:.2f}'] if scores is not None and np.isfinite(scores[p]) else []
        if has_box[p]:
            corners, gap = boxes[p].reshape(2, 2), 1
        else:
            corners, gap = keypoints[p][shown[p]], 4 * thickness
        background = own[p].limbs if color_by == 'person' else DARK
        if parts:
            named.append(_Name('  '.join(parts), background, corners, gap))
    _draw_names(image, named, panel, thickness)
    return image


def _limb_places(joints: JointSet) -> list[tuple[int, int]]:
    """Positions of the limbs' ends among the joints."""
    place = {joint: number for number, joint in enumerate(joints.joints)}
    return [(place[start], place[end]) for start, end in joints.limbs]


def _drawn_sides(joints: JointSet, shown: np.ndarray) -> set[str]:
    """Sides of which a joint or a limb is drawn."""
    sides = {joint_side(joint) for joint, seen in zip(joints.joints, shown.any(axis=0)) if seen}
    for limb, ends in zip(joints.limbs, _limb_places(joints)):
        if shown[:, ends].all(axis=1).any():
            sides.add(joint_side(*limb))
    return sides


def _draw_skeletons(
    image: np.ndarray,
    keypoints: np.ndarray,
    shown: np.ndarray,
    joints: JointSet,
    thickness: int,
    color_by: str,
    own: list[PersonColors],
) -> None:
    """Draws limbs and, over them, joints with a white rim, person after person."""
    limb_colors, joint_colors = joints.limb_colors, joints.joint_colors
    if color_by == 'side':
        limb_colors = [SIDE_COLORS[joint_side(*limb)] for limb in joints.limbs]
        joint_colors = [SIDE_COLORS[joint_side(joint)] for joint in joints.joints]
    radius = thickness if len(joints) <= _MANY else max(1, thickness // 2)
    points = np.rint(np.where(shown[..., None], keypoints, 0) * 8).astype(int).tolist()
    limbs = _limb_places(joints)
    for point, visible, colors in zip(points, shown.tolist(), own):
        point = [tuple(xy) for xy in point]  # which every OpenCV takes
        if color_by == 'person':
            limb_colors, joint_colors = [colors.limbs] * len(limbs), [colors.joints] * len(joints)
        for (start, end), color in zip(limbs, limb_colors):
            if visible[start] and visible[end]:
                cv2.line(image, point[start], point[end], color, thickness, cv2.LINE_AA, shift=3)
        for xy, color, is_visible in zip(point, joint_colors, visible):
            if is_visible:
                cv2.circle(image, xy, 8 * (radius + 1), LIGHT, -1, cv2.LINE_AA, shift=3)
                cv2.circle(image, xy, 8 * radius, color, -1, cv2.LINE_AA, shift=3)


class _Name(NamedTuple):
    text: str
    background: tuple[int, int, int]
    corners: np.ndarray  # (n, 2) of what it is to stand above
    gap: int  # pixels between them


def _text_size(text: str, thickness: int) -> tuple[int, int, int]:
    """Width, height and what is below the baseline, in pixels."""
    (width, height), below = cv2.getTextSize(text, _FONT, 0.2 * thickness, max(1, thickness // 2))
    return width, height, below


def _draw_names(
    image: np.ndarray, names: list[_Name], panel: np.ndarray | None, thickness: int
) -> None:
    """Writes names where there is room, and the panel into the upper left corner."""
    frame = image.shape[1::-1]
    taken: list[Rectangle] = [] if panel is None else [(0, 0, panel.shape[1], panel.shape[0])]
    placed: list[tuple[_Name, Rectangle]] = []
    for name in names:
        width, height, below = _text_size(name.text, thickness)
        width, height = width + 1 + 2 * (thickness // 2), height + below + 2
        (left, top), (right, _) = name.corners.min(axis=0), name.corners.max(axis=0)
        middle, top = round((left + right) / 2), round(top)
        wanted = middle - width // 2, top - name.gap - height + 1
        free = nearest_free(*wanted, width, height, frame, taken)
        if free is None:
            continue
        placed.append((name, free))
        taken.append(free)
        moved = [f - min(max(w, 0), s - e)
                 for f, w, s, e in zip(free, wanted, frame, (width, height))]  # fmt: skip
        if np.hypot(*moved) > 2 * height:
            start = (free[0] + free[2]) // 2, (free[1] + free[3]) // 2
            thin = max(1, round(_THIN * thickness))
            cv2.line(image, start, (middle, top), name.background, thin, cv2.LINE_AA)
    if panel is not None:
        image[: panel.shape[0], : panel.shape[1]] = panel
    for name, place in placed:
        _write(image, name.text, place, name.background, thickness)


def _write(
    image: np.ndarray,
    text: str,
    place: Rectangle,
    background: tuple[int, int, int],
    thickness: int,
) -> None:
    """Writes a name into the rectangle that was found for it."""
    x1, y1, x2, y2 = place
    image[y1:y2, x1:x2] = background
    # OpenCV places text by its baseline: only descenders are below it.
    start = x1 + thickness // 2, y1 + 1 + _text_size(text, thickness)[1]
    color, weight = text_color(background), max(1, thickness // 2)
    cv2.putText(image, text, start, _FONT, 0.2 * thickness, color, weight, cv2.LINE_AA)


def _legend(
    entries: list[tuple[str, PersonColors]], shape: tuple[int, ...], thickness: int
) -> np.ndarray:
    """A panel with a line for each entry: a short limb with a joint, and the text.

    Args:
        entries: texts and colors; those for which there is no room are counted in the last line.
        shape: of the image, (H, W, 3).

    Returns:
        (h, w, 3) with h <= H and w <= W; without an entry h and w are 0.
    """
    height, below = _text_size('id 0', thickness)[1:]
    step, gap, swatch = height + below + thickness, 2 * thickness, 8 * thickness
    room = max(1, (shape[0] - 2 * gap) // step)
    more = len(entries) - room + 1 if len(entries) > room else 0
    lines: list[tuple[str, PersonColors | None]] = [*entries[: len(entries) - more]]
    lines += [(f'+{more} more', None)] if more else []
    if not lines:
        return np.empty((0, 0, 3), np.uint8)
    width = 3 * gap + swatch + max(_text_size(text, thickness)[0] for text, _ in lines)
    panel = np.full((2 * gap + step * len(lines), width, 3), DARK, np.uint8)
    for number, (text, colors) in enumerate(lines):
        baseline = gap + number * step + height
        if colors is not None:
            y = baseline - height // 2
            cv2.line(panel, (gap, y), (gap + swatch, y), colors.limbs, thickness, cv2.LINE_AA)
            middle = gap + swatch // 2, y
            cv2.circle(panel, middle, thickness + 1, LIGHT, -1, cv2.LINE_AA)
            cv2.circle(panel, middle, thickness, colors.joints, -1, cv2.LINE_AA)
        start, weight = (2 * gap + swatch, baseline), max(1, thickness // 2)
        cv2.putText(panel, text, start, _FONT, 0.2 * thickness, LIGHT, weight, cv2.LINE_AA)
    return panel[: shape[0], : shape[1]]
