"""Readers for PoseTrack's label and prediction files, all to one in-memory form.

Read are per-video files in a folder, or one file with one or many videos:

* PoseTrack18 and 21 JSON (`images`, `annotations`, `categories`), also merged files as MMPose and
  DCPose ship them;
* PoseTrack17 *annolist* as JSON or `.mat`.

The format is recognized from the content of each file. Predictions use the same formats.

Shapes: P persons of a frame, 15 joints in the order of `joints.JOINT_NAMES`.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from .joints import JOINT_ALIASES, JOINT_NAMES, POSETRACK17_POINT_IDS

MISSING_SCORE = -9999.0
"""Score of a predicted joint that carries none."""

_ID_STEP = 1_000_000  # room for frames between the made-up image ids of two annolist videos
_MAX_SENTENCES = 100  # a file that is wrong throughout is not worth more lines


class AnnotationError(ValueError):
    """A label or prediction file is wrong.

    Attributes:
        problems (list[str]): one sentence each: file, place, what was found, what was expected.
    """

    def __init__(self, problems: str | list[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        lines = self.problems[:_MAX_SENTENCES]
        if len(self.problems) > len(lines):
            lines.append(f'... and {len(self.problems) - len(lines)} more problems.')
        super().__init__('\n'.join(lines))


@dataclass
class Frame:
    """One image of a video with its persons, labeled or predicted.

    Attributes:
        file_name: as the label file writes it.
        image_id: as labeled; made up for annolist files, see `read_videos`.
        number: frame number as labeled: for PoseTrack18 and 21 the digits that end the file's
            stem (0-based in the official release), for PoseTrack17 `imgnum` (1-based).
        is_labeled: whether the file marks the frame as labeled.
        ignore_regions: polygons, each (n, 2) float64, pixels of the image.
        keypoints: (P, 15, 3) float64 x, y in pixels of the image and visibility v; a joint is
            absent only if x = y = v = 0.
        scores: (P, 15) float64, `MISSING_SCORE` where missing.
        head_boxes: (P, 4) float64 xywh in pixels of the image, NaN where missing.
        boxes: (P, 4) float64 xywh in pixels of the image, NaN where missing.
        track_ids: (P,) int64, -1 where missing.
        ids: (P,) int64 annotation ids, -1 where missing.
        width, height: of the image in pixels, None where the file does not say.
        num_without_points: persons for whom an annolist has no list of points, not even an empty
            one; `poseval` tells these two kinds of persons without joints apart.
    """

    file_name: str
    image_id: int
    number: int
    is_labeled: bool
    ignore_regions: list[np.ndarray]
    keypoints: np.ndarray
    scores: np.ndarray
    head_boxes: np.ndarray
    boxes: np.ndarray
    track_ids: np.ndarray
    ids: np.ndarray
    width: int | None = None
    height: int | None = None
    num_without_points: int = 0


@dataclass
class Video:
    """The frames of one video, in the order of the file that lists them.

    Attributes:
        name: stem of a per-video file, or the images' folder if the file holds several videos.
        frames: all frames, labeled or not.
        source: path of the file it came from.
        has_image_ids: False for annolist files, whose image ids are made up.
    """

    name: str
    frames: list[Frame]
    source: str
    has_image_ids: bool = True


def read_videos(
    path: str | Path,
    *,
    problems: list[str] | None = None,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> list[Video]:
    """Reads PoseTrack labels or predictions.

    A single file with one video takes the video's name from the images' folder; in a folder of
    files, a file with one video gives it the file's stem.

    Annolist files carry no image ids. Their frames get ``1_000_000 * (video + 1) + position``,
    where *video* counts the videos of `path` sorted by name: reading one path twice gives the
    same ids.

    Args:
        path: a folder of per-video `.json` or `.mat` files, or one such file.
        problems: if given, an annotation that is wrong is left out and a sentence about it is
            appended here. By default it is an error.
        progress: wraps the files while they are read, for example `tqdm.tqdm`.

    Returns:
        The videos, sorted by name.

    Raises:
        AnnotationError: with one sentence for every problem found. A file or an image entry that
            is wrong is an error also when `problems` is given.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix in ('.json', '.mat') and f.is_file())
        if not files:
            raise AnnotationError(_describe_empty_folder(path))
    elif path.is_file():
        files = [path]
    else:
        raise AnnotationError(f'{path}: not found; expected a folder or a file of labels.')

    fatal: list[str] = []
    dropped: list[str] = []
    videos: list[Video] = []
    for file in progress(files):
        try:
            found = _read_file(file, dropped)
        except AnnotationError as error:
            fatal += error.problems
            continue
        if path.is_dir() and len(found) == 1:
            found[0].name = file.stem
        videos += found
    videos.sort(key=lambda video: video.name)

    for first, second in zip(videos, videos[1:]):
        if first.name == second.name:
            fatal.append(
                f'{second.source}: video {second.name!r} is also in {first.source}; expected each '
                'video once.'
            )
    errors = fatal + (dropped if problems is None else [])
    if errors:
        raise AnnotationError(errors)
    if problems is not None:
        problems += dropped
    for index, video in enumerate(videos):
        if not video.has_image_ids:
            for position, frame in enumerate(video.frames):
                frame.image_id = _ID_STEP * (index + 1) + position
    return videos


