"""Writer of predictions in the official PoseTrack18 format, one JSON file a video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .file_names import is_hidden
from .joints import JOINT_NAMES, JOINT_NAMES_17, SKELETON_17
from .json_files import json_bytes
from .videos import MISSING_SCORE, AnnotationError, Frame, Video

_PLACES = [JOINT_NAMES_17.index(name) for name in JOINT_NAMES]
_FAR = -1e6  # pixels
PERSON_CATEGORY = {
    'id': 1,
    'name': 'person',
    'supercategory': 'person',
    'keypoints': JOINT_NAMES_17,
    'skeleton': SKELETON_17,
}
"""The one entry of `categories` in a PoseTrack18 file."""


def write_predictions(videos: list[Video], folder: str | Path) -> None:
    """Writes `folder/<name of the video>.json` for each video; the folder is made if need be.

    A file lists all frames of the video in `images` and in `annotations` every person with 17
    keypoints (the ears are zeros), `track_id`, and `scores` and `bbox` where they are known.

    Args:
        videos: predicted persons; track ids of -1 are written as -1.
        folder: an existing file of the same name in it is replaced.

    Raises:
        AnnotationError: before anything is written, if two videos would have one file.
    """
    folder = Path(folder)
    names = prediction_files(videos)
    folder.mkdir(parents=True, exist_ok=True)
    for video, name in zip(videos, names):
        annotations = []
        for frame in video.frames:
            annotations += frame_annotations(frame, len(annotations))
        content = {
            'images': [
                {'id': frame.image_id, 'file_name': frame.file_name} for frame in video.frames
            ],
            'annotations': annotations,
            'categories': [PERSON_CATEGORY],
        }
        (folder / name).write_bytes(json_bytes(content))


def prediction_files(videos: list[Video]) -> list[str]:
    """The names of the files that are written of some videos.

    A video's name with a folder in it tells apart videos of one name in a merged file.

    Raises:
        AnnotationError: if two of the files would have one name.
    """
    of_file: dict[str, Video] = {}
    for video in videos:
        other = of_file.setdefault(f'{file_stem(video)}.json', video)
        if other is not video:
            raise AnnotationError(
                f'{video.source}: video {video.name!r} would be written to the file of '
                f'{other.name!r} ({other.source}), expected names that differ in more than "/" '
                'and "_".'
            )
    return list(of_file)


def file_stem(video: Video) -> str:
    """What the file that is written of a video is called, without its ending.

    It is not hidden, as no reader would find it: images may be in ``.`` or ``.clip``.
    """
    return video.name.replace('/', '_').lstrip('.') or Path(video.source).stem


def describe_other_files(folder: str | Path, names: Iterable[str]) -> str | None:
    """A sentence about the files of labels in a folder beside those that were written; or None.

    They are of an earlier run, and who reads the folder reads them, too.
    """
    found = {
        path.name
        for path in Path(folder).iterdir()
        if path.suffix.lower() == '.json' and not is_hidden(path.name)
    }
    others = sorted(found.difference(names))
    if not others:
        return None
    return (
        f'{folder} also has {len(others)} .json files that were there before (first: {others[0]}), '
        'which are read with these, as by cmpose eval.'
    )


def frame_annotations(frame: Frame, first_id: int, own_joints: bool = False) -> list[dict]:
    """The persons of a frame as entries of `annotations`, with ids from `first_id` on.

    PoseTrack's 15 joints become the 17 of its files. With `own_joints`, the frame has others, which
    are written as they are. Persons without any score have no `scores`; of other persons, joints
    without one keep `MISSING_SCORE`, as which they are read. JSON has no NaN: such coordinates,
    which count as wrong, are written as ones far from any image, such scores as missing.
    """
    keypoints = np.where(np.isfinite(frame.keypoints), frame.keypoints, _FAR)
    scores = known_scores = np.where(np.isfinite(frame.scores), frame.scores, MISSING_SCORE)
    if not own_joints:
        fifteen, keypoints = keypoints, np.zeros((len(keypoints), len(JOINT_NAMES_17), 3))
        keypoints[:, _PLACES] = fifteen
        scores = np.zeros(keypoints.shape[:2])
        scores[:, _PLACES] = known_scores
    annotations = []
    for index in range(len(keypoints)):
        annotation = {
            'id': first_id + index,
            'image_id': frame.image_id,
            'category_id': PERSON_CATEGORY['id'],
            'track_id': int(frame.track_ids[index]),
            'keypoints': keypoints[index].ravel().tolist(),
        }
        if (known_scores[index] != MISSING_SCORE).any():
            annotation['scores'] = scores[index].tolist()
        if np.isfinite(frame.boxes[index]).all():
            annotation['bbox'] = frame.boxes[index].tolist()
        annotations.append(annotation)
    return annotations
