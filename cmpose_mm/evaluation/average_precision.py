"""PoseTrack's average precision of body joints.

The measure of the benchmark's `poseval` code: predicted persons are assigned to labeled ones frame
by frame by their share of correct joints (PCKh at half a head size), then every joint is scored on
its own as in VOC 2010.

Shapes: P predicted persons of a video, J = 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmpose_mm.old_names import old_names
from cmpose_mm.posetrack.annotations import MISSING_SCORE, AnnotationError
from cmpose_mm.posetrack.joints import JOINT_GROUPS, JOINT_NAMES

from .scored_frames import RULES, Rules, ScoredSet, ScoredVideo

TIE_BREAKS = ('stable', 'poseval')
__getattr__ = old_names(
    __name__, {'assign_persons': 'cmpose_mm.evaluation.scored_frames:assign_persons'}
)


@dataclass
class ApResult:
    """Average precision of every joint, in percent.

    Attributes:
        ap: (J,). 0 for a joint that is nowhere predicted; NaN for one that is predicted but nowhere
            labeled.
        precision: (J,) of all predictions together; 0 without predictions.
        recall: (J,) of all predictions together; 0 without predictions.
        num_gt: (J,) int64, labeled joints.
        num_videos, num_frames, num_persons: scored.
        num_pred: predicted joints.
        num_without_score: those of them that have no score; as in `poseval` it counts as -9999.
    """

    ap: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    num_gt: np.ndarray
    num_videos: int
    num_frames: int
    num_persons: int
    num_pred: int
    num_without_score: int

    def summary(self) -> dict[str, float]:
        """The seven groups, `Total` and `mean7`, see `summarize_joints`."""
        return summarize_joints(self.ap)


def summarize_joints(values: np.ndarray) -> dict[str, float]:
    """The columns of a PoseTrack table from one value a joint.

    Args:
        values: (J,), NaN where not defined.

    Returns:
        The seven groups, each the mean of its joints (NaN if one is); `Total`, the mean over the
        joints that are not NaN; `mean7`, the mean of the seven groups.
    """
    summary = {
        group: float(np.mean([values[JOINT_NAMES.index(joint)] for joint in joints]))
        for group, joints in JOINT_GROUPS.items()
    }
    defined = values[~np.isnan(values)]
    mean7 = float(np.mean(list(summary.values())))
    summary['Total'] = float(defined.mean()) if len(defined) else float('nan')
    summary['mean7'] = mean7
    return summary


def average_precision(
    scored: ScoredSet, *, rules: Rules = RULES['18'], tie_break: str = 'stable'
) -> ApResult:
    """Average precision over all scored videos.

    Args:
        scored: from `select_scored`.
        rules: of the release; of them only the smallest divisor of recall matters here.
        tie_break: order of equal scores. 'stable' takes them by video name, frame and person;
            'poseval' makes the same NumPy calls as `poseval` on the videos in the order given,
            whose outcome NumPy leaves open. Both agree if scores are distinct.

    Returns:
        The result.

    Raises:
        AnnotationError: if joints are predicted and none has a score, by which they are ranked.
    """
    _check_tie_break(tie_break)
    videos = scored.videos
    if tie_break == 'stable':
        videos = sorted(videos, key=lambda video: video.name)
    result = _score(videos, rules, tie_break)
    if result.num_pred and result.num_without_score == result.num_pred:
        raise AnnotationError(
            f'{videos[0].predictions}: none of the {result.num_pred} predicted joints of '
            f'{result.num_videos} videos has a score, expected "scores" in every annotation, one '
            'for each keypoint, or "score" in every point of an annolist: average precision ranks '
            'joints by them (neither the score of a person nor the third value of a keypoint '
            'counts).'
        )
    return result


def average_precision_per_video(
    scored: ScoredSet, *, rules: Rules = RULES['18'], tie_break: str = 'stable'
) -> dict[str, ApResult]:
    """Average precision of every scored video on its own, by name. Arguments as above."""
    _check_tie_break(tie_break)
    return {video.name: _score([video], rules, tie_break) for video in scored.videos}


def joint_average_precision(
    scores: np.ndarray, labels: np.ndarray, num_gt: int, tie_break: str = 'stable'
) -> tuple[float, float, float]:
    """Average precision, precision and recall of one joint, each between 0 and 1.

    Precision and recall after each prediction in order of falling score; the area under the curve
    with precision made non-increasing (all-point interpolation).

    Args:
        scores: (n,) of the predictions of this joint.
        labels: (n,) bool, whether each is correct.
        num_gt: labeled joints; with 0 recall and average precision are NaN.
        tie_break: see `average_precision`.

    Returns:
        Average precision, and precision and recall of all predictions; zeros if there are none.
    """
    if len(scores) == 0:
        return 0.0, 0.0, 0.0
    if tie_break == 'poseval':
        order = np.array(scores).argsort()[::-1]
    else:
        order = np.argsort(-scores, kind='stable')
    true_positives = np.cumsum(labels[order])
    with np.errstate(invalid='ignore'):
        recall = true_positives / np.float64(num_gt)
    precision = true_positives / np.arange(1, len(scores) + 1)
    envelope = np.maximum.accumulate(np.concatenate([[0.0], precision, [0.0]])[::-1])[::-1]
    padded = np.concatenate([[0.0], recall, [1.0]])
    steps = np.flatnonzero(padded[1:] != padded[:-1]) + 1
    area = np.sum((padded[steps] - padded[steps - 1]) * envelope[steps])
    return float(area), float(precision[-1]), float(recall[-1])


def _check_tie_break(tie_break: str) -> None:
    if tie_break not in TIE_BREAKS:
        raise ValueError(f'tie_break is {tie_break!r}, expected one of {", ".join(TIE_BREAKS)}.')


def _label_joints(video: ScoredVideo) -> np.ndarray:
    """(P, J) bool: the joint of an assigned person is close to that of its partner."""
    pred, _, match = video.partners
    labels = np.zeros(video.pred_present.shape, dtype=bool)
    labels[pred] = match
    return labels


def _score(videos: list[ScoredVideo], rules: Rules, tie_break: str) -> ApResult:
    num_joints = len(JOINT_NAMES)
    nothing = np.zeros((0, num_joints), dtype=bool)
    present = np.concatenate([nothing] + [video.pred_present for video in videos])
    scores = np.concatenate([nothing] + [video.pred_scores for video in videos])
    labels = np.concatenate([nothing] + [_label_joints(video) for video in videos])
    gt_present = np.concatenate([nothing] + [video.gt_present for video in videos])
    num_gt = gt_present.sum(axis=0)
    values = [
        joint_average_precision(
            scores[present[:, j], j],
            labels[present[:, j], j],
            max(int(num_gt[j]), rules.min_num_gt),
            tie_break,
        )
        for j in range(num_joints)
    ]
    ap, precision, recall = 100 * np.array(values).T
    return ApResult(
        ap,
        precision,
        recall,
        num_gt,
        num_videos=len(videos),
        num_frames=sum(len(video.num_gt) for video in videos),
        num_persons=len(gt_present),
        num_pred=int(present.sum()),
        num_without_score=int((scores[present] == MISSING_SCORE).sum()),
    )
