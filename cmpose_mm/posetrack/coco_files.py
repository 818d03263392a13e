"""PoseTrack18 and 21: COCO-like JSON with `images`, `annotations` and `categories`.

One file a video, or merged files as MMPose and DCPose ship them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .file_names import split_name
from .joints import JOINT_ALIASES, JOINT_NAMES
from .values import as_flag, as_floats, as_int, show
from .videos import MISSING_SCORE, AnnotationError, Frame, empty_frame


def read_coco(
    data: dict,
    file: Path,
    dropped: list[str],
    allow_unlabeled: bool = False,
    other_joints: bool = False,
) -> tuple[list[tuple[str, Frame]], tuple[str, ...]]:
    """Reads the content of a PoseTrack18 or 21 file.

    Args:
        data: the content.
        file: where it is from, for messages.
        dropped: a sentence is appended for each annotation that is wrong, which is left out.
        allow_unlabeled: take a file without the field "annotations" for one that labels nobody.
        other_joints: take a file that lacks joints of PoseTrack: persons then have all joints that
            the file has, in its order, in place of the 15.

    Returns:
        (folder of the image, frame) pairs, and the names of the joints that persons have. A frame's
        number is its "frame_id", None if it has none.

    Raises:
        AnnotationError: for anything else that is wrong.
    """
    if allow_unlabeled and 'annotations' not in data:
        data = {**data, 'annotations': [], 'categories': [{'keypoints': list(JOINT_NAMES)}]}
    for field in ('images', 'annotations', 'categories'):
        if not isinstance(data.get(field), list):
            found = show(data[field]) if field in data else 'no such field'
            raise AnnotationError(f'{file}: expected "{field}" to be a list, found {found}.')
    places, names, category_id = _read_category(data['categories'], file, other_joints)
    num_keypoints = len(names)
    frames = _read_images(data['images'], file)
    position = {frame.image_id: index for index, (_, frame) in enumerate(frames)}

    annotations: list[dict] = []
    for index, annotation in enumerate(data['annotations']):
        if isinstance(annotation, dict):
            annotations.append(annotation)
        else:
            dropped.append(
                f'{file}: annotations[{index}] is {show(annotation)}, expected an object.'
            )
    good = np.ones(len(annotations), dtype=bool)

    def drop(index: int, problem: str) -> None:
        good[index] = False
        ids = ', '.join(f'{key} {annotations[index].get(key)}' for key in ('id', 'image_id'))
        dropped.append(f'{file}: annotation with {ids}: {problem}.')

    image_ids = _int_column(annotations, 'image_id', drop, required=True)
    categories = _int_column(annotations, 'category_id', drop)
    ids = _int_column(annotations, 'id')
    track_ids = _int_column(annotations, 'track_id', drop)
    frame_of = np.array([position.get(image_id, -1) for image_id in image_ids.tolist()], dtype=int)
    for index in range(len(annotations)):
        if good[index] and frame_of[index] < 0:
            drop(index, '"image_id" is that of no image in the file')
        if categories[index] not in (-1, category_id):
            drop(index, f'"category_id" is {categories[index]}, expected {category_id} (person)')
        if annotations[index].get('iscrowd'):
            drop(index, '"iscrowd" is set, expected a person')

    keypoints = _float_rows(annotations, ('keypoints',), 3 * num_keypoints, drop, required=True)
    scores = _float_rows(annotations, ('scores',), num_keypoints, drop)
    boxes = _float_rows(annotations, ('bbox',), 4, drop)
    head_boxes = _float_rows(annotations, ('bbox_head', 'head_box'), 4, drop)
    scores[np.isnan(scores)] = MISSING_SCORE
    marks = [annotation.get('pseudo') for annotation in annotations]
    for index, mark in enumerate(marks):
        if mark is not None and as_flag(mark) is None:
            drop(index, f'"pseudo" is {show(mark)}, expected true or false')
    pseudo = np.array([bool(mark) for mark in marks], dtype=bool)

    # persons sorted by frame, within a frame in the order of the file
    order = np.flatnonzero(good)
    order = order[np.argsort(frame_of[order], kind='stable')]
    keypoints = keypoints.reshape(-1, num_keypoints, 3)[order][:, places]
    scores = scores[order][:, places]
    boxes, head_boxes = boxes[order], head_boxes[order]
    track_ids, ids, pseudo = track_ids[order], ids[order], pseudo[order]
    bounds = np.searchsorted(frame_of[order], np.arange(len(frames) + 1))
    for index, (_, frame) in enumerate(frames):
        persons = slice(bounds[index], bounds[index + 1])
        frame.keypoints, frame.scores = keypoints[persons], scores[persons]
        frame.boxes, frame.head_boxes = boxes[persons], head_boxes[persons]
        frame.track_ids, frame.ids = track_ids[persons], ids[persons]
        frame.pseudo = pseudo[persons]
        if frame.is_labeled is None:
            frame.is_labeled = len(frame.keypoints) > 0
    return frames, tuple(names[place] for place in places)


def _read_category(
    categories: list, file: Path, other_joints: bool
) -> tuple[list[int], list[str], int]:
    """The places of the 15 joints in the file's keypoints, their names, and the category's id."""
    found = [c for c in categories if isinstance(c, dict) and isinstance(c.get('keypoints'), list)]
    if len(found) != 1:
        raise AnnotationError(
            f'{file}: {len(found)} of {len(categories)} categories have a list of "keypoints", '
            'expected one, whose names say what each keypoint is.'
        )
    names = [JOINT_ALIASES.get(name, name) for name in map(str, found[0]['keypoints'])]
    problems = [
        f'{file}: the category names {names.count(joint)} keypoints {joint!r}, expected one.'
        for joint in JOINT_NAMES
        if names.count(joint) != 1
    ]
    if problems and not other_joints:
        raise AnnotationError(problems)
    category_id = as_int(found[0].get('id', 1))
    if category_id is None:
        raise AnnotationError(
            f'{file}: the "id" of the category is {show(found[0]["id"])}, expected an integer.'
        )
    joints = range(len(names)) if problems else map(names.index, JOINT_NAMES)
    return list(joints), names, category_id


def _read_images(images: list, file: Path) -> list[tuple[str, Frame]]:
    """(folder of the image, frame without persons) pairs; `is_labeled` is None if not said."""
    problems: list[str] = []
    frames: list[tuple[str, Frame]] = []
    names: dict[int, str] = {}
    for index, image in enumerate(images):
        place = f'{file}: images[{index}]'
        if not isinstance(image, dict):
            problems.append(f'{place} is {show(image)}, expected an object.')
            continue
        image_id, name = as_int(image.get('id')), image.get('file_name')
        if image_id is None:
            problems.append(f'{place}: "id" is {show(image.get("id"))}, expected an integer.')
            continue
        if not isinstance(name, str) or not name:
            problems.append(f'{place}: "file_name" is {show(name)}, expected a path.')
            continue
        if image_id in names:
            problems.append(
                f'{place} ({name}): "id" {image_id} is also that of {names[image_id]}, expected '
                'unique ids.'
            )
            continue
        names[image_id] = name
        try:
            regions = _read_regions(image)
        except ValueError as error:
            problems.append(f'{place} ({name}): {error}.')
            continue
        folder = split_name(name)[0] or str(image.get('vid_id', file.stem))
        frame = empty_frame(name, image_id, as_int(image.get('frame_id')))
        is_labeled = image.get('is_labeled')
        if is_labeled is not None and as_flag(is_labeled) is None:
            problems.append(
                f'{place} ({name}): "is_labeled" is {show(is_labeled)}, expected true or false.'
            )
            continue
        frame.is_labeled = as_flag(is_labeled)
        frame.ignore_regions = regions
        frame.width, frame.height = as_int(image.get('width')), as_int(image.get('height'))
        frames.append((folder, frame))
    if not images:
        problems.append(f'{file}: "images" is empty, expected the frames of a video.')
    if problems:
        raise AnnotationError(problems)
    return frames


def _read_regions(image: dict) -> list[np.ndarray]:
    """The ignore polygons of an image entry; ValueError says what is wrong."""
    xs, ys = image.get('ignore_regions_x') or [], image.get('ignore_regions_y') or []
    if xs and ys and _is_flat(xs) and _is_flat(ys):
        xs, ys = [xs], [ys]
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise ValueError(
            '"ignore_regions_x" and "ignore_regions_y" must be two lists of as many polygons, each '
            f'a list of numbers, found {show(xs)} and {show(ys)}'
        )
    regions = []
    for index, (x, y) in enumerate(zip(xs, ys)):
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise ValueError(
                f'ignore region {index} must have as many x as y, found {show(x)} and {show(y)}'
            )
        polygon = as_floats([x, y], (2, len(x)))
        if polygon is None:
            raise ValueError(f'ignore region {index} must consist of finite numbers')
        regions.append(polygon.T)
    return regions


def _is_flat(region: object) -> bool:
    """Whether this is a coordinate of one polygon, not of a list of polygons."""
    return isinstance(region, list) and not any(isinstance(item, list) for item in region)


def _int_column(
    annotations: list[dict], field: str, drop=None, required: bool = False
) -> np.ndarray:
    """(A,) int64, -1 where an optional field is missing, or unusable and `drop` is None."""
    column = np.full(len(annotations), -1, dtype=np.int64)
    for index, annotation in enumerate(annotations):
        value = annotation.get(field)
        if value is None and not required:
            continue
        number = as_int(value)
        if number is not None:
            column[index] = number
        elif drop is not None:
            drop(index, f'"{field}" is {show(value)}, expected an integer')
    return column


def _float_rows(
    annotations: list[dict], fields: tuple[str, ...], width: int, drop, required: bool = False
) -> np.ndarray:
    """(A, width) float64 of the first of `fields` that is there, NaN where none is.

    An empty list stands for "none", as in the "scores" of ground truth.
    """
    values = [
        next((a[field] for field in fields if a.get(field) not in (None, [])), a.get(fields[0]))
        for a in annotations
    ]
    there = [i for i, value in enumerate(values) if required or value not in (None, [])]
    rows = np.full((len(values), width), np.nan)
    if not there:
        return rows
    block = as_floats([values[i] for i in there], (len(there), width))
    if block is not None:
        rows[there] = block
        return rows
    for i in there:
        row = as_floats(values[i], (width,))
        if row is None:
            drop(i, f'"{fields[0]}" is {show(values[i])}, expected {width} finite numbers')
        else:
            rows[i] = row
    return rows
