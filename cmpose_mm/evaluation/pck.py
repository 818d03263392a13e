"""Percentage of correct keypoints (PCK): the share of labeled joints that are found.

A joint is found if its prediction is strictly closer to the label than a threshold times a size of
the person, its *norm*. That is how MMPose counts, and it is the customary measure on JHMDB (0.2
times the longer side of the labeled box) and Penn Action. False alarms cost nothing.

Shapes: N persons, J = 15 joints in the order of `JOINT_NAMES`, R thresholds, V videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmpose_mm.posetrack.joints import JOINT_GROUPS, JOINT_NAMES
from cmpose_mm.posetrack.persons import person_boxes

from .grouped_pairs import pairs_within
from .scored_frames import ScoredSet, ScoredVideo

PCK_NORMS = {'box': 'PCK', 'torso': 'tPCK', 'head': 'PCKh'}
"""The sizes to measure by, and what the measure is called then."""
PCK_THRESHOLDS = (0.5, 0.2, 0.1, 0.05)
PCK_GROUPS = {**JOINT_GROUPS, 'Head': ('nose',)}
"""The seven columns of published tables. Their *Head* is the one joint of the face; PoseTrack's
group of that name has the neck and the top of the head, too."""
PCK_COLUMNS = (*PCK_GROUPS, 'Total', 'mean13', 'mean7')
_TORSO = ('left_shoulder', 'right_hip')


@dataclass
class PckResult:
    """Found and labeled joints of every video, by one norm.

    Attributes:
        norm: 'box', 'torso' or 'head'.
        thresholds: R shares of the norm.
        videos: V names.
        hits: (V, R, J) int64, joints that are found.
        num_joints: (V, J) int64, joints that count: labeled, of persons who have the norm.
        num_persons: labeled persons.
        num_without_norm: those of them who lack the norm (no box, no hip, no head box; or of no
            extent). None of their joints counts.
        num_without_prediction: those of the others to whom no predicted person belongs. Their
            joints count as not found.
    """

    norm: str
    thresholds: tuple[float, ...]
    videos: list[str]
    hits: np.ndarray
    num_joints: np.ndarray
    num_persons: int
    num_without_norm: int
    num_without_prediction: int

    def per_joint(self) -> np.ndarray:
        """(R, J) found joints in percent of those that count, NaN where none does."""
        count = self.num_joints.sum(axis=0)
        with np.errstate(invalid='ignore'):
            return 100 * self.hits.sum(axis=0) / np.where(count, count, np.nan)

    def names(self) -> list[str]:
        """Of the measure at each threshold, such as ``PCKh@0.5``."""
        return [f'{PCK_NORMS[self.norm]}@{threshold:g}' for threshold in self.thresholds]

    def summary(self) -> dict[str, dict[str, float]]:
        """`summarize_pck` at each threshold, by the name of the measure."""
        return dict(zip(self.names(), map(summarize_pck, self.per_joint())))


def summarize_pck(values: np.ndarray) -> dict[str, float]:
    """The columns of a table from one value a joint, with all three means that circulate.

    Args:
        values: (J,), NaN where not defined.

    Returns:
        The seven groups of `PCK_GROUPS`, each the mean of its joints (NaN if one is); `Total`, the
        mean over all joints that are not NaN, which MMPose prints; `mean13`, over the face and the
        twelve joints of the limbs; `mean7`, over the seven groups. For LSTM Pose Machines on
        sub-JHMDB these three are 94.1, 93.3 and 93.6.
    """
    value = dict(zip(JOINT_NAMES, values.tolist()))
    groups = {g: float(np.mean([value[j] for j in js])) for g, js in PCK_GROUPS.items()}
    defined = values[~np.isnan(values)]
    return {
        **groups,
        'Total': float(defined.mean()) if len(defined) else float('nan'),
        'mean13': float(np.mean([value[j] for js in PCK_GROUPS.values() for j in js])),
        'mean7': float(np.mean(list(groups.values()))),
    }


def correct_keypoints(
    scored: ScoredSet,
    norm: str = 'box',
    thresholds: Sequence[float] = PCK_THRESHOLDS,
    *,
    visible_only: bool = False,
) -> PckResult:
    """PCK of all scored videos.

    Persons are paired frame by frame by how much their boxes overlap (intersection over union):
    the pair with the largest overlap first, then the next among those who are still free. Where
    there is no box in the image, the extent of the joints times 1.3 serves for this, but never as a
    norm. With labeled boxes a prediction belongs to the person from whose box it was made. Whether
    joints are right plays no role in the pairing.

    Args:
        scored: from `select_scored`.
        norm: 'box' is the longer side of the labeled box, cut to the image where its size is known
            (as MMPose does); 'torso' the distance of the left shoulder to the right hip, as on
            JHMDB; 'head' 0.6 times the diagonal of the head box, as in PoseTrack's AP.
        thresholds: shares of the norm.
        visible_only: leave joints out that are labeled as hidden (v = 0), as on Penn Action.

    Raises:
        ValueError: if there is no such norm, or a threshold is not above 0.
    """
    check_pck(norm, thresholds)
    result = PckResult(
        norm=norm,
        thresholds=tuple(thresholds),
        videos=[video.name for video in scored.videos],
        hits=np.zeros((len(scored.videos), len(thresholds), len(JOINT_NAMES)), dtype=np.int64),
        num_joints=np.zeros((len(scored.videos), len(JOINT_NAMES)), dtype=np.int64),
        num_persons=scored.num_persons,
        num_without_norm=0,
        num_without_prediction=0,
    )
    for index, video in enumerate(scored.videos):
        sizes = _norms(video, norm)
        measured = sizes > 0
        counted = (video.gt_visible if visible_only else video.gt_present) & measured[:, None]
        xy, paired = _partners(video)
        result.hits[index] = count_hits(xy, video.gt_xy, counted, sizes, thresholds)
        result.num_joints[index] = counted.sum(axis=0)
        result.num_without_norm += int((~measured).sum())
        result.num_without_prediction += int((measured & ~paired).sum())
    return result


def found_joints(
    video: ScoredVideo, norm: str = 'box', thresholds: Sequence[float] = PCK_THRESHOLDS
) -> tuple[np.ndarray, np.ndarray]:
    """Which joints `correct_keypoints` counts in one video, and which of them it finds.

    Returns:
        (R, G, J) bool found joints; (G, J) bool, joints that count.
    """
    check_pck(norm, thresholds)
    sizes = _norms(video, norm)
    counted = video.gt_present & (sizes > 0)[:, None]
    close = _close(_partners(video)[0], video.gt_xy, sizes, thresholds)
    return close & counted, counted


def check_pck(norm: str, thresholds: Sequence[float]) -> None:
    """Raises ValueError unless `correct_keypoints` takes these."""
    if norm not in PCK_NORMS:
        raise ValueError(f'norm is {norm!r}, expected one of {", ".join(PCK_NORMS)}.')
    if not all(threshold > 0 for threshold in thresholds):
        raise ValueError(f'thresholds are {list(thresholds)}, expected numbers above 0.')


def count_hits(
    predicted: np.ndarray,
    labeled: np.ndarray,
    counted: np.ndarray,
    norms: np.ndarray,
    thresholds: Sequence[float],
) -> np.ndarray:
    """How many joints are found: |predicted - labeled| / norm < threshold.

    Args:
        predicted: (N, J, 2) pixels of the image; NaN where there is no prediction.
        labeled: (N, J, 2) pixels of the image.
        counted: (N, J) bool, joints that count.
        norms: (N,) pixels; above 0 where a joint counts.
        thresholds: R shares of the norm.

    Returns:
        (R, J) int64.
    """
    return (_close(predicted, labeled, norms, thresholds) & counted).sum(axis=1)


def _close(
    predicted: np.ndarray, labeled: np.ndarray, norms: np.ndarray, thresholds: Sequence[float]
) -> np.ndarray:
    """(R, N, J) bool: |predicted - labeled| / norm < threshold."""
    offset = predicted.astype(np.float64) - labeled
    with np.errstate(divide='ignore', invalid='ignore'):  # persons without a norm
        distance = np.sqrt((offset * offset).sum(axis=-1)) / norms[:, None]
    return distance < np.asarray(thresholds, dtype=np.float64)[:, None, None]


def _partners(video: ScoredVideo) -> tuple[np.ndarray, np.ndarray]:
    """Of every labeled person, the joints (G, J, 2) of its partner, NaN where there are none, and
    (G,) bool, whether it has one."""
    pred, gt = _pair_by_boxes(video)
    xy = np.full(video.gt_xy.shape, np.nan)
    xy[gt] = np.where(video.pred_present[pred][..., None], video.pred_xy[pred], np.nan)
    return xy, np.isin(np.arange(len(xy)), gt)


def _norms(video: ScoredVideo, norm: str) -> np.ndarray:
    """(G,) size of every labeled person in pixels; NaN or 0 without one."""
    if norm == 'head':
        return video.gt_head_sizes
    if norm == 'box':
        sides = video.gt_boxes[:, 2:] - video.gt_boxes[:, :2]
        return np.where((sides > 0).all(axis=1), sides.max(axis=1), np.nan)
    ends = [JOINT_NAMES.index(name) for name in _TORSO]
    length = np.linalg.norm(video.gt_xy[:, ends[0]] - video.gt_xy[:, ends[1]], axis=-1)
    return np.where(video.gt_present[:, ends].all(axis=1), length, np.nan)


def _filled(boxes: np.ndarray, xy: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(n, 4) boxes x1, y1, x2, y2; those that are absent or have no extent, as boxes outside of the
    image do once they are cut to it, by the extent of the joints times 1.3."""
    absent = ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    joints = np.where(present[..., None], np.concatenate([xy, present[..., None]], axis=-1), 0)
    return np.where(absent[:, None], person_boxes(np.full(boxes.shape, np.nan), joints), boxes)


def _pair_by_boxes(video: ScoredVideo) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and labeled persons of the pairs, see `correct_keypoints`.

    Of equal overlaps, as two persons with one box have them, the pair with one track id is first.
    """
    pred, gt = pairs_within(video.num_pred, video.num_gt)
    a = _filled(video.pred_boxes, video.pred_xy, video.pred_present)[pred]
    b = _filled(video.gt_boxes, video.gt_xy, video.gt_present)[gt]
    inner = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.where((inner > 0).all(axis=1), inner.prod(axis=1), 0)
    both = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1)
    with np.errstate(divide='ignore', invalid='ignore'):  # boxes without extent
        overlap = shared / (both - shared)
    other_track = video.pred_track_ids[pred] != video.gt_track_ids[gt]
    made, free_pred, free_gt = [], set(pred.tolist()), set(gt.tolist())
    for index in np.lexsort((other_track, -overlap)):
        if not overlap[index] > 0:
            continue
        p, g = int(pred[index]), int(gt[index])
        if p in free_pred and g in free_gt:
            made.append(index)
            free_pred.remove(p)
            free_gt.remove(g)
    return pred[made], gt[made]
