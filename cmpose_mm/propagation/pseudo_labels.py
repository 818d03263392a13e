"""From a propagator's answers to pseudo-labels: which joints and persons are worth keeping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmpose_mm.evaluation.scored_frames import HEAD_SIZE_SCALE
from cmpose_mm.posetrack.annotations import AnnotationError

from .label_files import PseudoLabel
from .propagators import Propagator, one_sided
from .queries import Query

MIN_JOINTS = 3
"""A person with fewer joints is dropped."""


@dataclass(frozen=True)
class Filter:
    """Which joints and persons are kept.

    Attributes:
        min_score: a joint is kept if its score is higher, and x and y are above 0 (*code* of
            PoseWarper). The scores of a model depend on its codec and sigma.
        agreement: if given, the two labels are also used one by one, and a joint that both answers
            have goes if they are more than this many head sizes apart.
        min_joints: persons with fewer joints go.

    Raises:
        ValueError: if `min_score` or `agreement` is no number from 0.
    """

    min_score: float = 0.2
    agreement: float | None = None
    min_joints: int = MIN_JOINTS

    def __post_init__(self) -> None:
        for name in ('min_score', 'agreement'):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float('inf'):
                raise ValueError(f'{name} is {value}, expected a number from 0.')


@dataclass
class FilterCounts:
    """What a `Filter` did.

    Attributes:
        poses, joints: kept.
        joints_below_score: dropped for their score (or place); those that the labels lack do not
            count.
        joints_disagreeing: dropped since the two labels disagree about them.
        persons_below_joints: dropped, for one of these reasons or since they had no more.
    """

    poses: int = 0
    joints: int = 0
    joints_below_score: int = 0
    joints_disagreeing: int = 0
    persons_below_joints: int = 0


def answer(
    propagator: Propagator, queries: list[Query], rules: Filter
) -> tuple[list[PseudoLabel], FilterCounts]:
    """Pseudo-labels for queries.

    Raises:
        AnnotationError: if ``agreement`` is asked for and the propagator uses no labels, or a label
            has no head box to measure by.
    """
    counts = FilterCounts()
    if rules.agreement is not None and not propagator.uses_labels:
        raise AnnotationError(
            'The agreement filter compares what two labels say, and this propagator uses none; '
            'expected no --agreement.'
        )
    if not queries:
        return [], counts
    keypoints, scores = propagator(queries)
    asked = scores != 0  # a model's may be negative
    is_place = np.isfinite(keypoints) & (keypoints > 0)
    kept = asked & (scores > rules.min_score) & is_place.all(axis=-1)
    counts.joints_below_score = int((asked & ~kept).sum())
    if rules.agreement is not None:
        apart = disagreement(propagator, queries) > rules.agreement
        counts.joints_disagreeing = int((kept & apart).sum())
        kept &= ~apart
    poses = []
    for query, xy, values in zip(queries, keypoints, np.where(kept, scores, 0.0)):
        if np.count_nonzero(values) < rules.min_joints:
            counts.persons_below_joints += 1
            continue
        boxes = query.labeled_box('boxes'), query.labeled_box('head_boxes')
        poses.append(PseudoLabel(query.frame, query.track_id, xy, values, *boxes))
        counts.joints += int(np.count_nonzero(values))
    counts.poses = len(poses)
    return poses, counts


def disagreement(propagator: Propagator, queries: list[Query]) -> np.ndarray:
    """(n, 15) how far apart the answers are if one label is used, or the other, in head sizes.

    0 where there is one label only, or one of the two answers lacks the joint. The head size is the
    mean of those of the labels.
    """
    apart = np.zeros((len(queries), 15))
    both = [i for i, query in enumerate(queries) if None not in (query.before, query.after)]
    if not both:
        return apart
    (xy_a, scores_a), (xy_b, scores_b) = (
        propagator([one_sided(queries[i], side) for i in both]) for side in ('before', 'after')
    )
    sizes = np.array([_head_size(queries[i]) for i in both])
    distance = np.linalg.norm(xy_a - xy_b, axis=-1) / sizes[:, None]
    apart[both] = np.where((scores_a > 0) & (scores_b > 0), distance, 0.0)
    return apart


def _head_size(query: Query) -> float:
    sizes = []
    for label in (query.before, query.after):
        size = HEAD_SIZE_SCALE * float(np.hypot(*label.frame.head_boxes[label.index, 2:]))
        if not size > 0:
            raise AnnotationError(
                f'{query.video.source}: {label.frame.file_name}, track {query.track_id}: has no '
                'head box ("bbox_head"), which the agreement filter measures by; expected one, or '
                'no --agreement.'
            )
        sizes.append(size)
    return sum(sizes) / len(sizes)
