"""Intervals for scores, by drawing the films that were tested anew, with replacement.

Clips of one film show the same people and rooms, so films are drawn and not clips or joints. Two
models are compared on the same draws, so that films that are hard for both cancel out (the paired
bootstrap of Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13).

Shapes: V videos, F films, R draws, J joints.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scored_frames import RULES, Rules, ScoredSet

NUM_DRAWS = 10_000


def draw_films(films: Sequence[int | str], num_draws: int = NUM_DRAWS, seed: int = 0) -> np.ndarray:
    """How often each video occurs in each draw of as many films as there are.

    Args:
        films: V films, one for each video.
        num_draws: R.
        seed: of the draws. The same films, number and seed give the same draws.

    Returns:
        (R, V) int64; videos of one film occur equally often.
    """
    _, film_of = np.unique(np.asarray(films), return_inverse=True)
    count = int(film_of.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), num_draws)
    return drawn[:, film_of.reshape(-1)]


def pooled_share(hits: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Percent of all joints that are found, in each draw: the videos' hits over their joints.

    Args:
        hits: (V,) joints that are found.
        counts: (V,) joints that count.
        weights: (R, V) how often each video occurs.

    Returns:
        (R,) percent; NaN where no joint counts.
    """
    with np.errstate(invalid='ignore'):
        return 100 * (weights @ hits) / (weights @ counts)


def interval(values: np.ndarray, level: float = 95) -> tuple[float, float]:
    """The range that holds the middle ``level`` percent of the draws; NaN if a draw is NaN."""
    rest = (100 - level) / 2
    low, high = np.percentile(values, [rest, 100 - rest])
    return float(low), float(high)


@dataclass
class RankedJoints:
    """All that average precision depends on: which predicted joints are right, by falling score.

    Attributes:
        num_gt: (V, J) int64, labeled joints of each video.
        ranked: for each joint (n,) int64 in order of falling score: twice the number of the video,
            plus 1 if the prediction is right.
        min_num_gt: smallest divisor of recall, see `Rules`.
    """

    num_gt: np.ndarray
    ranked: list[np.ndarray]
    min_num_gt: int = 0

    def to_dict(self) -> dict:
        """For JSON. The order is in compressed bytes, to keep files of many results small."""
        kind = np.dtype('uint8' if 2 * len(self.num_gt) < 256 else '<u2')
        packed = zlib.compress(np.concatenate(self.ranked).astype(kind).tobytes(), 9)
        return {
            'num_gt': self.num_gt.tolist(),
            'num_pred': [len(ranked) for ranked in self.ranked],
            'ranked': base64.b85encode(packed).decode(),
            'min_num_gt': self.min_num_gt,
        }

    @classmethod
    def from_dict(cls, content: dict) -> RankedJoints:
        """What `to_dict` gave."""
        num_gt = np.array(content['num_gt'], dtype=np.int64)
        kind = np.dtype('uint8' if 2 * len(num_gt) < 256 else '<u2')
        flat = np.frombuffer(zlib.decompress(base64.b85decode(content['ranked'])), kind)
        ends = np.cumsum(content['num_pred'])[:-1]
        return cls(num_gt, np.split(flat.astype(np.int64), ends), content['min_num_gt'])


def rank_joints(scored: ScoredSet, rules: Rules = RULES['18']) -> RankedJoints:
    """The predicted joints of all scored videos in order of falling score.

    Equal scores are ordered by video name, frame and person, as `average_precision` does.

    Args:
        scored: from `select_scored`; videos are numbered in its order.
        rules: of the release, see `average_precision`.
    """
    num_gt = np.array([video.gt_present.sum(axis=0) for video in scored.videos], dtype=np.int64)
    num_joints = num_gt.shape[1]
    scores: list[list] = [[] for _ in range(num_joints)]
    codes: list[list] = [[] for _ in range(num_joints)]
    for index in sorted(range(len(scored.videos)), key=lambda v: scored.videos[v].name):
        video = scored.videos[index]
        right = np.zeros(video.pred_present.shape, dtype=np.int64)
        pred, _, match = video.partners
        right[pred] = match
        for j in range(num_joints):
            present = video.pred_present[:, j]
            scores[j].append(video.pred_scores[present, j])
            codes[j].append(2 * index + right[present, j])
    ranked = [
        np.concatenate(code)[np.argsort(-np.concatenate(score), kind='stable')]
        for score, code in zip(scores, codes)
    ]
    return RankedJoints(num_gt, ranked, rules.min_num_gt)


def resampled_average_precision(joints: RankedJoints, weights: np.ndarray) -> np.ndarray:
    """Average precision of every joint in each draw.

    It is what `average_precision` gives for the drawn videos, those that are drawn twice under two
    names. (Copies of a prediction share its score. Precision grows along copies of a right one, so
    that all of them get the precision of the last from the interpolation.)

    Args:
        joints: of V videos.
        weights: (R, V) how often each video occurs.

    Returns:
        (R, J) percent; 0 for a joint that is nowhere predicted, NaN for one that is predicted but
        nowhere labeled.
    """
    weights = np.asarray(weights, dtype=np.float64)
    num_gt = np.maximum(weights @ joints.num_gt, joints.min_num_gt)
    result = np.zeros(num_gt.shape)
    for j, ranked in enumerate(joints.ranked):
        if not joints.num_gt[:, j].any() and not joints.min_num_gt:
            num_pred = np.bincount(ranked // 2, minlength=len(joints.num_gt))
            result[:, j] = np.where(weights @ num_pred > 0, np.nan, 0.0)
            continue
        for part in np.array_split(np.arange(len(weights)), max(1, len(weights) // 250)):
            drawn = weights[part][:, ranked // 2]
            right = drawn * (ranked % 2)
            found, made = right.cumsum(axis=1), drawn.cumsum(axis=1)
            with np.errstate(invalid='ignore', divide='ignore'):
                precision = np.where(made > 0, found / made, 0)
                envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
                area = (right * envelope).sum(axis=1) / num_gt[part, j]
            predicted = drawn.any(axis=1)
            result[part, j] = np.where(predicted, 100 * area, 0)
    return result


def resampled_total(joints: RankedJoints, weights: np.ndarray) -> np.ndarray:
    """(R,) the mean of `resampled_average_precision` over the joints that are not NaN (`Total`)."""
    values = resampled_average_precision(joints, weights)
    defined = ~np.isnan(values)
    with np.errstate(invalid='ignore'):
        return np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