def frames_by_id(videos: list[Video]) -> dict[int, tuple[Video, Frame]]:
    """Finds a frame and its video by image id.

    Raises:
        AnnotationError: if two frames carry the same image id.
    """
    found: dict[int, tuple[Video, Frame]] = {}
    for video in videos:
        for frame in video.frames:
            other = found.setdefault(frame.image_id, (video, frame))
            if other[1] is not frame:
                raise AnnotationError(
                    f'{video.source}: image id {frame.image_id} of {frame.file_name} is also that '
                    f'of {other[1].file_name} in {other[0].source}; expected unique image ids.'
                )
    return found


def _describe_empty_folder(path: Path) -> str:
    folders = sorted(child.name for child in path.iterdir() if child.is_dir())
    hint = f'; it has the folders {", ".join(folders[:5])}' if folders else ''
    return f'{path}: no .json or .mat file{hint}; expected one file a video.'


def _read_file(file: Path, dropped: list[str]) -> list[Video]:
    """Reads one file; annotations that are wrong go to `dropped`, anything else is raised."""
    data = _load(file)
    if 'annolist' in data:
        frames = _read_annolist(data['annolist'], file, dropped)
    elif 'images' in data:
        frames = _read_coco(data, file, dropped)
    else:
        raise AnnotationError(
            f'{file}: expected "images" (PoseTrack18 and 21) or "annolist" (PoseTrack17), found '
            f'{_list_names(data)}.'
        )
    return _split_into_videos(frames, file, 'annolist' not in data)


def _load(file: Path) -> dict:
    """The content of a JSON or .mat file as a dict."""
    if file.suffix == '.mat':
        return _load_mat(file)
    content = file.read_bytes()
    if not content.strip():
        raise AnnotationError(f'{file}: is empty; expected JSON.')
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise AnnotationError(f'{file}: not valid JSON ({error}).') from error
    if not isinstance(data, dict):
        raise AnnotationError(
            f'{file}: expected a JSON object with "images" or "annolist", found {_show(data)}.'
        )
    return data


def _split_into_videos(
    frames: list[tuple[str, Frame]], file: Path, has_image_ids: bool
) -> list[Video]:
    """Groups the (folder of the image, frame) pairs of a file by folder."""
    groups: dict[str, list[Frame]] = defaultdict(list)
    for folder, frame in frames:
        groups[folder].append(frame)
    names = [posixpath.basename(folder) for folder in groups]
    return [
        # two sources may each have a video 0042: their full folders tell them apart
        Video(name if names.count(name) == 1 else folder, group, str(file), has_image_ids)
        for (folder, group), name in zip(groups.items(), names)
    ]


