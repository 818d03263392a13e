"""Poses of one video in memory, from predictions in PoseTrack18's form with any joints."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.json_files import read_json

DECIMALS = 2
"""Coordinates are written to a hundredth of a pixel."""


@dataclass
class PoseVideo:
    """P persons in F frames, frame after frame; K joints. Coordinates in pixels of the image.

    Attributes:
        name: stem of the file.
        joints: K names.
        image_ids: (F,) as the file has them.
        file_names: F names of images.
        times: (F,) seconds, NaN where the file does not say.
        frames: (P,) position of each person's frame.
        track_ids: (P,) int64, -1 where a person has none.
        keypoints: (P, K, 2), NaN where a joint is absent.
        keypoint_scores: (P, K), NaN where the file has none.
        boxes: (P, 4) x, y, width, height; NaN where the file has none.
        scores: (P,) of the persons, NaN where the file has none.
        limbs: pairs of joints that the file says to draw a line between.
        image_size: (width, height) of the first image, None where the file does not say.
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

    def frame_rate(self) -> float:
        """Frames a second, from the median distance of the times.

        Raises:
            AnnotationError: if the file has no times.
        """
        rate = median_frame_rate(self.times)
        if rate is None:
            raise AnnotationError(
                f'{self.name}: the images have no "time" in seconds; expected a frame rate.'
            )
        return rate

    def frame_numbers(self) -> np.ndarray:
        """(F,) the number of each frame in its video, from 0.

        The file may be of a part of a video, or lack frames that were dropped: where the images
        have times and are named by numbers, as `PoseTrackWriter` names those of a video, the names
        tell. Elsewhere it is the position.
        """
        stems = [posixpath.splitext(posixpath.basename(name))[0] for name in self.file_names]
        if stems and np.isfinite(self.times).all() and all(stem.isdecimal() for stem in stems):
            return np.array([int(stem) for stem in stems])
        return np.arange(len(self.image_ids))

    def place(self, joint: str) -> int | None:
        """Position of a joint, None if the poses do not have it."""
        return self.joints.index(joint) if joint in self.joints else None


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


def median_frame_rate(times: Sequence[float | None]) -> float | None:
    """Frames a second from the median distance of times in seconds, None if they do not tell."""
    steps = np.diff(np.array(times, np.float64))
    if not len(steps) or not np.isfinite(steps).all() or np.median(steps) <= 0:
        return None
    return float(1 / np.median(steps))


def check_predictions(content: dict, *lists: str) -> None:
    """Checks what a file in PoseTrack18's form holds, as far as all readers here need it.

    Args:
        content: of the file.
        *lists: its lists that are needed besides ``images`` and ``annotations``.

    Raises:
        ValueError: one sentence about a list that is missing, or a person without an image of the
            file or without ``keypoints``.
    """
    for key in ('images', 'annotations', *lists):
        if not isinstance(content.get(key) if isinstance(content, dict) else None, list):
            raise ValueError(f'has no list "{key}", expected predictions in PoseTrack18\'s form.')
    ids = {image.get('id') for image in content['images']}
    for index, annotation in enumerate(content['annotations']):
        if annotation.get('image_id') not in ids:
            raise ValueError(
                f'annotation {index}: "image_id" is {annotation.get("image_id")}, expected the id '
                'of one of the images.'
            )
        joints = annotation.get('keypoints')
        if not isinstance(joints, list):
            raise ValueError(f'annotation {index}: has no list "keypoints", expected x, y and v.')
        if any(isinstance(value, float) and not isfinite(value) for value in joints):
            raise ValueError(f'annotation {index}: "keypoints" has a number that is not finite.')


def _video(content: dict, name: str) -> PoseVideo:
    check_predictions(content, 'categories')
    images, annotations = content['images'], content['annotations']
    category = content['categories'][0] if content['categories'] else {}
    joints = category.get('keypoints')
    if not isinstance(joints, list) or len(set(joints)) < len(joints):
        raise ValueError('"categories" has no list of different names "keypoints".')
    folders = sorted({posixpath.dirname(str(image.get('file_name', ''))) for image in images})
    if len(folders) > 1:
        raise ValueError(
            f'holds {len(folders)} videos ({folders[0]}, {folders[1]}, ...), expected one.'
        )
    places = {image['id']: place for place, image in enumerate(images)}
    for index, annotation in enumerate(annotations):
        for key, size in (('keypoints', 3), ('scores', 1)):
            values = annotation.get(key)
            if key == 'scores' and values in (None, []):  # labels have none
                continue
            if not isinstance(values, list) or len(values) != size * len(joints):
                raise ValueError(
                    f'annotation {index}: "{key}" has '
                    f'{len(values) if isinstance(values, list) else "no"} numbers, expected '
                    f'{size * len(joints)} for {len(joints)} joints.'
                )
    annotations = sorted(annotations, key=lambda annotation: places[annotation['image_id']])
    count, nan = len(annotations), float('nan')
    keypoints = np.array([a['keypoints'] for a in annotations], np.float64)
    keypoints = keypoints.reshape(count, len(joints), 3)
    absent = ~(keypoints != 0).any(axis=2)
    no_scores = [nan] * len(joints)
    size = tuple(images[0].get(name) or 0 for name in ('width', 'height')) if images else (0, 0)
    scores = np.array([a.get('scores') or no_scores for a in annotations], np.float64)
    return PoseVideo(
        name=name,
        joints=[str(joint) for joint in joints],
        image_ids=np.array([image['id'] for image in images], np.int64),
        file_names=[str(image.get('file_name', '')) for image in images],
        times=np.array([_or_nan(image.get('time')) for image in images], np.float64),
        frames=np.array([places[a['image_id']] for a in annotations], np.int64),
        track_ids=np.array([_or_none(a.get('track_id')) for a in annotations], np.int64),
        keypoints=np.where(absent[..., None], nan, keypoints[..., :2]),
        keypoint_scores=scores.reshape(count, len(joints)),
        boxes=np.array([a.get('bbox', [nan] * 4) for a in annotations]).reshape(count, 4),
        scores=np.array([_or_nan(a.get('score')) for a in annotations], np.float64),
        limbs=tuple(
            (str(joints[start - 1]), str(joints[end - 1]))
            for start, end in category.get('skeleton') or ()
        ),
        image_size=size if all(size) else None,
    )


def _or_nan(value: float | None) -> float:
    return float('nan') if value is None else value


def _or_none(track_id: int | None) -> int:
    return -1 if track_id is None else max(track_id, -1)
