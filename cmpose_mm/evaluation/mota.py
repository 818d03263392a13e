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
import math
from dataclasses import dataclass

import numpy as np

from ..posetrack.joints import JOINT_NAMES
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
    distance. A person without a track id, or with one that an earlier person of the frame has,
    counts as a track of its own.

    Args:
        scored: from `select_scored`.
        compat: None for the plain definition. 'poseval' does two things more that the benchmark's
            code does: it leaves out the last scored frame of each video, and it counts a frame
            without labeled or without predicted persons as one miss and one false positive of one
            labeled object for each joint, whatever the other side holds.

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
        for frame in _frames(video)[: -1 if compat else None]:
            if compat and 0 in frame.near.shape[:2]:
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
        near = frame.near[:, :, joint]
        free_preds = {pred_ids[p]: p for p in columns}
        free_rows, pairs = [], []
        for g in rows:
            p = free_preds.get(last.get(gt_ids[g]))
            if p is not None and near[p, g] < np.inf:
                pairs.append((g, free_preds.pop(pred_ids[p])))
            else:
                free_rows.append(g)
        free_columns = list(free_preds.values())
        if free_rows and free_columns:
            cost = near[np.ix_(free_columns, free_rows)].T.tolist()
            pairs += [(free_rows[r], free_columns[c]) for r, c in min_cost_pairs(cost)]
        counts[0, joint] += len(rows)
        counts[1, joint] += len(rows) - len(pairs)
        counts[2, joint] += len(columns) - len(pairs)
        for g, p in pairs:
            counts[3, joint] += last.get(gt_ids[g], pred_ids[p]) != pred_ids[p]
            last[gt_ids[g]] = pred_ids[p]


def _distinct_ids(track_ids: np.ndarray, fresh: itertools.count) -> list[int]:
    """Track ids with a new, negative one for each that is missing or repeated."""
    distinct: dict[int, None] = {}
    for track_id in track_ids.tolist():
        distinct[track_id if track_id >= 0 and track_id not in distinct else next(fresh)] = None
    return list(distinct)


def min_cost_pairs(cost: list[list[float]]) -> list[tuple[int, int]]:
    """Pairs rows with columns: as many pairs as possible, at the smallest total cost.

    The Hungarian method by shortest augmenting paths, for the handful of joints of a frame.

    Args:
        cost: finite and not negative, or infinite where a row and a column cannot be paired.

    Returns:
        (row, column) pairs, by row.
    """
    num_rows, num_columns = len(cost), len(cost[0])
    if num_rows > num_columns:
        pairs = min_cost_pairs([list(column) for column in zip(*cost)])
        return sorted((row, column) for column, row in pairs)
    finite = [c for row in cost for c in row if c < math.inf]
    impossible = 1 + num_rows * max(finite, default=0)  # dearer than any set of possible pairs

    # row 0 and column 0 are sentinels: column 0 holds the row that is being placed
    row_of = [0] * (num_columns + 1)
    row_price, column_price = [0.0] * (num_rows + 1), [0.0] * (num_columns + 1)
    for new_row in range(1, num_rows + 1):
        row_of[0] = new_row
        column = 0
        slack = [math.inf] * (num_columns + 1)
        came_from = [0] * (num_columns + 1)
        reached = [False] * (num_columns + 1)
        while row_of[column]:
            reached[column] = True
            row = row_of[column]
            for c in range(1, num_columns + 1):
                if not reached[c]:
                    price = min(cost[row - 1][c - 1], impossible)
                    price -= row_price[row] + column_price[c]
                    if price < slack[c]:
                        slack[c], came_from[c] = price, column
            nearest = min(
                (c for c in range(1, num_columns + 1) if not reached[c]), key=slack.__getitem__
            )
            step = slack[nearest]
            for c in range(num_columns + 1):
                if reached[c]:
                    row_price[row_of[c]] += step
                    column_price[c] -= step
                else:
                    slack[c] -= step
            column = nearest
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    pairs = [(row_of[c] - 1, c - 1) for c in range(1, num_columns + 1) if row_of[c]]
    return sorted((r, c) for r, c in pairs if cost[r][c] < math.inf)
