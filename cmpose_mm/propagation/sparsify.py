"""Takes labels out of a data set until every k-th frame is labeled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cmpose_mm.posetrack.annotations import Frame, Video
from cmpose_mm.posetrack.videos import empty_frame

from .label_files import LabelFile, label_files, without_labels


@dataclass
class SparseSet:
    """What `sparsify_labels` did.

    Attributes:
        videos: of the data set.
        frames, kept_frames: labeled ones before and after.
        persons, kept_persons: in these.
    """

    videos: int = 0
    frames: int = 0
    kept_frames: int = 0
    persons: int = 0
    kept_persons: int = 0


def is_labeled(frame: Frame) -> bool:
    """Whether people have looked at the frame: it is marked as labeled, or has persons."""
    return bool(frame.is_labeled) or len(frame.keypoints) > 0


def labeled_positions(video: Video) -> list[int]:
    """Positions of the labeled frames among the frames of a video."""
    return [place for place, frame in enumerate(video.frames) if is_labeled(frame)]


def kept_positions(positions: list[int], every: int) -> list[int]:
    """The first labeled frame, then always the last that is at most ``every`` frames further on.

    Where the next label is further away, that one. So no gap is wider than ``every`` that was not
    there before, and what has been taken out can be propagated.

    Args:
        positions: of the labeled frames, ascending.
        every: k >= 1.

    Returns:
        Of 30 consecutive frames and k = 4, those at 0, 4, ..., 28: 8 frames, 26.7 %.
    """
    kept = positions[:1]
    for place, following in zip(positions[1:], positions[2:] + positions[-1:]):
        if place - kept[-1] >= every or following - kept[-1] > every:
            kept.append(place)
    return kept


def sparsify_video(video: Video, every: int) -> Video:
    """The video with labels in every k-th frame, see `kept_positions`; the rest has no persons."""
    kept = set(kept_positions(labeled_positions(video), every))
    frames = [
        frame if place in kept or not is_labeled(frame) else unlabeled(frame)
        for place, frame in enumerate(video.frames)
    ]
    return replace(video, frames=frames)


def unlabeled(frame: Frame) -> Frame:
    """The frame without persons."""
    empty = empty_frame(frame.file_name, frame.image_id, frame.number)
    return replace(
        empty,
        ignore_regions=frame.ignore_regions,
        width=frame.width,
        height=frame.height,
    )


def sparsify_labels(
    labels: str | Path,
    out: str | Path,
    every: int,
    progress: Callable[[list[LabelFile]], Iterable[LabelFile]] = iter,
) -> SparseSet:
    """Writes label files with labels in every k-th frame.

    In the other frames the persons are gone and ``is_labeled`` is false. With k = 1, and wherever
    else nothing goes, files are copied byte for byte.

    Args:
        labels: folder of label files, or one file, in any of PoseTrack's formats.
        out: folder (or file) to write; what is there of the same name is replaced.
        every: k, see `kept_positions`. Frames are counted as the files list them.
        progress: wraps the files while they are written.

    Raises:
        ValueError: if k is below 1.
        AnnotationError: see `label_files`.
    """
    if every < 1:
        raise ValueError(f'every is {every}, expected at least 1.')
    result = SparseSet()
    for file in progress(label_files(labels, out)):
        cleared = []
        for video in file.videos:
            labeled = labeled_positions(video)
            kept = kept_positions(labeled, every)
            gone = [video.frames[place] for place in sorted(set(labeled) - set(kept))]
            cleared += gone
            persons = sum(len(frame.keypoints) for frame in video.frames)
            result.videos += 1
            result.frames += len(labeled)
            result.kept_frames += len(kept)
            result.persons += persons
            result.kept_persons += persons - sum(len(frame.keypoints) for frame in gone)
        if cleared:
            file.write(without_labels(file.content(), cleared))
        else:
            file.copy()
    return result
