"""Poses of one video in memory, from predictions in PoseTrack18's form with any joints."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import MISSING_SCORE, AnnotationError
from cmpose_mm.posetrack.file_names import numbers_in_names, split_name
from cmpose_mm.posetrack.json_files import read_json
from cmpose_mm.posetrack.values import as_floats, as_int, show

DECIMALS = 2
"""Coordinates are written to a hundredth of a pixel."""
MAX_COORDINATE = 1e6
"""Pixels; what is further from (0, 0) is no place in an image, and can't be drawn."""
MAX_FRAMES = 10**7
"""Frame numbers are below this: four days of 30 frames a second."""


@dataclass
class PoseVideo:
    """P persons in F frames, frame after frame; K joints. Coordinates in pixels of the image.

    Attributes:
        name: stem of the file.
        joints: K names.
        image_ids: (F,) as the file has them.
        file_names: F names of images, empty for the frames of a video file.
        times: (F,) seconds, NaN where the file does not say.
        frames: (P,) position of each person's frame.
        track_ids: (P,) int64, -1 where a person has none.
        keypoints: (P, K, 2), NaN where a joint is absent.
        keypoint_scores: (P, K), NaN where the file has none.
        boxes: (P, 4) x, y, width, height; NaN where the file has none.
        scores: (P,) of the persons, NaN where the file has none.
        limbs: pairs of joints that the file says to draw a line between.
        image_size: (width, height) of the first image, None where the file does not say.
        numbers: (F,) of the frames in their video, from 0; None where the file does not say.
        joint_set: name of the data set that defines the joints, '' where the file does not say.
    """

    name: str
    joints: list[str]
    image_ids: np.ndarray
    file_names: list[str]
    times: np.ndarray
    frames: np.ndarray
    track_ids: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    limbs: tuple[tuple[str, str], ...] = ()
    image_size: tuple[int, int] | None = None
    numbers: np.ndarray | None = None
    joint_set: str = ''

    def frame_rate(self) -> float:
        """Frames a second, from the usual distance of the times that the file has.

        That is the mean of those that are a millisecond from the median: files may have times in
        whole milliseconds.

        Raises:
            AnnotationError: if less than two frames have a time, or times fall.
        """
        numbers, times = self._known_times()
        if len(times) == 0:
            raise AnnotationError(
                f'{self.name}: the images have no "time" in seconds; expected a frame rate.'
            )
        if len(times) == 1 or times[-1] == times[0]:
            raise AnnotationError(
                f'{self.name}: all times are {times[0]:g} s; expected a frame rate.'
            )
        step = _usual_step(numbers, times)
        if not step > 0:
            raise AnnotationError(
                f'{self.name}: most frames have the time of the one before; expected a frame rate.'
            )
        return 1 / step

    def seconds(self, numbers: np.ndarray, frame_rate: float | None = None) -> np.ndarray:
        """Times of frames, whether the file lists them or not.

        Args:
            numbers: (N,) of the frames in their video, see `frame_numbers`.
            frame_rate: frames a second; given, the times of the file do not count.

        Returns:
            (N,) seconds. Frames without a time lie evenly between their neighbors with one; before
            the first and after the last of these, they follow each other at the usual distance.

        Raises:
            AnnotationError: if it is no finite number above 0, or not given and less than two
                frames have a time, or times fall.
        """
        numbers = np.asarray(numbers)
        if frame_rate is not None:
            if not (frame_rate > 0 and isfinite(frame_rate)):
                raise AnnotationError(
                    f'{self.name}: the frame rate is {frame_rate:g}, expected a number above 0, '
                    'not infinity.'
                )
            return numbers / frame_rate
        known, times = self._known_times()
        if len(known) == 1 and (numbers == known).all():
            return np.repeat(times, len(numbers))
        if len(known) < 2:
            raise AnnotationError(
                f'{self.name}: {len(known)} frames have a time in seconds; expected a frame rate.'
            )
        if times[-1] == times[0]:
            raise AnnotationError(
                f'{self.name}: all times are {times[0]:g} s; expected a frame rate.'
            )
        step = _usual_step(known, times)
        outside = np.minimum(numbers - known[0], 0) + np.maximum(numbers - known[-1], 0)
        return np.interp(numbers, known, times) + outside * step

    def check_tracks(self) -> None:
        """Raises AnnotationError if a track is twice in a frame."""
        seen: set[tuple[int, int]] = set()
        for frame, track in zip(self.frames.tolist(), self.track_ids.tolist()):
            if track >= 0 and (frame, track) in seen:
                raise AnnotationError(
                    f'{self.name}: track {track} is there twice in frame '
                    f'{self.frame_numbers()[frame]}, expected once.'
                )
            seen.add((frame, track))

    def _known_times(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the frames that have a time, rising, and these times."""
        numbers, there = self.frame_numbers(), np.isfinite(self.times)
        numbers, places = np.unique(numbers[there], return_index=True)
        times = self.times[there][places]
        falls = np.flatnonzero(np.diff(times) < 0)
        if len(falls):
            before, after = falls[0], falls[0] + 1
            raise AnnotationError(
                f'{self.name}: frame {numbers[after]} has the time {times[after]:g} s after '
                f'{times[before]:g} s of frame {numbers[before]}, expected rising times.'
            )
        return numbers, times

    def frame_numbers(self) -> np.ndarray:
        """(F,) the number of each frame in its video, from 0.

        The file may be of a part of a video, or lack frames that were dropped: tables and JSON have
        the numbers, see `numbers_of_video_frames`. Elsewhere it is what the images' names count up
        from the first (see `numbers_in_names`), or the position if they count nothing.
        """
        if self.numbers is not None:
            return self.numbers
        named = numbers_in_names(self.file_names) if self.file_names else None
        if named is not None:
            named = np.array(named, np.int64) - named[0]
            if (np.diff(named) > 0).all() and named[-1] < MAX_FRAMES:
                return named
        return np.arange(len(self.image_ids))

    def numbering(self) -> str:
        """How far images are apart by their names, in words; empty where nothing is to be told."""
        steps = np.diff(self.frame_numbers()) if self.numbers is None else ()
        step = round(float(np.median(steps))) if len(steps) else 1
        return f'images {step} frames apart, by their names' if step > 1 else ''

    def place(self, joint: str) -> int | None:
        """Position of a joint, None if the poses do not have it."""
        return self.joints.index(joint) if joint in self.joints else None


def _usual_step(numbers: np.ndarray, times: np.ndarray) -> float:
    """Seconds from frame to frame: the mean of the steps that are a millisecond from the median.

    The median alone is off by 2 % where times of 60 frames a second are in whole milliseconds.
    """
    frames, seconds = np.diff(numbers), np.diff(times)
    steps = seconds / frames
    median = float(np.median(steps))
    usual = np.abs(steps - median) < 1.5e-3
    return float(seconds[usual].sum() / frames[usual].sum()) if usual.any() else median


def numbers_of_video_frames(images: list[dict]) -> list[int | None]:
    """The numbers of those of ``images`` that are frames of a video file, from 0; else None.

    Their file names are made up, see `PoseTrackWriter`, and say nothing about images that the
    frames were extracted to. In earlier versions they had a time, no ``frame_number``, and the
    number of the name was its id (or its last four digits), one after the other.
    """
    numbers = [_number_of_video_frame(image) for image in images]
    first = numbers[0] if numbers else 0
    if None not in numbers and numbers != [*range(first, first + len(numbers))]:
        numbers = [n if i.get('of_video') else None for n, i in zip(numbers, images)]
    return numbers


def _number_of_video_frame(image: dict) -> int | None:
    if image.get('of_video'):
        return as_int(image.get('frame_number'))
    stem = posixpath.splitext(split_name(str(image.get('file_name', '')))[1])[0]
    is_old = image.get('frame_number') is None and image.get('time') is not None
    if not is_old or not stem.isdecimal():
        return None
    image_id = as_int(image.get('id'))
    ids = () if image_id is None else (image_id, image_id % 10_000)
    return int(stem) if int(stem) in ids else None


def read_pose_video(path: str | Path) -> PoseVideo:
    """Reads predictions of one video.

    Args:
        path: a JSON file with ``images``, ``annotations`` and ``categories``, whose first entry
            names the joints in ``keypoints``. Joints with x = y = v = 0 are absent.

    Raises:
        AnnotationError: one sentence about what is missing or wrong, or if the file holds several
            videos.
    """
    path = Path(path)
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise AnnotationError(f'{path}: not found; expected predictions.') from error
    try:
        return _video(content, path.stem)
    except ValueError as error:
        raise AnnotationError(f'{path}: {error}') from error


def check_predictions(content: dict, *lists: str) -> None:
    """Checks what a file in PoseTrack18's form holds, as far as all readers here need it.

    Args:
        content: of the file.
        *lists: its lists that are needed besides ``images`` and ``annotations``.

    Raises:
        ValueError: one sentence about a list that is missing, an entry that is no object, or a
            field of an image or a person that is missing or no number.
    """
    for key in ('images', 'annotations', *lists):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise ValueError(f'has no list "{key}", expected predictions in PoseTrack18\'s form.')
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict):
                raise ValueError(f'{key}[{index}] is {show(entry)}, expected an object.')
    ids: set[int] = set()
    for index, image in enumerate(content['images']):
        place = f'images[{index}]'
        if as_int(image.get('id')) is None:
            raise ValueError(f'{place}: "id" is {show(image.get("id"))}, expected a whole number.')
        if image['id'] in ids:
            raise ValueError(f'{place}: "id" {image["id"]} is there twice, expected it once.')
        ids.add(image['id'])
        _check_number(place, image, 'time')
        number = image.get('frame_number')
        if number is not None and not (as_int(number) is not None and 0 <= number < MAX_FRAMES):
            raise ValueError(
                f'{place}: "frame_number" is {show(number)}, expected a whole number from 0, below '
                f'{MAX_FRAMES:,}.'
            )
    category_id = as_int(person_category(content).get('id', 1))
    for index, annotation in enumerate(content['annotations']):
        _check_person(f'annotation {index}', annotation, ids)
        found = annotation.get('category_id')
        if found is not None and found != category_id:
            raise ValueError(
                f'annotation {index}: "category_id" is {show(found)}, expected {category_id} '
                '(person).'
            )
        if annotation.get('iscrowd'):
            raise ValueError(f'annotation {index}: "iscrowd" is set, expected a person.')


def person_category(content: dict) -> dict:
    """The category of a file that names the joints; an empty one if there is none.

    Raises:
        ValueError: if several do.
    """
    categories = content.get('categories')
    found = [
        category
        for category in (categories if isinstance(categories, list) else ())
        if isinstance(category, dict) and isinstance(category.get('keypoints'), list)
    ]
    if len(found) > 1:
        raise ValueError(f'{len(found)} "categories" have a list of "keypoints", expected one.')
    return found[0] if found else {}


def _check_person(place: str, annotation: dict, image_ids: set[int]) -> None:
    image_id = annotation.get('image_id')
    if as_int(image_id) is None or image_id not in image_ids:
        raise ValueError(
            f'{place}: "image_id" is {image_id}, expected the id of one of the images.'
        )
    track_id = annotation.get('track_id')
    if track_id is not None and as_int(track_id) is None:
        raise ValueError(f'{place}: "track_id" is {show(track_id)}, expected a whole number.')
    _check_number(place, annotation, 'score')
    joints = annotation.get('keypoints')
    if not isinstance(joints, list):
        raise ValueError(f'{place}: has no list "keypoints", expected x, y and v.')
    scores = annotation.get('scores') or []  # labels have none
    box = annotation.get('bbox') or []
    for key, values in (('keypoints', joints), ('scores', scores), ('bbox', box)):
        if not isinstance(values, list):
            raise ValueError(f'{place}: "{key}" is {show(values)}, expected a list of numbers.')
        if any(isinstance(value, float) and not isfinite(value) for value in values):
            raise ValueError(f'{place}: "{key}" has a number that is not finite.')
        if as_floats(values, (len(values),)) is None:
            raise ValueError(f'{place}: "{key}" is {show(values)}, expected numbers.')
    if len(box) not in (0, 4):
        raise ValueError(
            f'{place}: "bbox" has {len(box)} numbers, expected x, y, width and height.'
        )
    for key, values in (('keypoints', joints), ('bbox', box)):
        if max(map(abs, values), default=0) >= MAX_COORDINATE:
            raise ValueError(
                f'{place}: "{key}" has the number {max(values, key=abs):g}, expected pixels below '
                f'{MAX_COORDINATE:,.0f}.'
            )


def _check_number(place: str, entry: dict, key: str) -> None:
    value = entry.get(key)
    if value is not None and as_floats(value, ()) is None:
        raise ValueError(f'{place}: "{key}" is {show(value)}, expected a number.')


def _video(content: dict, name: str) -> PoseVideo:
    check_predictions(content, 'categories')
    images, annotations = content['images'], content['annotations']
    category = person_category(content)
    joints = category.get('keypoints')
    if not isinstance(joints, list) or len(set(map(str, joints))) < len(joints):
        raise ValueError('"categories" has no list of different names "keypoints".')
    folders = sorted({split_name(str(image.get('file_name', '')))[0] for image in images})
    if len(folders) > 1:
        raise ValueError(
            f'holds {len(folders)} videos ({folders[0]}, {folders[1]}, ...), expected one.'
        )
    places = {image['id']: place for place, image in enumerate(images)}
    for index, annotation in enumerate(annotations):
        for key, size in (('keypoints', 3), ('scores', 1)):
            found = len(annotation.get(key) or [])
            if found != size * len(joints) and (found or key == 'keypoints'):
                raise ValueError(
                    f'annotation {index}: "{key}" has {found} numbers, expected '
                    f'{size * len(joints)} for {len(joints)} joints.'
                )
    limbs = category.get('skeleton') or []
    ends = range(1, len(joints) + 1)
    for limb in limbs if isinstance(limbs, list) else [limbs]:
        if (
            not isinstance(limb, list)
            or len(limb) != 2
            or not all(as_int(end) in ends for end in limb)
        ):
            raise ValueError(
                f'"skeleton" has {show(limb)}, expected pairs of numbers from 1 to {len(joints)}.'
            )
    annotations = sorted(annotations, key=lambda annotation: places[annotation['image_id']])
    count, nan = len(annotations), float('nan')
    keypoints = np.array([a['keypoints'] for a in annotations], np.float64)
    keypoints = keypoints.reshape(count, len(joints), 3)
    absent = ~(keypoints != 0).any(axis=2)
    no_scores = [nan] * len(joints)
    size = [as_int(image.get(name)) or 0 for image in images[:1] for name in ('width', 'height')]
    scores = np.array([a.get('scores') or no_scores for a in annotations], np.float64)
    scores[scores == MISSING_SCORE] = nan
    names = [str(image.get('file_name', '')) for image in images]
    numbers = numbers_of_video_frames(images)
    if None in numbers:
        numbers = [image.get('frame_number') for image in images]
    else:
        names = [''] * len(images)
    if None not in numbers and len(set(numbers)) < len(numbers):
        number = next(n for i, n in enumerate(numbers) if n in numbers[:i])
        raise ValueError(f'frame {number} is there twice in "images", expected each frame once.')
    return PoseVideo(
        name=name,
        joints=[str(joint) for joint in joints],
        image_ids=np.array([image['id'] for image in images], np.int64),
        file_names=names,
        times=np.array([_or_nan(image.get('time')) for image in images], np.float64),
        frames=np.array([places[a['image_id']] for a in annotations], np.int64),
        track_ids=np.array([_or_none(a.get('track_id')) for a in annotations], np.int64),
        keypoints=np.where(absent[..., None], nan, keypoints[..., :2]),
        keypoint_scores=scores.reshape(count, len(joints)),
        boxes=np.array([a.get('bbox') or [nan] * 4 for a in annotations]).reshape(count, 4),
        scores=np.array([_or_nan(a.get('score')) for a in annotations], np.float64),
        limbs=tuple(
            (str(joints[int(start) - 1]), str(joints[int(end) - 1])) for start, end in limbs
        ),
        image_size=tuple(size) if size and min(size) > 0 else None,
        numbers=None if None in numbers or not numbers else np.array(numbers, np.int64),
        joint_set=str(category.get('joint_set', '')),
    )


def _or_nan(value: float | None) -> float:
    return float('nan') if value is None else value


def _or_none(track_id: int | None) -> int:
    return -1 if track_id is None else max(track_id, -1)
