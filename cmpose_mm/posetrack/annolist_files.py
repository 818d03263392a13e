"""PoseTrack17: the *annolist*, as JSON or as what `mat_files` makes of a .mat file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .file_names import split_name
from .joints import JOINT_NAMES, POSETRACK17_POINT_IDS
from .values import as_flag, as_floats, as_int, show
from .videos import MISSING_SCORE, AnnotationError, Frame, empty_frame


def read_annolist(annolist: object, file: Path, dropped: list[str]) -> list[tuple[str, Frame]]:
    """Reads the frames of a PoseTrack17 file.

    Args:
        annolist: what the file has under this name.
        file: where it is from, for messages.
        dropped: a sentence is appended for each person that is wrong, who is left out.

    Returns:
        (folder of the image, frame) pairs. A frame's number is its "imgnum", None if it has none.
        Image ids and annotation ids are -1.

    Raises:
        AnnotationError: for anything else that is wrong.
    """
    entries = _items(annolist)
    problems: list[str] = []
    frames: list[tuple[str, Frame]] = []
    for index, entry in enumerate(entries):
        place = f'{file}: annolist[{index}]'
        image = (_items(entry.get('image')) or [None])[0] if isinstance(entry, dict) else None
        name = _scalar(image.get('name')) if isinstance(image, dict) else None
        if not isinstance(name, str) or not name:
            problems.append(f'{place}: "image.name" is {show(name)}, expected a path.')
            continue
        place = f'{place} ({name})'
        frame = empty_frame(name, -1, as_int(_scalar(entry.get('imgnum'))))
        rects = _items(entry.get('annorect'))
        try:
            is_labeled = _flag(entry, 'is_labeled')
            frame.is_labeled = len(rects) > 0 if is_labeled is None else is_labeled
            frame.ignore_regions = _read_regions(_items(entry.get('ignore_regions')))
        except ValueError as error:
            problems.append(f'{place}: {error}.')
            continue
        persons = []
        for number, rect in enumerate(rects):
            try:
                persons.append(_read_person(rect))
                points = _items(rect.get('annopoints'))
                frame.num_without_points += not any('point' in group for group in points if group)
            except ValueError as error:
                dropped.append(f'{place}, annorect[{number}]: {error}.')
        if persons:
            keypoints, scores, head_boxes, track_ids, pseudo = map(np.stack, zip(*persons))
            frame.keypoints, frame.scores, frame.head_boxes = keypoints, scores, head_boxes
            frame.track_ids, frame.pseudo = track_ids, pseudo
            frame.boxes = np.full((len(persons), 4), np.nan)
            frame.ids = np.full(len(persons), -1, dtype=np.int64)
        frames.append((split_name(name)[0] or file.stem, frame))
    if not entries:
        problems.append(f'{file}: "annolist" is empty, expected the frames of a video.')
    if problems:
        raise AnnotationError(problems)
    return frames


def _read_person(rect: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.int64, np.bool_]:
    """Keypoints (15, 3), scores (15,), head box (4,), track id, whether it is a pseudo-label.

    ValueError says what is wrong.
    """
    if not isinstance(rect, dict):
        raise ValueError(f'is {show(rect)}, expected an object')
    keypoints = np.zeros((len(JOINT_NAMES), 3))
    scores = np.full(len(JOINT_NAMES), MISSING_SCORE)
    head_box = np.full(4, np.nan)

    corners = [_scalar(rect.get(key)) for key in ('x1', 'y1', 'x2', 'y2')]
    if any(corner is not None for corner in corners):
        box = as_floats(corners, (4,))
        if box is None:
            raise ValueError(f'the head box x1, y1, x2, y2 is {corners}, expected finite numbers')
        head_box = np.concatenate([box[:2], box[2:] - box[:2]])
    track_id = _scalar(rect.get('track_id'))
    if track_id is not None and as_int(track_id) is None:
        raise ValueError(f'"track_id" is {show(track_id)}, expected an integer')

    groups = [group for group in _items(rect.get('annopoints')) if group]
    if len(groups) > 1 or not all(isinstance(group, dict) for group in groups):
        raise ValueError(f'"annopoints" is {show(rect["annopoints"])}, expected one set of points')
    seen = set()
    for number, point in enumerate(_items(groups[0].get('point')) if groups else []):
        if not isinstance(point, dict):
            raise ValueError(f'point {number} is {show(point)}, expected an object')
        point_id = as_int(_scalar(point.get('id')))
        if point_id not in POSETRACK17_POINT_IDS:
            raise ValueError(
                f'point {number}: "id" is {show(_scalar(point.get("id")))}, expected 0 to 14'
            )
        if point_id in seen:
            raise ValueError(f'two points have the id {point_id}, expected each once')
        seen.add(point_id)
        visible, score = _number(point.get('is_visible')), _scalar(point.get('score'))
        values = [
            _scalar(point.get('x')),
            _scalar(point.get('y')),
            1 if visible is None else visible,
            MISSING_SCORE if score is None else score,
        ]
        row = as_floats([float(v) if isinstance(v, bool) else v for v in values], (4,))
        if row is None:
            raise ValueError(
                f'point {number}: x, y, is_visible, score are {values}, expected finite numbers'
            )
        joint = JOINT_NAMES.index(POSETRACK17_POINT_IDS[point_id])
        keypoints[joint], scores[joint] = row[:3], row[3]
    track_id = np.int64(-1 if track_id is None else int(track_id))
    return keypoints, scores, head_box, track_id, np.bool_(_flag(rect, 'pseudo'))


def _read_regions(regions: list) -> list[np.ndarray]:
    """The ignore polygons of a frame; ValueError says what is wrong."""
    if regions and all(isinstance(region, dict) and 'x' in region for region in regions):
        regions = [{'point': regions}]  # the points of one polygon, not a list of polygons
    return [_read_polygon(region) for region in regions if region != {}]


def _read_polygon(region: object) -> np.ndarray:
    """(n, 2) float64; ValueError says what is wrong."""
    has_points = isinstance(region, dict) and 'point' in region
    points = _items(region['point']) if has_points else [None]
    rows = [
        [_scalar(point.get('x')), _scalar(point.get('y'))] if isinstance(point, dict) else [None]
        for point in points
    ]
    polygon = as_floats(rows, (len(rows), 2)) if rows else np.zeros((0, 2))
    if polygon is None:
        raise ValueError(f'an ignore region is {show(region)}, expected points with x and y')
    return polygon


def _items(value: object) -> list:
    """A list as it is, a single object as a list of one, nothing as an empty list."""
    if value is None or value == {}:
        return []
    return value if isinstance(value, list) else [value]


def _scalar(value: object) -> object:
    """The value that the annolist wraps in lists of one; None for an empty list."""
    while isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    return value


def _number(value: object) -> object:
    """`_scalar`; digits are a number, as MPII's .mat files write them."""
    value = _scalar(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _flag(entry: dict, field: str) -> bool | None:
    """True, false or, if it is not there, None; ValueError says what is wrong."""
    value = _number(entry.get(field))
    if value is not None and as_flag(value) is None:
        raise ValueError(f'"{field}" is {show(value)}, expected true or false')
    return as_flag(value)
