"""Recall of joints that are seen, hidden, or hidden now but seen a moment before or after.

PoseTrack's average precision does not tell them apart: occluded joints count as others do. A model
of several frames is to gain on the *recoverable* ones, which a neighboring frame shows.

Shapes: G labeled persons of a video, J = 15 joints in the order of `JOINT_NAMES`, C = 4 classes in
the order of `VISIBILITY_CLASSES`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Union

import numpy as np

from cmpose_mm.posetrack.annotations import Video
from cmpose_mm.posetrack.joints import JOINT_GROUPS, JOINT_NAMES

from .scored_frames import ScoredSet, ScoredVideo, select_scored

Reach = Union[int, tuple[int, int]]
VISIBILITY_CLASSES = ('visible', 'occluded', 'recoverable', 'lost')
"""What `recall_by_visibility` tells apart; every occluded joint is either recoverable or lost."""


@dataclass
class VisibilityRecall:
    """How many labeled joints were found, by visibility.

    Attributes:
        found: (C, J) int64, labeled joints whose prediction is close enough.
        num_gt: (C, J) int64, labeled joints.
        num_tracked: labeled persons with a track id of their own. Only their joints can be
            recoverable.
        num_persons: labeled persons.
    """

    found: np.ndarray
    num_gt: np.ndarray
    num_tracked: int
    num_persons: int

    def recall(self) -> np.ndarray:
        """(C, J) found joints in percent of the labeled ones, NaN where none is labeled."""
        return _percent(self.found, self.num_gt)

    def summary(self) -> dict[str, dict[str, float]]:
        """Recall by class and column: the seven groups and `Total`, in percent.

        Joints are pooled, not recalls averaged as in tables of average precision: some joints are
        hidden too rarely for a recall of their own.
        """
        columns = {**JOINT_GROUPS, 'Total': JOINT_NAMES}
        places = {c: [JOINT_NAMES.index(name) for name in names] for c, names in columns.items()}
        return {
            name: {
                column: float(_percent(found[place].sum(), num_gt[place].sum()))
                for column, place in places.items()
            }
            for name, found, num_gt in zip(VISIBILITY_CLASSES, self.found, self.num_gt)
        }


def recall_by_visibility(
    scored: ScoredSet | list[Video],
    predictions: list[Video] | None = None,
    *,
    reach: Reach = 1,
    stride: int = 1,
    **selection,
) -> VisibilityRecall:
    """Recall of visible, occluded, recoverable and lost joints.

    Recall is the share of the labeled joints that a prediction finds within half a head size.
    A labeled joint is *visible* if its v is above 0 and *occluded* if it is 0. An occluded joint
    is *recoverable* if the same track's joint is visible in one of the frames that are ``stride``,
    2 ``stride``, ... ``reach * stride`` frame numbers before or after; otherwise it is *lost*.

    Persons are paired exactly as for PoseTrack's average precision, by the joints that a prediction
    gets right within half a head size, and not by the box that the prediction was made from: who
    predicts the wrong person of a crowd finds no joint of the right one. Joints of labeled persons
    without a partner are not found. Frames, persons and joints that count are the same, too.

    Args:
        scored: from `select_scored`; the labels need track ids for recoverable joints. Scores and
            track ids of the predictions are not used.
        reach: neighbors on either side that may show a joint, (T - 1) / 2 of a model of T frames;
            or a pair of those before and those after, for clips whose key frame is not the middle.
        stride: frame numbers from one neighbor to the next.
        predictions, selection: of the earlier form ``recall_by_visibility(ground_truth,
            predictions, ...)`` with the arguments of `select_scored`; it still works.

    Returns:
        The counts.

    Raises:
        ValueError: if ``reach`` or ``stride`` is below 1.
    """
    if predictions is not None:
        warnings.warn(
            'recall_by_visibility takes what select_scored(ground_truth, predictions) returns',
            FutureWarning,
            2,
        )
        scored = select_scored(scored, predictions, **selection)
    elif selection:
        raise TypeError(f'unexpected arguments: {", ".join(selection)}')
    counts = np.zeros((2, len(VISIBILITY_CLASSES), len(JOINT_NAMES)), dtype=np.int64)
    num_tracked = 0
    for video in scored.videos:
        classes = visibility_classes(video, reach=reach, stride=stride)
        counts += (classes & _found(video)).sum(axis=1), classes.sum(axis=1)
        num_tracked += int((video.frames_and_tracks()[1] >= 0).sum())
    return VisibilityRecall(*counts, num_tracked, scored.num_persons)


def visibility_classes(video: ScoredVideo, *, reach: Reach = 1, stride: int = 1) -> np.ndarray:
    """(C, G, J) bool: which labeled joints are of which class, see `recall_by_visibility`."""
    before, after = check_reach(reach, stride)
    seen_nearby = np.zeros_like(video.gt_visible)
    for neighbor in (*range(-before, 0), *range(1, after + 1)):
        person, there = video.same_track(neighbor * stride)
        seen_nearby[person] |= video.gt_visible[there]
    occluded = video.gt_present & ~video.gt_visible
    return np.stack([video.gt_visible, occluded, occluded & seen_nearby, occluded & ~seen_nearby])


def check_reach(reach: Reach, stride: int) -> tuple[int, int]:
    """The neighbors before and after, from either form of ``reach``.

    Raises:
        ValueError: if there are none, or ``stride`` is below 1.
    """
    before, after = (reach, reach) if isinstance(reach, int) else reach
    if min(before, after) < 0 or max(before, after) < 1 or stride < 1:
        raise ValueError(f'reach is {reach} and stride {stride}, expected both to be at least 1.')
    return before, after


def _found(video: ScoredVideo) -> np.ndarray:
    """(G, J) bool: the joint of the person's partner is at most half a head size away."""
    _, gt, match = video.partners
    found = np.zeros(video.gt_present.shape, dtype=bool)
    found[gt] = match
    return found


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return 100 * np.where(whole > 0, np.divide(part, whole), np.nan)
