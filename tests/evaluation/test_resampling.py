"""Intervals by drawing films: against loops, renamed videos, and a case with a known answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cmpose_mm.evaluation import ScoredSet, average_precision
from cmpose_mm.evaluation.resampling import (
    RankedJoints,
    draw_films,
    interval,
    pooled_share,
    rank_joints,
    resampled_average_precision,
    resampled_total,
)
from cmpose_mm.evaluation.scored_frames import RULES, ScoredVideo
from cmpose_mm.posetrack.joints import JOINT_NAMES

J = len(JOINT_NAMES)


def random_video(name: str, rng: np.random.Generator, persons: int = 6) -> ScoredVideo:
    """One person a frame; some joints absent, the last joint never labeled."""
    gt_xy = rng.uniform(10, 90, (persons, J, 2))
    present = rng.random((persons, J)) < 0.8
    present[:, 0] = True
    present[:, -1] = False
    ones = np.ones(persons, dtype=np.int64)
    boxes = np.tile([0.0, 0.0, 99.0, 99.0], (persons, 1))
    return ScoredVideo(
        name=name, predictions='p', frame_numbers=np.arange(persons),
        one_sided=np.zeros(persons, bool), num_gt=ones, gt_xy=gt_xy, gt_boxes=boxes,
        gt_present=present, gt_visible=present, gt_head_sizes=np.full(persons, 20.0),
        gt_track_ids=0 * ones, num_pred=ones, pred_xy=gt_xy + rng.normal(0, 9, gt_xy.shape),
        pred_boxes=boxes, pred_present=np.ones((persons, J), bool),
        pred_scores=rng.random((persons, J)), pred_track_ids=0 * ones,
    )  # fmt: skip


@pytest.fixture(scope='module')
def scored() -> ScoredSet:
    rng = np.random.default_rng(1)
    return ScoredSet([random_video(name, rng) for name in ('d', 'b', 'a', 'c')])


def test_draws_are_of_films_and_repeat_with_the_seed():
    films = ['x', 'y', 'x', 'z']
    weights = draw_films(films, 2000, seed=3)
    assert weights.shape == (2000, 4) and (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()  # as many films as there are
    assert weights[:, [0, 1, 3]].mean(axis=0) == pytest.approx([1, 1, 1], abs=0.06)
    # A film is missing in (2/3)^3 of the draws.
    assert (weights[:, 1] == 0).mean() == pytest.approx(8 / 27, abs=0.03)
    assert (weights == draw_films(films, 2000, seed=3)).all()
    assert not (weights == draw_films(films, 2000, seed=4)).all()


def test_pooled_share_equals_counting_the_drawn_videos_one_by_one():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 40, 6)
    hits = rng.integers(0, counts + 1)
    weights = draw_films([0, 0, 1, 2, 3, 3], 50)
    for weight, value in zip(weights, pooled_share(hits, counts, weights)):
        found = total = 0
        for video, times in enumerate(weight):
            for _ in range(times):
                found += int(hits[video])
                total += int(counts[video])
        assert value == pytest.approx(100 * found / total, abs=1e-9)


def test_interval_has_the_width_that_theory_gives():
    """Means of many films: 1.96 standard errors to each side; clips of a film add nothing."""
    rng = np.random.default_rng(5)
    of_film = rng.normal(2, 4, 400)
    difference = np.repeat(of_film, 3)  # three clips a film that all say the same
    weights = draw_films(np.repeat(np.arange(400), 3), 4000)
    low, high = interval(pooled_share(difference, np.full(1200, 100), weights))
    error = of_film.std() / np.sqrt(400)
    assert (low + high) / 2 == pytest.approx(of_film.mean(), abs=0.05)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
    assert np.isnan(interval(np.array([1.0, np.nan]))).all()


def test_average_precision_of_a_draw_is_that_of_renamed_videos(scored):
    joints = RankedJoints.from_dict(json.loads(json.dumps(rank_joints(scored).to_dict())))
    weights = draw_films(range(4), 30)
    values = resampled_average_precision(joints, weights)
    for weight, value, total in zip(weights, values, resampled_total(joints, weights)):
        drawn = [
            replace(video, name=f'{video.name} {copy}')
            for video, times in zip(scored.videos, weight)
            for copy in range(times)
        ]
        expected = average_precision(ScoredSet(drawn))
        np.testing.assert_allclose(value, expected.ap, atol=1e-9)
        assert total == pytest.approx(expected.summary()['Total'], abs=1e-9)


def test_all_videos_once_give_the_score_itself_and_ties_keep_their_order(scored):
    rng = np.random.default_rng(2)
    tied = ScoredSet(
        [replace(v, pred_scores=rng.integers(0, 3, v.pred_scores.shape) / 2) for v in scored.videos]
    )
    for videos in (scored, tied):
        value = resampled_average_precision(rank_joints(videos), np.ones((1, 4)))
        np.testing.assert_allclose(value[0], average_precision(videos).ap, atol=1e-9)


def test_a_joint_without_labels_or_predictions(scored):
    absent = np.ones((6, J), bool)
    absent[:, 3] = False
    videos = ScoredSet([replace(v, pred_present=absent) for v in scored.videos])
    value = resampled_average_precision(rank_joints(videos), draw_films(range(4), 5))
    assert (value[:, 3] == 0).all() and np.isnan(value[:, -1]).all()


@pytest.mark.parametrize('num_videos', [3, 127, 128, 200, 300])
def test_results_that_were_stored_come_back(num_videos):
    """Codes of up to twice the videos, in one byte or two."""
    rng = np.random.default_rng(num_videos)
    ranked = [rng.integers(0, 2 * num_videos, size) for size in (400, 0, 7)]
    ranked[0][:2] = 0, 2 * num_videos - 1
    stored = RankedJoints(rng.integers(0, 9, (num_videos, 3)), ranked, min_num_gt=1)
    found = RankedJoints.from_dict(json.loads(json.dumps(stored.to_dict())))
    np.testing.assert_array_equal(found.num_gt, stored.num_gt)
    assert found.min_num_gt == 1 and len(found.ranked) == 3
    for one, other in zip(found.ranked, ranked):
        np.testing.assert_array_equal(one, other)


def test_joints_that_nobody_labeled_score_0_by_the_rules_of_posetrack21(scored):
    """There recall is divided by 1 at least; the others have no value."""
    weights = np.array([[1, 1, 1, 1], [0, 4, 0, 0]])
    for release, nothing in (('18', np.isnan), ('21', np.logical_not)):
        rules = RULES[release]
        values = resampled_average_precision(rank_joints(scored, rules), weights)
        assert nothing(values[:, -1]).all()
        for weight, value in zip(weights, values):
            drawn = [v for v, times in zip(scored.videos, weight) for _ in range(times)]
            drawn = [replace(video, name=str(place)) for place, video in enumerate(drawn)]
            expected = average_precision(ScoredSet(drawn), rules=rules).ap
            np.testing.assert_allclose(value, expected, atol=1e-9)


def test_a_joint_that_a_draw_neither_labels_nor_predicts(scored):
    nowhere = [replace(v, gt_present=v.gt_present & (np.arange(J) != 3)) for v in scored.videos]
    unseen = nowhere[0].pred_present & (np.arange(J) != 3)
    videos = [replace(nowhere[0], pred_present=unseen), *nowhere[1:]]
    weights = np.array([[4, 0, 0, 0], [3, 1, 0, 0]])
    values = resampled_average_precision(rank_joints(ScoredSet(videos)), weights)
    for weight, value in zip(weights, values):
        drawn = [v for v, times in zip(videos, weight) for _ in range(times)]
        drawn = [replace(video, name=str(place)) for place, video in enumerate(drawn)]
        np.testing.assert_allclose(value, average_precision(ScoredSet(drawn)).ap, atol=1e-9)
    assert values[0, 3] == 0 and np.isnan(values[1, 3])
