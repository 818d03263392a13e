"""What a dataset holds: how many persons and joints, how much is hidden, how fast joints move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmpose_mm.posetrack.annotations import Video

from .scored_frames import ScoredVideo, select_scored
from .visibility import VISIBILITY_CLASSES, visibility_classes


@dataclass
class LabelStatistics:
    """Counts of labels, the rest in percent; NaN where there is nothing to count.

    Attributes:
        videos, frames, persons, joints: with labels. A person counts in each of its frames.
        persons_per_frame: mean over the frames with persons.
        occluded: share of the joints that are occluded.
        recoverable: share of the *occluded* joints that are recoverable, see
            `recall_by_visibility`.
        displacement, displacement_p90: mean and 90th percentile of how far a joint of a track,
            labeled in both frames, moves in the image from one frame number to the next, in
            percent of the head size.
    """

    videos: int
    frames: int
    persons: int
    joints: int
    persons_per_frame: float
    occluded: float
    recoverable: float
    displacement: float
    displacement_p90: float


def label_statistics(videos: list[Video], *, reach: int = 1, stride: int = 1) -> LabelStatistics:
    """Statistics of labeled videos; ``reach`` and ``stride`` as for `recall_by_visibility`."""
    scored = select_scored(videos, videos)
    counts = np.zeros(len(VISIBILITY_CLASSES), dtype=np.int64)
    moves = [np.zeros(0)]
    for video in scored.videos:
        counts += visibility_classes(video, reach=reach, stride=stride).sum(axis=(1, 2))
        moves.append(_displacements(video))
    count = dict(zip(VISIBILITY_CLASSES, counts.tolist()))
    joints = count['visible'] + count['occluded']
    moved = np.concatenate(moves)
    return LabelStatistics(
        videos=len(scored.videos),
        frames=scored.num_frames,
        persons=scored.num_persons,
        joints=joints,
        persons_per_frame=_ratio(scored.num_persons, scored.num_frames),
        occluded=100 * _ratio(count['occluded'], joints),
        recoverable=100 * _ratio(count['recoverable'], count['occluded']),
        displacement=float(moved.mean()) if len(moved) else float('nan'),
        displacement_p90=float(np.quantile(moved, 0.9)) if len(moved) else float('nan'),
    )


def _displacements(video: ScoredVideo) -> np.ndarray:
    """(n,) how far joints move from one frame to the next, in percent of the earlier head size.

    Persons whose head box has no extent can't be measured and are left out.
    """
    first, second = video.same_track(1)
    size = video.gt_head_sizes[first]
    first, second, size = (each[size > 0] for each in (first, second, size))
    apart = np.linalg.norm(video.gt_xy[second] - video.gt_xy[first], axis=-1)
    both = video.gt_present[first] & video.gt_present[second]
    return 100 * (apart / size[:, None])[both]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float('nan')
