"""Jitter: how much more, or less, predicted joints shake than labeled ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scored_frames import ScoredSet, ScoredVideo


@dataclass
class Jitter:
    """Means over labeled joints, in head sizes per frame^2.

    Attributes:
        error: length of the difference between predicted and labeled acceleration.
        predicted: length of the predicted acceleration.
        labeled: length of the labeled acceleration.
        num_joints: joints that count.
        num_left_out: joints of labeled persons with track ids that do not count, as they or their
            predictions are absent in one of the three frames, or the person has no head box.
        stride: s, frame numbers from one frame to the next; accelerations are per (s frames)^2.
    """

    error: float
    predicted: float
    labeled: float
    num_joints: int
    num_left_out: int
    stride: int = 1


def acceleration_error(scored: ScoredSet, *, stride: int = 1) -> Jitter:
    """Mean acceleration error of predicted joints.

    The acceleration of a joint is x(t - s) - 2 x(t) + x(t + s) for s = ``stride`` frame numbers. A
    joint counts if it is labeled and predicted in all three frames, for the same labeled track.
    Persons are paired frame by frame as for PoseTrack's average precision; track ids of the
    predictions play no role, so a prediction that jumps between persons is charged for it. What
    lags behind by a constant time is charged only where speed changes.

    Args:
        scored: from `select_scored`. Labels need track ids.
        stride: frame numbers from one labeled frame to the next.

    Returns:
        The means; NaN if no joint counts.

    Raises:
        ValueError: if ``stride`` is below 1.
    """
    if stride < 1:
        raise ValueError(f'stride is {stride}, expected at least 1.')
    parts = [_of_video(video, stride) for video in scored.videos]
    lengths = np.concatenate([*parts, np.zeros((0, 3))])
    labeled = sum(int(video.gt_present[video.gt_track_ids >= 0].sum()) for video in scored.videos)
    means = lengths.mean(axis=0) if len(lengths) else np.full(3, np.nan)
    return Jitter(*means.tolist(), len(lengths), labeled - len(lengths), stride)


def _of_video(video: ScoredVideo, stride: int) -> np.ndarray:
    """(N, 3) lengths of difference, predicted and labeled acceleration of all joints that count."""
    frames, tracks = video.frames_and_tracks()
    pred, gt, _ = video.partners
    predicted = np.full(video.gt_xy.shape, np.nan)
    predicted[gt] = np.where(video.pred_present[pred][..., None], video.pred_xy[pred], np.nan)
    labeled = np.where(video.gt_present[..., None], video.gt_xy, np.nan)
    place = {key: index for index, key in enumerate(zip(frames.tolist(), tracks.tolist()))}
    triples = np.array(
        [
            (place[number - stride, track], index, place[number + stride, track])
            for (number, track), index in place.items()
            if track >= 0
            and (number - stride, track) in place
            and (number + stride, track) in place
        ],
        dtype=np.int64,
    ).reshape(-1, 3)
    size = video.gt_head_sizes[triples[:, 1], None, None]
    with np.errstate(divide='ignore', invalid='ignore'):  # a head box may have no extent
        there, here = (
            (xy[triples[:, 0]] - 2 * xy[triples[:, 1]] + xy[triples[:, 2]]) / size
            for xy in (predicted, labeled)
        )
    lengths = np.stack(
        [np.linalg.norm(values, axis=-1) for values in (there - here, there, here)], axis=-1
    ).reshape(-1, 3)
    return lengths[np.isfinite(lengths).all(axis=1)]
