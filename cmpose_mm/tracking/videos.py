"""Track ids for whole videos in PoseTrack's formats."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmpose_mm.joint_sets import DEFAULT_SIGMA
from cmpose_mm.posetrack.annotations import MISSING_SCORE, AnnotationError, Frame, Video
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_SIGMAS
from cmpose_mm.posetrack.json_files import json_bytes, read_json
from cmpose_mm.posetrack.persons import person_boxes
from cmpose_mm.posetrack.predictions import prediction_files, write_predictions
from cmpose_mm.whole_files import write_whole

from .pose_tracker import PoseTracker


def assign_track_ids(
    videos: list[Video],
    *,
    progress: Callable[[list[Video]], Iterable[Video]] = iter,
    **options: float,
) -> list[Video]:
    """Tracks the persons of each video; existing track ids are ignored.

    The score of a person is the mean score of the joints. A joint without a score counts as 1, and
    absent joints are left out. A person without a box gets the extent of the joints that count,
    enlarged by 1.3. Each frame that a video lists is one step in time. Joints with the names of
    PoseTrack's have its OKS sigmas, others `DEFAULT_SIGMA`.

    Args:
        videos: from `read_videos`, with any joints.
        progress: wraps the videos while they are tracked, for example `tqdm.tqdm`.
        **options: of `PoseTracker`.

    Returns:
        The videos with ids that count from 0 in each video. Persons whose score is too low, or who
        have no box and fewer than two joints that count, get -1.

    Raises:
        AnnotationError: one sentence about a box without area.
    """
    sigmas = dict(zip(JOINT_NAMES, JOINT_SIGMAS))
    return [
        _track(
            video,
            PoseTracker(
                **{
                    'sigmas': [sigmas.get(joint, DEFAULT_SIGMA) for joint in video.joints],
                    **options,
                }
            ),
        )
        for video in progress(videos)
    ]


def write_tracked(videos: list[Video], folder: str | Path) -> None:
    """Writes ``folder/<name of the video>.json`` for each video; the folder is made if need be.

    Of files with ``images`` (PoseTrack18 and 21) everything stays but the track ids, also what is
    not PoseTrack's: times of the images, scores of persons, other joints. Annolist files are
    written as `write_predictions` does.

    Args:
        videos: from `assign_track_ids`; ``source`` is still the file that they were read from.
        folder: an existing file of the same name in it is replaced.

    Raises:
        AnnotationError: before anything is written, if two videos would have one file.
    """
    name_of = dict(zip((id(video) for video in videos), prediction_files(videos)))
    by_source: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        by_source[video.source].append(video)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for source, of_file in by_source.items():
        if not of_file[0].has_image_ids:
            write_predictions(of_file, folder)
            continue
        content = read_json(source)
        images = {image['id']: image for image in content['images']}
        persons: dict[int, list[dict]] = defaultdict(list)
        for annotation in content['annotations']:
            persons[annotation['image_id']].append(annotation)
        for video in of_file:
            annotations = [
                {**annotation, 'track_id': track_id}
                for frame in video.frames
                for annotation, track_id in zip(persons[frame.image_id], frame.track_ids.tolist())
            ]
            part = dict(
                images=[images[frame.image_id] for frame in video.frames], annotations=annotations
            )
            write_whole(Path(folder) / name_of[id(video)], json_bytes({**content, **part}))


def _track(video: Video, tracker: PoseTracker) -> Video:
    return replace(video, frames=[_track_frame(video, frame, tracker) for frame in video.frames])


def _track_frame(video: Video, frame: Frame, tracker: PoseTracker) -> Frame:
    present = (frame.keypoints != 0).any(axis=-1)
    scores = np.where(present, np.where(frame.scores == MISSING_SCORE, 1.0, frame.scores), 0.0)
    person_scores = scores.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    counted = np.where(scores[..., None] > tracker.min_joint_score, frame.keypoints, 0)
    boxes = person_boxes(frame.boxes, counted)
    has_extent = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    bad = np.flatnonzero(~has_extent & ~np.isnan(frame.boxes).all(axis=1))
    if len(bad):
        raise AnnotationError(
            f'{video.source}: {frame.file_name}, person {bad[0]}: "bbox" is '
            f'{frame.boxes[bad[0]].tolist()}, expected x, y and a positive width and height.'
        )
    track_ids = np.full(len(boxes), -1, dtype=np.int64)
    track_ids[has_extent] = tracker.update(
        frame.keypoints[has_extent, :, :2],
        scores[has_extent],
        boxes[has_extent],
        person_scores[has_extent],
    )
    return replace(frame, track_ids=track_ids)
