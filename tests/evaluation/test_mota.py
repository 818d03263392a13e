"""Tracking accuracy: hand-computed cases, and against the slow reference."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest
import slow_posetrack
from hypothesis import given
from hypothesis import strategies as st
from label_files import ORDER_15, annolist, coco, person, write

from cmpose_mm.evaluation import MotaResult, select_scored, tracking_accuracy
from cmpose_mm.evaluation.mota import min_cost_pairs
from cmpose_mm.posetrack.annotations import read_videos

NOSE = ORDER_15.index('nose')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('files')


@pytest.fixture
def track(tmp_path):
    """Tracks noses: frames of {track id: x} on both sides; counts of the nose and the result."""

    def run(gt: list, pred: list, compat=None):
        for kind, frames in (('gt', gt), ('pred', pred)):
            persons = [
                [person({'nose': (x, 100)}, track_id=track_id) for track_id, x in frame]
                for frame in frames
            ]
            write(tmp_path / kind / 'a.json', coco(persons))
        scored = select_scored(read_videos(tmp_path / 'gt'), read_videos(tmp_path / 'pred'))
        result = tracking_accuracy(scored, compat=compat)
        counts = (result.num_gt, result.misses, result.false_positives, result.switches)
        return [int(count[NOSE]) for count in counts], result

    return run


def test_perfect_tracks(track) -> None:
    frames = [[(1, 100), (2, 300)], [(1, 120), (2, 280)]]
    counts, result = track(frames, [[(t + 5, x) for t, x in frame] for frame in frames])
    assert counts == [4, 0, 0, 0]
    assert result.mota[NOSE] == 100
    assert np.isnan(result.mota[NOSE + 1])  # nothing labeled
    assert result.summary()['Total'] == 100


def test_misses_and_false_positives(track) -> None:
    counts, result = track([[(1, 100), (2, 300)]], [[(1, 116), (2, 315)]])
    assert counts == [2, 1, 1, 0]  # 16 pixels are more than half a head size of 30, 15 are not
    assert result.mota[NOSE] == 0


def test_frames_with_one_empty_side(track) -> None:
    counts, _ = track([[(1, 100)], [(1, 100)]], [[(1, 100)], []])
    assert counts == [2, 1, 0, 0]


def test_switch(track) -> None:
    counts, result = track([[(1, 100)]] * 4, [[(7, 100)], [(8, 100)], [(8, 100)], [(7, 100)]])
    assert counts == [4, 0, 0, 2]
    assert result.mota[NOSE] == 50


def test_switch_is_noticed_across_a_gap(track) -> None:
    counts, _ = track([[(1, 100)]] * 3, [[(7, 100)], [(7, 500)], [(8, 100)]])
    assert counts == [3, 1, 1, 1]


def test_partners_stay_though_another_comes_closer(track) -> None:
    counts, _ = track([[(1, 100)]] * 2, [[(7, 100)], [(8, 101), (7, 110)]])
    assert counts == [2, 0, 1, 0]


def test_as_many_pairs_as_possible(track) -> None:
    """The first label is closest to the prediction that is the only one for the second."""
    counts, _ = track([[(1, 100), (2, 112)]], [[(1, 104), (2, 88)]])
    assert counts == [2, 0, 0, 0]


def test_missing_and_repeated_ids_are_tracks_of_their_own(track) -> None:
    counts, _ = track([[(None, 100)]] * 3, [[(7, 100)]] * 3)
    assert counts == [3, 0, 0, 0]  # a label without an id cannot change its partner
    counts, _ = track([[(1, 100)]] * 3, [[(None, 100)]] * 3)
    assert counts == [3, 0, 0, 2]  # a prediction without one is a new track each time
    counts, _ = track([[(1, 100), (1, 300)]] * 2, [[(7, 100), (8, 300)]] * 2)
    assert counts == [4, 0, 0, 0]


def test_poseval_drops_the_last_frame_and_makes_up_pairs(track) -> None:
    gt, pred = [[(1, 100)], [(1, 100), (2, 300)], [(1, 100)]], [[(7, 100)], [], [(7, 500)]]
    assert track(gt, pred)[0] == [4, 3, 1, 0]
    counts, result = track(gt, pred, compat='poseval')
    assert counts == [2, 1, 1, 0]
    assert result.num_gt[NOSE + 1] == 1  # the made-up pair is there for every joint


def test_poseval_keeps_persons_without_joints_where_nothing_is_ignored(tmp_path) -> None:
    """A frame with such a label and a prediction: nothing labeled, a false positive. No made-up
    pair, unless the frame has ignore regions, through which poseval drops the person."""

    def count(regions: dict, compat, form=lambda data: data) -> list:
        nose = [person({'nose': (100, 100)})]
        gt = coco([[person({})], nose, nose], regions=regions)
        pred = coco([nose, [person({})], [person({})]])
        write(tmp_path / 'gt.json', form(gt))
        write(tmp_path / 'pred.json', form(pred))
        videos = [read_videos(tmp_path / f'{kind}.json') for kind in ('gt', 'pred')]
        result = tracking_accuracy(select_scored(*videos), compat=compat)
        counts = (result.num_gt, result.misses, result.false_positives, result.switches)
        return [[int(count[joint]) for count in counts] for joint in (NOSE, NOSE + 1)]

    square = [[(900, 900), (950, 900), (950, 950)]]
    assert count({}, 'poseval') == [[1, 1, 1, 0], [0, 0, 0, 0]]
    assert count({0: square}, 'poseval') == [[2, 2, 1, 0], [1, 1, 1, 0]]
    assert count({1: square}, 'poseval') == [[1, 1, 2, 0], [1, 1, 1, 0]]
    assert count({0: [[]]}, 'poseval') == [[2, 2, 1, 0], [1, 1, 1, 0]]
    assert count({0: square}, None) == count({}, None) == [[2, 2, 1, 0], [0, 0, 0, 0]]

    def without_lists(data: dict) -> dict:
        """An annolist whose persons without points have no list: these go in any frame."""
        data = annolist(data)
        for entry in data['annolist']:
            for rect in entry['annorect']:
                if not rect['annopoints'][0]['point']:
                    rect['annopoints'] = []
        return data

    assert count({}, 'poseval', annolist) == [[1, 1, 1, 0], [0, 0, 0, 0]]
    assert count({}, 'poseval', without_lists) == [[2, 2, 2, 0], [2, 2, 2, 0]]


def test_head_box_without_extent_pairs_with_nothing(tmp_path) -> None:
    gt = [person({'nose': (x, 100)}, head=(5, 5, 0, 0), track_id=x) for x in (100, 200)]
    pred = [person({'nose': (x, 100)}, track_id=x) for x in (100, 200)]
    write(tmp_path / 'gt.json', coco([gt]))
    write(tmp_path / 'pred.json', coco([pred]))
    videos = [read_videos(tmp_path / f'{kind}.json') for kind in ('gt', 'pred')]
    scored = select_scored(*videos)
    assert np.isinf(scored.videos[0].distances()[2]).all()
    result = tracking_accuracy(scored)
    assert (result.num_gt[NOSE], result.misses[NOSE], result.false_positives[NOSE]) == (2, 2, 2)


def test_unknown_compat_is_an_error(track) -> None:
    with pytest.raises(ValueError, match='compat is \'matlab\', expected None or "poseval"'):
        track([[(1, 100)]], [[]], compat='matlab')


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(
            st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5, math.inf]), min_size=n, max_size=n),
            min_size=1,
            max_size=5,
        )
    )
)
def test_pairs_are_the_best_of_all(cost) -> None:
    pairs = min_cost_pairs(cost)
    assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
    assert all(cost[r][c] < math.inf for r, c in pairs)
    best = (0, 0.0)
    columns = list(range(len(cost[0]))) + [None] * len(cost)
    for chosen in set(itertools.permutations(columns, len(cost))) if len(cost) < 4 else ():
        costs = [cost[r][c] for r, c in enumerate(chosen) if c is not None]
        if all(value < math.inf for value in costs):
            best = min(best, (-len(costs), sum(costs)))
    if len(cost) < 4:
        found = (-len(pairs), sum(cost[r][c] for r, c in pairs))
        assert found == pytest.approx(best, abs=1e-12)


def random_tracks(rng: random.Random, num_videos: int) -> tuple[dict, dict]:
    """Walking persons and predictions of them with lost, swapped, missing and repeated ids.

    Some frames have none, some persons no joint on one side or the other.
    """
    gt_files, pred_files = {}, {}
    for video in range(num_videos):
        gt, pred, regions = [], [], {}
        spots = {track_id: rng.uniform(0, 150) for track_id in range(rng.randrange(1, 4))}
        ids = {track_id: track_id + 50 for track_id in spots}
        for frame in range(rng.randrange(1, 7)):
            gt.append([])
            pred.append([])
            for side in (gt, pred):
                if rng.random() < 0.2:
                    side[-1].append(person({}, track_id=rng.randrange(90, 99)))
            if rng.random() < 0.2:
                continue
            for track_id in spots:
                spots[track_id] += rng.uniform(-10, 10)
                joints = {
                    name: (spots[track_id] + 3 * index, 50 * index + 1)
                    for index, name in enumerate(ORDER_15)
                    if rng.random() < 0.8
                }
                if rng.random() < 0.8:
                    known = rng.choice([track_id, track_id, track_id, 0, None])
                    gt[-1].append(person(joints, track_id=known))
                if rng.random() < 0.1:
                    ids[track_id] = rng.randrange(20000)
                for _ in range(rng.choice([0, 1, 1, 1, 2])):
                    # off the line of the labels, on which total distances would often tie
                    moved = {
                        name: (x + rng.uniform(-14, 14), y + rng.uniform(-9, 9))
                        for name, (x, y) in joints.items()
                    }
                    known = rng.choice([ids[track_id]] * 4 + [50, None])
                    pred[-1].append(person(moved, head=None, track_id=known))
            rng.shuffle(pred[-1])
            if rng.random() < 0.3:
                regions[frame] = [[(0, 0), (60, 0), (60, 400), (0, 400)]]
        gt_files[f'{video:06d}'] = coco(gt, f'{video:06d}', 100 * video, regions)
        pred_files[f'{video:06d}'] = coco(pred, f'{video:06d}', 100 * video)
    return gt_files, pred_files


def crowded_tracks(rng: random.Random, num_videos: int) -> tuple[dict, dict]:
    """Persons and predictions on a coarse grid, whose ids jump: rich in ties and switches."""
    gt_files, pred_files = {}, {}

    def walkers(ids: list) -> list:
        return [
            person(
                {
                    name: (6 * rng.randrange(4), 100 * index + 6 * rng.randrange(3))
                    for index, name in enumerate(ORDER_15)
                    if rng.random() < 0.9
                },
                track_id=track_id,
            )
            for track_id in rng.sample(ids, rng.randrange(len(ids) + 1))
        ]

    for video in range(num_videos):
        frames = range(rng.randrange(1, 12))
        gt = [walkers([1, 2, 3, 4, 5]) for _ in frames]
        pred = [walkers([6, 7, 8, 9, 10, 11, 12]) for _ in frames]
        name = f'{video:06d}'
        gt_files[name] = coco(gt, name, 100 * video)
        pred_files[name] = coco(pred, name, 100 * video)
    return gt_files, pred_files


def counts_of(folder: Path, gt: dict, pred: dict, compat) -> tuple[dict, MotaResult]:
    """{joint: [labeled, misses, false positives, switches]} and the result."""
    for kind, files in (('gt', gt), ('pred', pred)):
        for file in (folder / kind).glob('*.json'):
            file.unlink()
        for name, data in files.items():
            write(folder / kind / f'{name}.json', data)
    scored = select_scored(read_videos(folder / 'gt'), read_videos(folder / 'pred'))
    result = tracking_accuracy(scored, compat=compat)
    counts = np.stack([result.num_gt, result.misses, result.false_positives, result.switches])
    return dict(zip(ORDER_15, counts.T.tolist())), result


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    num_videos=st.integers(1, 3),
    compat=st.sampled_from([None, 'poseval']),
)
def test_equals_the_slow_reference(folder, seed, num_videos, compat) -> None:
    gt, pred = random_tracks(random.Random(seed), num_videos)
    counts, result = counts_of(folder, gt, pred, compat)
    files = [(gt[name], pred[name]) for name in gt]
    assert counts == slow_posetrack.track_counts(files, compat=compat)
    for mota, (num_gt, *errors) in zip(result.mota, counts.values()):
        if num_gt:
            assert mota == pytest.approx(100 * (1 - sum(errors) / num_gt), abs=1e-9)
        else:
            assert np.isnan(mota)


@pytest.mark.slow
@pytest.mark.parametrize('compat', [None, 'poseval'])
@pytest.mark.parametrize('make', [random_tracks, crowded_tracks])
def test_equals_py_motmetrics(folder, make, compat) -> None:
    """Also where several pairings are equally good, which decides on later switches."""
    switches = 0
    for seed in range(4):
        gt, pred = make(random.Random(seed), 2)
        counts, _ = counts_of(folder, gt, pred, compat)
        files = [(gt[name], pred[name]) for name in gt]
        assert counts == slow_posetrack.motmetrics_counts(files, compat=compat)
        switches += sum(count[3] for count in counts.values())
    assert switches > (200 if make is crowded_tracks else 5)