# --------------------------------------------------------------------- PoseTrack18 and 21


def _read_coco(data: dict, file: Path, dropped: list[str]) -> list[tuple[str, Frame]]:
    """(folder of the image, frame) pairs of a PoseTrack18 or 21 file."""
    for field in ('images', 'annotations', 'categories'):
        if not isinstance(data.get(field), list):
            found = _show(data[field]) if field in data else 'no such field'
            raise AnnotationError(f'{file}: expected "{field}" to be a list, found {found}.')
    places, num_keypoints, category_id = _read_category(data['categories'], file)
    frames = _read_images(data['images'], file)
    position = {frame.image_id: index for index, (_, frame) in enumerate(frames)}

    annotations: list[dict] = []
    for index, annotation in enumerate(data['annotations']):
        if isinstance(annotation, dict):
            annotations.append(annotation)
        else:
            dropped.append(
                f'{file}: annotations[{index}] is {_show(annotation)}, expected an object.'
            )
    good = np.ones(len(annotations), dtype=bool)

    def drop(index: int, problem: str) -> None:
        good[index] = False
        ids = ', '.join(f'{key} {annotations[index].get(key)}' for key in ('id', 'image_id'))
        dropped.append(f'{file}: annotation with {ids}: {problem}.')

    image_ids = _int_column(annotations, 'image_id', drop, required=True)
    categories = _int_column(annotations, 'category_id', drop)
    ids = _int_column(annotations, 'id', lambda *_: None)  # nobody needs them to be numbers
    track_ids = _int_column(annotations, 'track_id', drop)
    frame_of = np.array([position.get(image_id, -1) for image_id in image_ids.tolist()], dtype=int)
    for index in range(len(annotations)):
        if good[index] and frame_of[index] < 0:
            drop(index, '"image_id" is that of no image in the file')
        if categories[index] not in (-1, category_id):
            drop(index, f'"category_id" is {categories[index]}, expected {category_id} (person)')

    keypoints = _float_rows(annotations, ('keypoints',), 3 * num_keypoints, drop, required=True)
    scores = _float_rows(annotations, ('scores',), num_keypoints, drop)
    boxes = _float_rows(annotations, ('bbox',), 4, drop)
    head_boxes = _float_rows(annotations, ('bbox_head', 'head_box'), 4, drop)
    scores[np.isnan(scores)] = MISSING_SCORE

    # persons sorted by frame, within a frame in the order of the file
    order = np.flatnonzero(good)
    order = order[np.argsort(frame_of[order], kind='stable')]
    keypoints = keypoints.reshape(-1, num_keypoints, 3)[order][:, places]
    scores = scores[order][:, places]
    boxes, head_boxes = boxes[order], head_boxes[order]
    track_ids, ids = track_ids[order], ids[order]
    bounds = np.searchsorted(frame_of[order], np.arange(len(frames) + 1))
    for index, (_, frame) in enumerate(frames):
        persons = slice(bounds[index], bounds[index + 1])
        frame.keypoints, frame.scores = keypoints[persons], scores[persons]
        frame.boxes, frame.head_boxes = boxes[persons], head_boxes[persons]
        frame.track_ids, frame.ids = track_ids[persons], ids[persons]
        if frame.is_labeled is None:
            frame.is_labeled = len(frame.keypoints) > 0
    return frames


def _read_category(categories: list, file: Path) -> tuple[list[int], int, int]:
    """The places of the 15 joints in the file's keypoints, their number, and the category's id."""
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
    if problems:
        raise AnnotationError(problems)
    category_id = _as_int(found[0].get('id', 1))
    if category_id is None:
        raise AnnotationError(
            f'{file}: the "id" of the category is {_show(found[0]["id"])}, expected an integer.'
        )
    return [names.index(joint) for joint in JOINT_NAMES], len(names), category_id


