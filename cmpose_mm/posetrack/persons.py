"""Which labeled persons become samples, with which box, and why others don't.

Boxes are in pixels of the image. P: persons of a frame, K: joints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cmpose_mm.old_names import old_names

from .frames import FrameTable
from .videos import Frame, Video

ABSENT_BOX_ENLARGEMENT = 1.3


@dataclass
class Person:
    """One person of a frame, labeled or detected.

    Attributes:
        video, frame: where it is.
        index: its place among the frame's labeled persons, or among its detections.
        name: the label's annotation id, or which detection it is; for messages.
        box: (4,) float64 x1, y1, x2, y2; a labeled one is cut to the image.
        score: of the detection; 1 for a label.
        problem: why it can't be used, None if it can.
    """

    video: Video
    frame: Frame
    index: int
    name: str
    box: np.ndarray
    score: float
    problem: str | None

    def __str__(self) -> str:
        return f'{self.video.source}: {self.frame.file_name}, {self.name}'


def key_frames(videos: list[Video], detected: bool = False) -> list[tuple[Video, Frame]]:
    """The frames whose persons become samples, with their videos.

    Args:
        videos: from `read_videos`.
        detected: whether the persons are detected ones. Then a video in which no frame is labeled,
            such as those of PoseTrack's test sets, gives all its frames.
    """
    found = []
    for video in videos:
        labeled = [frame for frame in video.frames if frame.is_labeled]
        frames = video.frames if detected and not labeled else labeled
        found += [(video, frame) for frame in frames]
    return found


def repeated_ids(frames: list[tuple[Video, Frame]]) -> list[str]:
    """Where labeled persons have an annotation id that an earlier one has too.

    Predictions that are used as labels often number the persons of each file, or of each frame.
    Nothing but training looks at annotation ids, and it needs them only to tell its samples apart.
    """
    seen, repeated = set(), []
    for video, frame in frames:
        for annotation_id in frame.ids[frame.ids != -1].tolist():
            if annotation_id in seen:
                repeated.append(f'{video.source}: {frame.file_name}, annotation {annotation_id}')
            seen.add(annotation_id)
    return repeated


def labeled_persons(frames: list[tuple[Video, Frame]], frame_table: FrameTable) -> Iterator[Person]:
    """All labeled persons of some frames, good and bad.

    Args:
        frames: frames that are on disk (their size is needed), with their videos.
        frame_table: knows the frames on disk.
    """
    for video, frame in frames:
        width, height = frame_table.size_of(frame)
        has_joints = (frame.keypoints != 0).any(axis=(1, 2))
        boxes = person_boxes(frame.boxes, frame.keypoints)
        for index, (box, annotation_id) in enumerate(zip(boxes, frame.ids.tolist())):
            name = f'person {index}' if annotation_id == -1 else f'annotation {annotation_id}'
            problem = box_problem(box, width, height) if has_joints[index] else 'no labeled joint'
            yield Person(video, frame, index, name, clip_box(box, width, height), 1.0, problem)


def detected_persons(
    frames: list[tuple[Video, Frame]],
    detections: dict[int, tuple[np.ndarray, np.ndarray]],
    frame_table: FrameTable,
) -> Iterator[Person]:
    """All detections in some frames that are on disk, good and bad; see `read_detections`."""
    for video, frame in frames:
        width, height = frame_table.size_of(frame)
        for index, (box, score) in enumerate(zip(*detections[frame.image_id])):
            problem = box_problem(box, width, height)
            yield Person(video, frame, index, f'detection {index}', box, float(score), problem)


def summarize_problems(persons: list[Person]) -> list[str]:
    """One sentence for each kind of problem, with its count and first case."""
    bad = [person for person in persons if person.problem is not None]
    first = {person.problem: person for person in reversed(bad)}
    return [
        f'{count} persons with {problem} (first: {first[problem]})'
        for problem, count in Counter(person.problem for person in bad).items()
    ]


def person_boxes(boxes: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The labeled boxes; where one is absent, the extent of the labeled joints times 1.3.

    Args:
        boxes: (P, 4) x, y, width, height; a row of NaN is absent.
        keypoints: (P, K, 3) x, y, visibility; all zero is a joint without a label.

    Returns:
        (P, 4) float64 x1, y1, x2, y2. The enlarged extent keeps its center. NaN for a person with
        neither box nor joint.
    """
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    absent = np.isnan(boxes).all(axis=1)
    labeled = (keypoints[absent] != 0).any(axis=-1, keepdims=True)
    low = np.where(labeled, keypoints[absent, :, :2], np.inf).min(axis=1)
    high = np.where(labeled, keypoints[absent, :, :2], -np.inf).max(axis=1)
    with np.errstate(invalid='ignore'):  # inf - inf: nobody there
        center, half = (low + high) / 2, (high - low) / 2 * ABSENT_BOX_ENLARGEMENT
        corners[absent] = np.concatenate([center - half, center + half], axis=1)
    return corners


def clip_box(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """The box x1, y1, x2, y2 cut to the image's pixel centers [0, width - 1] x [0, height - 1]."""
    return np.clip(box, 0, [width - 1, height - 1, width - 1, height - 1])


def box_problem(box: np.ndarray, width: int, height: int) -> str | None:
    """Why a box x1, y1, x2, y2 can't be used, or None if it can."""
    if not np.isfinite(box).all():
        return 'a box that is not finite'
    if (box[2:] <= box[:2]).any():
        return 'a box of zero or negative size'
    clipped = clip_box(box, width, height)
    if (clipped[2:] <= clipped[:2]).any():
        return 'a box outside the image'
    return None


__getattr__ = old_names(__name__, {'labelled_persons': 'labeled_persons'})
