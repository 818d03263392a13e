"""Track ids for whole videos in PoseTrack's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from cmpose_mm.posetrack.annotations import MISSING_SCORE, AnnotationError, Frame, Video
from cmpose_mm.posetrack.persons import person_boxes

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
    enlarged by 1.3. Each frame that a video lists is one step in time.

    Args:
        videos: from `read_videos`.
        progress: wraps the videos while they are tracked, for example `tqdm.tqdm`.
        **options: of `PoseTracker`.

    Returns:
        The videos with ids that count from 0 in each video. Persons whose score is too low, or who
        have no box and fewer than two joints that count, get -1.

    Raises:
        AnnotationError: one sentence about a box without area.
    """
    return [_track(video, PoseTracker(**options)) for video in progress(videos)]


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
