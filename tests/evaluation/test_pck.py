"""PCK: every rule by a hand-computed case, against the slow reference, and against MMPose."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slow_pck
from hypothesis import given
from hypothesis import strategies as st
from label_files import ORDER_15, ORDER_17, coco, person, write

from cmpose_mm.evaluation import (
    PCK_NORMS,
    PCK_THRESHOLDS,
    correct_keypoints,
    evaluate_files,
    format_result,
    select_scored,
    summarize_pck,
)
from cmpose_mm.evaluation.pck import count_hits
from cmpose_mm.posetrack.annotations import read_videos

FULL = {name: (100 + 10 * i, 100 + 7 * i) for i, name in enumerate(ORDER_15)}
BOX = [100, 100, 140, 200]  # the longer side is 200: at 0.1 hits are closer than 20


def shift(joints: dict, dx: float, dy: float = 0) -> dict:
    return {name: (point[0] + dx, point[1] + dy, *point[2:]) for name, point in joints.items()}


@pytest.fixture
def scored(tmp_path):
    """The scored set of frames of labeled and predicted persons."""

    def make(gt: list, pred: list, size: tuple[int, int] | None = None, **options):
        labels = coco(gt)
        for image in labels['images'] if size else ():
            image.update(width=size[0], height=size[1])
        paths = [
            write(tmp_path / side / 'a.json', data)
            for side, data in (('gt', labels), ('pred', coco(pred)))
        ]
        return select_scored(*(read_videos(path.parent) for path in paths), **options)

    return make


# ------------------------------------------------------------------------------------ one rule


def test_a_hit_is_strictly_below_the_threshold(scored) -> None:
    gt = [[person(FULL, bbox=BOX)]]
    at = scored(gt, [[person(shift(FULL, 12, 16), bbox=BOX)]])  # 20 pixels: exactly 0.1
    assert np.nanmax(correct_keypoints(at, 'box', [0.1]).per_joint()) == 0
    below = scored(gt, [[person(shift(FULL, 11.999, 16), bbox=BOX)]])
    assert np.nanmin(correct_keypoints(below, 'box', [0.1]).per_joint()) == 100


def test_norms(scored) -> None:
    joints = dict(FULL, left_shoulder=(100, 100), right_hip=(130, 140))  # 50 apart
    gt = [[person(joints, head=(0, 0, 30, 40), bbox=BOX)]]  # head size 30
    limit = {'box': 200, 'torso': 50, 'head': 30}
    for norm, size in limit.items():
        for error, hit in ((0.2 * size - 0.01, 100), (0.2 * size + 0.01, 0)):
            result = correct_keypoints(
                scored(gt, [[person(shift(joints, error), bbox=BOX)]]), norm, [0.2]
            )
            assert set(result.per_joint()[0]) == {hit}, norm


def test_box_is_cut_to_the_image_as_mmpose_does(scored) -> None:
    gt = [[person(FULL, bbox=[100, 40, 100, 200])]]  # ends at 240, the last pixel is 239
    pred = [[person(shift(FULL, 19.95), bbox=[100, 40, 100, 200])]]
    assert np.nanmin(correct_keypoints(scored(gt, pred), thresholds=[0.1]).per_joint()) == 100
    cut = scored(gt, pred, size=(320, 240))
    assert np.nanmax(correct_keypoints(cut, thresholds=[0.1]).per_joint()) == 0  # 19.9


def test_absent_joints_do_not_count(scored) -> None:
    gt = [[person({k: v for k, v in FULL.items() if k != 'head_top'}, bbox=BOX)]]
    result = correct_keypoints(scored(gt, [[person(FULL, bbox=BOX)]]))
    values = dict(zip(ORDER_15, result.per_joint()[0]))
    assert np.isnan(values.pop('head_top')) and set(values.values()) == {100}
    assert result.num_joints.sum() == 14
    summary = result.summary()['PCK@0.5']
    assert summary['Head'] == summary['Total'] == summary['mean13'] == summary['mean7'] == 100


def test_a_predicted_joint_that_is_absent_is_a_miss(scored) -> None:
    pred = {k: v for k, v in FULL.items() if k != 'left_knee'}
    result = correct_keypoints(scored([[person(FULL, bbox=BOX)]], [[person(pred, bbox=BOX)]]))
    values = dict(zip(ORDER_15, result.per_joint()[0]))
    assert values.pop('left_knee') == 0 and set(values.values()) == {100}
    assert result.num_joints.sum() == 15


@pytest.mark.parametrize('lacking', ['left_shoulder', 'right_hip'])
def test_persons_without_a_norm_are_counted_apart(scored, lacking) -> None:
    whole = person(FULL, bbox=BOX)
    part = person({k: v for k, v in FULL.items() if k != lacking}, head=None, bbox=BOX)
    both = [[whole], [part]]
    found = scored(both, [[person(shift(FULL, 1), bbox=BOX)]] * 2, need_head_boxes=False)
    for norm, joints in {'box': 29, 'torso': 15, 'head': 15}.items():
        result = correct_keypoints(found, norm)
        assert result.num_joints.sum() == joints
        assert result.num_without_norm == (norm != 'box')
        assert result.num_persons == 2 and result.num_without_prediction == 0
        assert (result.hits[0, 0] == result.num_joints[0]).all()


def test_without_a_labeled_box_there_is_no_box_norm(scored) -> None:
    """As in PoseTrack17. The person is still found by the extent of the joints."""
    gt = [[person(FULL), person(shift(FULL, 400), bbox=[500, 100, 140, 200])]]
    pred = [[person(shift(FULL, 400)), person(FULL)]]
    box = correct_keypoints(scored(gt, pred))
    assert (box.num_without_norm, box.num_joints.sum(), box.hits[0, 0].sum()) == (1, 15, 15)
    torso = correct_keypoints(scored(gt, pred), 'torso')
    assert (torso.num_without_norm, torso.num_joints.sum(), torso.hits[0, 0].sum()) == (0, 30, 30)


def test_a_norm_of_no_extent_is_none(scored) -> None:
    joints = dict(FULL, right_hip=FULL['left_shoulder'])
    gt = [[person(joints, head=(5, 5, 0, 0), bbox=[5, 5, 0, 0])]]
    for norm in PCK_NORMS:
        result = correct_keypoints(scored(gt, [[person(joints, bbox=BOX)]]), norm)
        assert result.num_without_norm == 1 and result.num_joints.sum() == 0
        assert np.isnan(result.per_joint()).all()
        assert np.isnan(result.summary()[f'{PCK_NORMS[norm]}@0.5']['Total'])


@pytest.mark.parametrize('bbox', [[100, 100, 0, 0], [100, 100, -5, 60], [900, 900, 50, 50]])
@pytest.mark.parametrize('norm', ['torso', 'head'])
def test_a_labeled_box_without_extent_does_not_keep_its_person_from_its_pose(
    scored, bbox, norm
) -> None:
    """By other norms than the box; the last lies outside of the image."""
    found = scored([[person(FULL, bbox=bbox)]], [[person(FULL, bbox=BOX)]], size=(400, 400))
    result = correct_keypoints(found, norm)
    assert result.num_without_prediction == result.num_without_norm == 0
    assert (result.hits == result.num_joints[:, None]).all() and result.num_joints.sum() == 15
    assert correct_keypoints(found, 'box').num_without_norm == 1


def test_persons_without_prediction_are_missed(scored) -> None:
    gt = [[person(FULL, bbox=BOX)], [person(FULL, bbox=BOX)]]
    elsewhere = person(shift(FULL, 500), bbox=[600, 100, 140, 200])
    result = correct_keypoints(scored(gt, [[], [elsewhere]]))
    assert result.num_without_prediction == 2 and result.num_without_norm == 0
    assert result.num_joints.sum() == 30 and result.hits.sum() == 0


def test_boxes_pair_persons_not_joints(scored) -> None:
    """A prediction from the box of a hidden person that describes the person in front is wrong."""
    front, hidden = FULL, shift(FULL, 70)
    boxes = [BOX, [170, 100, 140, 200]]
    gt = [[person(front, bbox=boxes[0]), person(hidden, bbox=boxes[1])]]
    pred = [[person(front, bbox=boxes[1]), person(front, bbox=boxes[0])]]
    result = correct_keypoints(scored(gt, pred), thresholds=[0.1])
    assert set(result.per_joint()[0]) == {50}


def test_boxes_apart_in_both_directions_share_nothing(scored) -> None:
    """The product of two negative sides is positive."""
    corners = [[0, 0, 50, 50], [300, 300, 50, 50]]
    gt = [[person(FULL, bbox=corner) for corner in corners]]
    found = correct_keypoints(scored(gt, [[person(FULL, bbox=[100, 100, 50, 50])]]))
    assert found.num_without_prediction == 2 and found.hits.sum() == 0


def test_a_box_around_all_does_not_take_the_prediction_of_a_small_one(scored) -> None:
    """Both share as much of it; what counts is the share of both boxes together."""
    around = shift(FULL, 30, 30)
    gt = [[person(around, bbox=[90, 90, 310, 310]), person(FULL, bbox=[100, 100, 50, 50])]]
    found = correct_keypoints(
        scored(gt, [[person(FULL, bbox=[100, 100, 55, 50])]]), thresholds=[0.1]
    )
    assert found.hits.sum() == 15 and found.num_without_prediction == 1


def test_of_two_persons_with_one_box_the_track_decides(scored) -> None:
    other = shift(FULL, 60)
    gt = [[person(FULL, bbox=BOX, track_id=3), person(other, bbox=BOX, track_id=8)]]
    pred = [[person(other, bbox=BOX, track_id=8), person(FULL, bbox=BOX, track_id=3)]]
    assert np.nanmin(correct_keypoints(scored(gt, pred)).per_joint()) == 100


def test_without_predicted_boxes_the_extent_of_the_joints_pairs(scored) -> None:
    far = shift(FULL, 400)
    gt = [[person(FULL, bbox=BOX), person(far, bbox=[500, 100, 140, 200])]]
    pred = [[person(far), person(FULL)]]
    assert np.nanmin(correct_keypoints(scored(gt, pred)).per_joint()) == 100


def test_joints_that_are_not_finite_are_missed() -> None:
    predicted = np.array([[[np.nan, 1.0], [np.inf, 1.0], [1.0, 1.0]]])
    labeled = np.ones((1, 3, 2))
    hits = count_hits(predicted, labeled, np.ones((1, 3), bool), np.array([10.0]), [0.5])
    assert hits.tolist() == [[0, 0, 1]]


def test_the_three_means() -> None:
    """Head is the face alone; a joint that is nowhere labeled leaves Total, but no other mean."""
    value = dict.fromkeys(ORDER_15, 90.0)
    value.update(nose=100.0, head_bottom=60.0, head_top=np.nan, left_wrist=30.0, right_ankle=0.0)
    summary = summarize_pck(np.array([value[name] for name in ORDER_15]))
    assert summary['Head'] == 100
    assert (summary['Wrist'], summary['Ankle'], summary['Knee']) == (60, 45, 90)
    assert summary['Total'] == pytest.approx((100 + 60 + 30 + 0 + 10 * 90) / 14)
    assert summary['mean13'] == pytest.approx((100 + 30 + 0 + 10 * 90) / 13)
    assert summary['mean7'] == pytest.approx((100 + 90 + 90 + 60 + 90 + 90 + 45) / 7)
    value['nose'] = np.nan
    summary = summarize_pck(np.array([value[name] for name in ORDER_15]))
    assert np.isnan([summary[name] for name in ('Head', 'mean13', 'mean7')]).all()
    assert summary['Total'] == pytest.approx((60 + 30 + 0 + 10 * 90) / 13)


def test_wrong_arguments(scored) -> None:
    found = scored([[person(FULL, bbox=BOX)]], [[person(FULL, bbox=BOX)]])
    with pytest.raises(ValueError, match="norm is 'bbox', expected one of box, torso, head"):
        correct_keypoints(found, 'bbox')
    with pytest.raises(ValueError, match='expected numbers above 0'):
        correct_keypoints(found, 'box', [0.1, 0.0])


# ------------------------------------------------------------------------------ slow reference


def random_files(rng: random.Random, num_videos: int = 3) -> tuple[dict, dict]:
    """Labels and predictions by name: joints lacking, hidden, doubled persons, odd boxes."""
    gt, pred = {}, {}
    for number in range(num_videos):
        name = f'{number:06d}_test'
        sides: tuple[list, list] = ([], [])
        for _ in range(rng.randrange(1, 4)):
            labeled = []
            for index in range(rng.randrange(1, 4)):
                x, y = 60 * index, rng.uniform(0, 40)
                joints = {
                    joint: (x + rng.uniform(0, 80), y + rng.uniform(0, 160), rng.randrange(2))
                    for joint in ORDER_15
                    if rng.random() < 0.85
                }
                box = [x, y, rng.uniform(40, 100), rng.uniform(40, 200)]
                labeled.append((joints, box))
            sides[0].append(
                [
                    person(j, bbox=b, head=rng.choice([(0, 0, 30, 40), (1, 2, 20, 11)]))
                    for j, b in labeled
                ]
            )
            guesses = [
                person(
                    {
                        joint: (p[0] + rng.gauss(0, 8), p[1] + rng.gauss(0, 8), 1)
                        for joint, p in joints.items()
                        if rng.random() < 0.9
                    },
                    bbox=[v + rng.uniform(0, 9) for v in box],
                    scores=0.5,
                )
                for joints, box in labeled
                if rng.random() < 0.8
            ]
            if rng.random() < 0.3:
                stray = {joint: (rng.uniform(0, 200), 50, 1) for joint in ORDER_15}
                guesses.append(person(stray, bbox=[150, 0, 90, 90], scores=0.5))
            rng.shuffle(guesses)
            sides[1].append(guesses)
        first = 1000 * (number + 1)
        gt[name], pred[name] = coco(sides[0], name, first), coco(sides[1], name, first)
    return gt, pred


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), norm=st.sampled_from(list(PCK_NORMS)), visible=st.booleans())
def test_equals_the_slow_reference(tmp_path_factory, seed, norm, visible) -> None:
    folder = tmp_path_factory.mktemp('files')
    gt, pred = random_files(random.Random(seed))
    for side, files in (('gt', gt), ('pred', pred)):
        for name, data in files.items():
            write(folder / side / f'{name}.json', data)
    found = select_scored(*(read_videos(folder / side) for side in ('gt', 'pred')))
    result = correct_keypoints(found, norm, visible_only=visible)
    assert result.videos == sorted(gt)
    for index, threshold in enumerate(PCK_THRESHOLDS):
        hits, counts, percent, without_norm, unpaired = slow_pck.pck(
            [(gt[name], pred[name]) for name in sorted(gt)], norm, threshold, visible
        )
        for video in range(len(gt)):
            for place, joint in enumerate(ORDER_15):
                assert result.hits[video, index, place] == hits[video][joint]
                assert result.num_joints[video, place] == counts[video][joint]
        expected = [percent[joint] for joint in ORDER_15]
        np.testing.assert_allclose(result.per_joint()[index], expected, rtol=0, atol=1e-9)
        assert (result.num_without_norm, result.num_without_prediction) == (without_norm, unpaired)


# ------------------------------------------------------------------------------------- command


def test_files_to_tables(tmp_path) -> None:
    gt, pred = random_files(random.Random(5))
    for side, files in (('gt', gt), ('pred', pred)):
        for name, data in files.items():
            write(tmp_path / side / f'{name}.json', data)
    paths = tmp_path / 'gt', tmp_path / 'pred'
    result = evaluate_files(*paths, pck_norms=['box', 'head'])
    names = sorted(gt)
    hits, counts, percent, *_ = slow_pck.pck([(gt[n], pred[n]) for n in names], 'box', 0.1)
    box = json.loads(json.dumps(result['pck']['box']))
    assert box['PCK@0.1']['per_joint'] == pytest.approx(
        {joint: percent[joint] for joint in ORDER_15}, abs=1e-9
    )
    for index, name in enumerate(names):
        assert box['per_video'][name]['PCK@0.1'] == {j: hits[index][j] for j in ORDER_15}
        assert box['per_video'][name]['joints'] == {j: counts[index][j] for j in ORDER_15}
    text = format_result(result)
    assert 'PCKh@0.05' in text and text.index('Norm box') < text.index('Norm head')
    cells = [line.replace(' ', '').split('|')[1:3] for line in text.splitlines() if '@' in line]
    assert ['PCK@0.1', f'{box["PCK@0.1"]["Head"]:.1f}'] in cells
    assert result['protocol']['pck'] == 'all labeled joints'
    seen = evaluate_files(*paths, pck_norms=['box'], pck_visible_only=True)
    assert seen['pck']['box']['counts']['joints'] < box['counts']['joints']
    assert seen['protocol']['pck'] == 'visible joints'
    assert 'pck' not in evaluate_files(*paths)


def test_labels_as_predictions_of_the_real_clips_score_100(real_data: Path) -> None:
    videos = read_videos(real_data / 'jhmdb' / 'annotations' / 'test')[:5]
    result = correct_keypoints(select_scored(videos, videos))
    summary = result.summary()['PCK@0.05']
    assert all(value == 100 for value in summary.values())
    assert np.isnan(result.per_joint()[0][ORDER_15.index('head_top')])
    assert result.num_without_norm == result.num_without_prediction == 0


@pytest.mark.parametrize('distance, expected', [(1, [99.5, 97.6, 91.1]), (3, [97.2, 90.4, 73.6])])
def test_the_pose_of_an_earlier_frame(real_data: Path, distance, expected) -> None:
    """What it scores on the clean clips was measured by others before, in pooled joints."""
    with open(real_data / 'jhmdb' / 'clips.csv', newline='') as file:
        clean = {row['sequence'] for row in csv.DictReader(file) if row['source_in_train'] == '0'}
    labels = read_videos(real_data / 'jhmdb' / 'annotations' / 'test')
    labels = [video for video in labels if video.name in clean]
    copies = [
        replace(
            video,
            frames=[
                replace(frame, keypoints=video.frames[max(index - distance, 0)].keypoints)
                for index, frame in enumerate(video.frames)
            ],
        )
        for video in labels
    ]
    result = correct_keypoints(select_scored(labels, copies), thresholds=[0.2, 0.1, 0.05])
    pooled = 100 * result.hits.sum(axis=(0, 2)) / result.num_joints.sum()
    assert len(labels) == 90
    np.testing.assert_allclose(pooled, expected, rtol=0, atol=0.051)


def test_names_of_the_reference_agree() -> None:
    assert slow_pck.ORDER == ORDER_17
