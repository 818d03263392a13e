"""Multiple object tracking accuracy (CLEAR MOT) of body joints, as PoseTrack reports it.

Every joint is an object of its own with its person's track id. Labeled and predicted joints may
be paired if they are at most half a head size apart; how `average_precision` assigns persons plays
no role here.

Shapes: P predicted and G labeled persons of a frame, J = 15 joints in the order of `JOINT_NAMES`.

Source: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT
Metrics", 2008.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from cmpose_mm.posetrack.joints import JOINT_NAMES

from .average_precision import summarize_joints
from .scored_frames import MATCH_DISTANCE, ScoredSet, ScoredVideo


@dataclass
class MotaResult:
    """Tracking accuracy of every joint, in percent, and the counts it comes from, (J,) each.

    Attributes:
        mota: 100 x (1 - (misses + false positives + switches) / labeled), NaN where nothing is
            labeled. Negative if there are more errors than labeled joints.
        num_gt: labeled joints.
        misses: labeled joints without a partner.
        false_positives: predicted joints without a partner.
        switches: labeled joints whose partner's track id is not that of their last partner.
    """

    mota: np.ndarray
    num_gt: np.ndarray
    misses: np.ndarray
    false_positives: np.ndarray
    switches: np.ndarray

    def summary(self) -> dict[str, float]:
        """The seven groups, `Total` and `mean7`, see `summarize_joints`."""
        return summarize_joints(self.mota)


def tracking_accuracy(scored: ScoredSet, *, compat: str | None = None) -> MotaResult:
    """MOTA of every joint; the counts are summed over the videos.

    In each frame, joints that were partners when last paired stay so if they are close enough.
    The others are paired so that as many as possible have a partner, at the smallest total
    distance; of equally good pairings the one counts that py-motmetrics takes, too. A person
    without a track id, or with one that an earlier person of the frame has, counts as a track of
    its own.

    Args:
        scored: from `select_scored`.
        compat: None for the plain definition. 'poseval' does two things more that the benchmark's
            code does: it leaves out the last scored frame of each video, and it counts a frame
            without labeled or without predicted persons (see `ScoredVideo.one_sided`) as one miss
            and one false positive of one labeled object for each joint, whatever the other side
            holds.

    Returns:
        The result.
    """
    if compat not in (None, 'poseval'):
        raise ValueError(f'compat is {compat!r}, expected None or "poseval".')
    num_joints = len(JOINT_NAMES)
    counts = np.zeros((4, num_joints), dtype=np.int64)  # labeled, misses, false positives, switches
    for video in scored.videos:
        fresh = itertools.count(-1, -1)  # ids of persons that carry none
        partners: list[dict[int, int]] = [{} for _ in range(num_joints)]
        frames = list(zip(_frames(video), video.one_sided))
        for frame, one_sided in frames[: -1 if compat else None]:
            if compat and one_sided:
                counts[:3] += 1
            else:
                _count_frame(frame, partners, fresh, counts)
    num_gt, misses, false_positives, switches = counts
    with np.errstate(divide='ignore', invalid='ignore'):
        mota = 100 * (1 - (misses + false_positives + switches) / num_gt)
    return MotaResult(np.where(num_gt > 0, mota, np.nan), *counts)


@dataclass
class _Frame:
    """Of G labeled and P predicted persons: distances in head sizes, infinite if too far."""

    near: np.ndarray  # (P, G, J)
    gt_present: np.ndarray  # (G, J)
    gt_track_ids: np.ndarray
    pred_present: np.ndarray  # (P, J)
    pred_track_ids: np.ndarray


def _frames(video: ScoredVideo) -> list[_Frame]:
    _, _, distances = video.distances()
    distances[distances > MATCH_DISTANCE] = np.inf
    gt_ends, pred_ends = np.cumsum(video.num_gt)[:-1], np.cumsum(video.num_pred)[:-1]
    shapes = zip(video.num_pred, video.num_gt, itertools.repeat(distances.shape[1]))
    parts = zip(
        np.split(distances, np.cumsum(video.num_gt * video.num_pred)[:-1]),
        np.split(video.gt_present, gt_ends),
        np.split(video.gt_track_ids, gt_ends),
        np.split(video.pred_present, pred_ends),
        np.split(video.pred_track_ids, pred_ends),
    )
    return [_Frame(near.reshape(shape), *rest) for shape, (near, *rest) in zip(shapes, parts)]


def _count_frame(
    frame: _Frame, partners: list[dict[int, int]], fresh: itertools.count, counts: np.ndarray
) -> None:
    """Adds one frame to the counts and updates the last partner of each track, joint by joint."""
    gt_ids = _distinct_ids(frame.gt_track_ids, fresh)
    pred_ids = _distinct_ids(frame.pred_track_ids, fresh)
    for joint, last in enumerate(partners):
        rows = np.flatnonzero(frame.gt_present[:, joint]).tolist()
        columns = np.flatnonzero(frame.pred_present[:, joint]).tolist()
        near = frame.near[:, :, joint][np.ix_(columns, rows)].T
        column_of = {pred_ids[p]: column for column, p in enumerate(columns)}
        pairs = {}  # column by row
        for row, g in enumerate(rows):
            column = column_of.get(last.get(gt_ids[g]))
            if column is not None and column not in pairs.values() and near[row, column] < np.inf:
                pairs[row] = column
        near[list(pairs), :] = np.inf
        near[:, list(pairs.values())] = np.inf
        pairs.update(min_cost_pairs(near))
        counts[0, joint] += len(rows)
        counts[1, joint] += len(rows) - len(pairs)
        counts[2, joint] += len(columns) - len(pairs)
        for row, column in pairs.items():
            g, p = gt_ids[rows[row]], pred_ids[columns[column]]
            counts[3, joint] += last.get(g, p) != p
            last[g] = p


def _distinct_ids(track_ids: np.ndarray, fresh: itertools.count) -> list[int]:
    """Track ids with a new, negative one for each that is missing or repeated."""
    distinct: dict[int, None] = {}
    for track_id in track_ids.tolist():
        distinct[track_id if track_id >= 0 and track_id not in distinct else next(fresh)] = None
    return list(distinct)


def min_cost_pairs(cost: np.ndarray) -> list[tuple[int, int]]:
    """Pairs rows with columns: as many pairs as possible, at the smallest total cost.

    Args:
        cost: (R, C), not negative, infinite where a row and a column cannot be paired.

    Returns:
        (row, column) pairs, by row.
    """
    cost = np.asarray(cost, dtype=np.float64)
    possible = cost < np.inf
    if not possible.any():
        return []
    # Dearer than any set of possible pairs. Which of two equally good pairings SciPy finds depends
    # on this number: py-motmetrics has the same.
    impossible = 2 * min(cost.shape) * (cost[possible].max() + 1) + 1
    rows, columns = linear_sum_assignment(np.where(possible, cost, impossible))
    made = possible[rows, columns]
    return list(zip(rows[made].tolist(), columns[made].tolist()))