def _read_images(images: list, file: Path) -> list[tuple[str, Frame]]:
    """(folder of the image, frame without persons) pairs; `is_labeled` is None if not said."""
    problems: list[str] = []
    frames: list[tuple[str, Frame]] = []
    names: dict[int, str] = {}
    for index, image in enumerate(images):
        place = f'{file}: images[{index}]'
        if not isinstance(image, dict):
            problems.append(f'{place} is {_show(image)}, expected an object.')
            continue
        image_id, name = _as_int(image.get('id')), image.get('file_name')
        if image_id is None:
            problems.append(f'{place}: "id" is {_show(image.get("id"))}, expected an integer.')
            continue
        if not isinstance(name, str) or not name:
            problems.append(f'{place}: "file_name" is {_show(name)}, expected a path.')
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
        folder = posixpath.dirname(name.replace('\\', '/')) or str(image.get('vid_id', file.stem))
        is_labeled, frame_id = image.get('is_labeled'), _as_int(image.get('frame_id'))
        number = _last_number(name, index if frame_id is None else frame_id)
        frame = empty_frame(name, image_id, number)
        frame.is_labeled = None if is_labeled is None else bool(is_labeled)
        frame.ignore_regions = regions
        frame.width, frame.height = _as_int(image.get('width')), _as_int(image.get('height'))
        frames.append((folder, frame))
    if not images:
        problems.append(f'{file}: "images" is empty, expected the frames of a video.')
    if problems:
        raise AnnotationError(problems)
    return frames


def _read_regions(image: dict) -> list[np.ndarray]:
    """The ignore polygons of an image entry; ValueError says what is wrong."""
    xs, ys = image.get('ignore_regions_x') or [], image.get('ignore_regions_y') or []
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise ValueError(
            '"ignore_regions_x" and "ignore_regions_y" must be lists of as many polygons, found '
            f'{_show(xs)} and {_show(ys)}'
        )
    regions = []
    for index, (x, y) in enumerate(zip(xs, ys)):
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            raise ValueError(
                f'ignore region {index} must have as many x as y, found {_show(x)} and {_show(y)}'
            )
        polygon = _as_floats([x, y], (2, len(x)))
        if polygon is None:
            raise ValueError(f'ignore region {index} must consist of finite numbers')
        regions.append(polygon.T)
    return regions


def _int_column(annotations: list[dict], field: str, drop, required: bool = False) -> np.ndarray:
    """(A,) int64, -1 where an optional field is missing."""
    column = np.full(len(annotations), -1, dtype=np.int64)
    for index, annotation in enumerate(annotations):
        value = annotation.get(field)
        if value is None and not required:
            continue
        number = _as_int(value)
        if number is None:
            drop(index, f'"{field}" is {_show(value)}, expected an integer')
        else:
            column[index] = number
    return column


def _float_rows(
    annotations: list[dict], fields: tuple[str, ...], width: int, drop, required: bool = False
) -> np.ndarray:
    """(A, width) float64 of the first of `fields` that is there, NaN where none is."""
    values = [
        next((a[field] for field in fields if a.get(field) is not None), None) for a in annotations
    ]
    # an empty list stands for "none", as in the "scores" of ground truth
    there = [i for i, value in enumerate(values) if required or value not in (None, [])]
    rows = np.full((len(values), width), np.nan)
    if not there:
        return rows
    block = _as_floats([values[i] for i in there], (len(there), width))
    if block is not None:
        rows[there] = block
        return rows
    for i in there:
        row = _as_floats(values[i], (width,))
        if row is None:
            drop(i, f'"{fields[0]}" is {_show(values[i])}, expected {width} finite numbers')
        else:
            rows[i] = row
    return rows


# ---------------------------------------------------------------------------- PoseTrack17


def _read_annolist(annolist: object, file: Path, dropped: list[str]) -> list[tuple[str, Frame]]:
    """(folder of the image, frame) pairs of a PoseTrack17 file."""
    entries = _items(annolist)
    problems: list[str] = []
    frames: list[tuple[str, Frame]] = []
    for index, entry in enumerate(entries):
        place = f'{file}: annolist[{index}]'
        image = (_items(entry.get('image')) or [None])[0] if isinstance(entry, dict) else None
        name = _scalar(image.get('name')) if isinstance(image, dict) else None
        if not isinstance(name, str) or not name:
            problems.append(f'{place}: "image.name" is {_show(name)}, expected a path.')
            continue
        place = f'{place} ({name})'
        frame = empty_frame(name, -1, _as_int(_scalar(entry.get('imgnum'))))
        if frame.number is None:
            frame.number = _last_number(name, index + 1)
        rects = _items(entry.get('annorect'))
        is_labeled = _scalar(entry.get('is_labeled'))
        frame.is_labeled = len(rects) > 0 if is_labeled is None else bool(is_labeled)
        try:
            frame.ignore_regions = [
                _read_polygon(region) for region in _items(entry.get('ignore_regions'))
            ]
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
            keypoints, scores, head_boxes, track_ids = map(np.stack, zip(*persons))
            frame.keypoints, frame.scores, frame.head_boxes = keypoints, scores, head_boxes
            frame.track_ids = track_ids
            frame.boxes = np.full((len(persons), 4), np.nan)
            frame.ids = np.full(len(persons), -1, dtype=np.int64)
        folder = posixpath.dirname(name.replace('\\', '/')) or file.stem
        frames.append((folder, frame))
    if not entries:
        problems.append(f'{file}: "annolist" is empty, expected the frames of a video.')
    if problems:
        raise AnnotationError(problems)
    return frames


def _read_person(rect: object) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.int64]:
    """Keypoints (15, 3), scores (15,), head box (4,), track id; ValueError says what is wrong."""
    if not isinstance(rect, dict):
        raise ValueError(f'is {_show(rect)}, expected an object')
    keypoints = np.zeros((len(JOINT_NAMES), 3))
    scores = np.full(len(JOINT_NAMES), MISSING_SCORE)
    head_box = np.full(4, np.nan)

    corners = [_scalar(rect.get(key)) for key in ('x1', 'y1', 'x2', 'y2')]
    if any(corner is not None for corner in corners):
        box = _as_floats(corners, (4,))
        if box is None:
            raise ValueError(f'the head box x1, y1, x2, y2 is {corners}, expected finite numbers')
        head_box = np.concatenate([box[:2], box[2:] - box[:2]])
    track_id = _scalar(rect.get('track_id'))
    if track_id is not None and _as_int(track_id) is None:
        raise ValueError(f'"track_id" is {_show(track_id)}, expected an integer')

    groups = [group for group in _items(rect.get('annopoints')) if group]
    if len(groups) > 1 or not all(isinstance(group, dict) for group in groups):
        raise ValueError(f'"annopoints" is {_show(rect["annopoints"])}, expected one set of points')
    seen = set()
    for number, point in enumerate(_items(groups[0].get('point')) if groups else []):
        if not isinstance(point, dict):
            raise ValueError(f'point {number} is {_show(point)}, expected an object')
        point_id = _as_int(_scalar(point.get('id')))
        if point_id not in POSETRACK17_POINT_IDS:
            raise ValueError(
                f'point {number}: "id" is {_show(_scalar(point.get("id")))}, expected 0 to 14'
            )
        if point_id in seen:
            raise ValueError(f'two points have the id {point_id}, expected each once')
        seen.add(point_id)
        visible, score = _scalar(point.get('is_visible')), _scalar(point.get('score'))
        if isinstance(visible, str) and visible.isdigit():  # as MPII's .mat files write it
            visible = int(visible)
        values = [
            _scalar(point.get('x')),
            _scalar(point.get('y')),
            1 if visible is None else visible,
            MISSING_SCORE if score is None else score,
        ]
        row = _as_floats([float(v) if isinstance(v, bool) else v for v in values], (4,))
        if row is None:
            raise ValueError(
                f'point {number}: x, y, is_visible, score are {values}, expected finite numbers'
            )
        joint = JOINT_NAMES.index(POSETRACK17_POINT_IDS[point_id])
        keypoints[joint], scores[joint] = row[:3], row[3]
    return keypoints, scores, head_box, np.int64(-1 if track_id is None else int(track_id))


def _read_polygon(region: object) -> np.ndarray:
    """(n, 2) float64; ValueError says what is wrong."""
    points = _items(region.get('point')) if isinstance(region, dict) else [None]
    rows = [
        [_scalar(point.get('x')), _scalar(point.get('y'))] if isinstance(point, dict) else [None]
        for point in points
    ]
    polygon = _as_floats(rows, (len(rows), 2)) if rows else np.zeros((0, 2))
    if polygon is None:
        raise ValueError(f'an ignore region is {_show(region)}, expected points with x and y')
    return polygon


def _load_mat(file: Path) -> dict:
    """A .mat file in the shape of the JSON annolist."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise AnnotationError(
            f'{file}: reading .mat files needs scipy (pip install scipy).'
        ) from error
    try:
        content = loadmat(str(file))
    except NotImplementedError as error:
        raise AnnotationError(
            f'{file}: is a MATLAB v7.3 file, expected v7 (save it with "-v7").'
        ) from error
    except Exception as error:  # scipy raises many types for damaged files
        raise AnnotationError(f'{file}: not a readable .mat file ({error}).') from error
    return {name: _plain(value) for name, value in content.items() if not name.startswith('__')}


def _plain(value: object) -> object:
    """Struct arrays and cells of structs as lists of dicts, matrices as lists, chars as str."""
    if isinstance(value, np.void):
        return {name: _plain(value[name]) for name in value.dtype.names}
    if not isinstance(value, np.ndarray):
        return value
    items = value.ravel(order='F')
    if value.dtype.names is not None:
        return [_plain(item) for item in items]
    if value.dtype.kind == 'O':
        plain = [_plain(item) for item in items]
        return [part for item in plain for part in (item if isinstance(item, list) else [item])]
    if value.dtype.kind == 'U':
        return ''.join(items.tolist())
    return items.tolist()


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


# --------------------------------------------------------------------------------- values


def empty_frame(file_name: str, image_id: int, number: int | None) -> Frame:
    """A frame without persons, not labeled."""
    joints = len(JOINT_NAMES)
    return Frame(
        file_name=file_name,
        image_id=image_id,
        number=number,
        is_labeled=False,
        ignore_regions=[],
        keypoints=np.zeros((0, joints, 3)),
        scores=np.zeros((0, joints)),
        head_boxes=np.zeros((0, 4)),
        boxes=np.zeros((0, 4)),
        track_ids=np.zeros(0, dtype=np.int64),
        ids=np.zeros(0, dtype=np.int64),
    )


def _last_number(file_name: str, default: int) -> int:
    """The last run of digits in the stem of a file name."""
    digits = re.findall(r'\d+', posixpath.splitext(posixpath.basename(file_name))[0])
    return int(digits[-1]) if digits else default


def _as_int(value: object) -> int | None:
    """A whole number that fits 64 bits, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        return None
    return value


def _as_floats(value: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """A nested list as float64, or None unless it has this shape and finite numbers only."""
    try:
        array = np.array(value)
    except ValueError:  # ragged
        return None
    if array.shape != shape or array.dtype.kind not in 'iuf' or not np.isfinite(array).all():
        return None
    return array.astype(np.float64)


def _show(value: object) -> str:
    """A value in a few words, for error messages."""
    if value is None:
        return 'missing'
    if isinstance(value, dict):
        return f'an object with {_list_names(value)}'
    if isinstance(value, list) and len(value) > 4:
        odd = [v for v in value if isinstance(v, bool) or not isinstance(v, (int, float))]
        return f'a list of {len(value)}' + (f' with {odd[0]!r:.30}' if odd else '')
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + '...'


def _list_names(value: dict) -> str:
    names = list(value)
    return ', '.join(f'"{name}"' for name in names[:6]) if names else 'nothing in it'
