"""Recall by visibility: every rule by a hand-computed case, and against a slow reference."""

from __future__ import annotations

import random

import numpy as np
import pytest
import slow_posetrack
from hypothesis import given, settings
from hypothesis import strategies as st
from label_files import ORDER_15, coco, person, write
from test_average_precision import near, random_person

from cmpose_mm.evaluation import (
    RULES,
    VISIBILITY_CLASSES,
    evaluate_files,
    recall_by_visibility,
    scored_frames,
    select_scored,
)
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES

NOSE, KNEE = (100, 100), (100, 200)


@pytest.fixture
def score(tmp_path):
    """Recall of one video from labeled and predicted persons of its frames, and its regions."""

    def run(gt: list, pred: list, regions=None, numbers=None, **options):
        data = coco(gt, regions=regions)
        for image, number in zip(data['images'], numbers or ()):
            image['file_name'] = f'images/val/a/{number:06d}.jpg'
        write(tmp_path / 'gt' / 'a.json', data)
        write(tmp_path / 'pred' / 'a.json', coco(pred))
        videos = read_videos(tmp_path / 'gt'), read_videos(tmp_path / 'pred')
        return recall_by_visibility(select_scored(*videos), **options)

    return run


def noses(*visible, track_id=7) -> list:
    """One person a frame with a visible knee and a nose that is visible (1), hidden (0) or absent.

    None stands for an absent nose.
    """
    return [
        [
            person(
                {'left_knee': KNEE, **({} if v is None else {'nose': (*NOSE, v)})},
                track_id=track_id,
            )
        ]
        for v in visible
    ]


def counts(result, joint: str = 'nose') -> dict:
    """{class: (found, labeled)} of a joint."""
    place = JOINT_NAMES.index(joint)
    return {
        name: (int(found[place]), int(num_gt[place]))
        for name, found, num_gt in zip(VISIBILITY_CLASSES, result.found, result.num_gt)
    }


# ------------------------------------------------------------------------- classes of joints


def test_hidden_joint_next_to_a_visible_one_is_recoverable(score) -> None:
    gt = noses(0, 1, 0, 0, None)
    result = score(gt, gt)
    assert counts(result) == {
        'visible': (1, 1),
        'occluded': (3, 3),
        'recoverable': (2, 2),
        'lost': (1, 1),
    }
    assert counts(result, 'left_knee') == {
        'visible': (5, 5),
        'occluded': (0, 0),
        'recoverable': (0, 0),
        'lost': (0, 0),
    }


@pytest.mark.parametrize(
    ('options', 'recoverable'),
    [
        (dict(), 1),
        (dict(reach=2), 2),
        (dict(reach=4), 4),
        (dict(stride=2), 1),
        (dict(stride=2, reach=2), 2),
        (dict(stride=4), 1),
        (dict(stride=5), 0),
        (dict(reach=(0, 1)), 1),
        (dict(reach=(0, 3)), 3),
        (dict(reach=(4, 0)), 0),
    ],
)
def test_reach_and_stride(score, options, recoverable) -> None:
    """The nose is hidden in the frames 0 to 3 and visible in frame 4."""
    gt = noses(0, 0, 0, 0, 1)
    assert counts(score(gt, gt, **options))['recoverable'][1] == recoverable


def test_frames_are_neighbors_by_number_not_by_position(score) -> None:
    gt = noses(0, 1, 0)
    numbers = [10, 12, 13]
    assert counts(score(gt, gt, numbers=numbers))['recoverable'][1] == 1
    assert counts(score(gt, gt, numbers=numbers, stride=2))['recoverable'][1] == 1
    assert counts(score(gt, gt, numbers=numbers, reach=2))['recoverable'][1] == 2


def test_frames_that_end_in_the_number_of_a_camera(tmp_path) -> None:
    """Their own number is in the middle of the name, and in `frame_id`."""
    gt = noses(0, 1, 0, 0, 0, 1, 0, 0)
    results = []
    for place, form in (('plain', '{:06d}.jpg'), ('camera', 'frame_{:06d}_cam2.jpg')):
        data = coco(gt)
        for number, image in enumerate(data['images']):
            image.update(file_name=f'images/val/a/{form.format(number)}', frame_id=number)
        write(tmp_path / place / 'a.json', data)
        videos = [read_videos(tmp_path / place)] * 2
        results.append(recall_by_visibility(select_scored(*videos)))
    plain, camera = map(counts, results)
    assert camera == plain
    assert (camera['recoverable'][1], camera['lost'][1]) == (4, 2)
    assert results[1].num_tracked == 8


def test_another_track_shows_nothing(score) -> None:
    gt = [noses(0, track_id=1)[0], noses(1, track_id=2)[0]]
    assert counts(score(gt, gt))['lost'][1] == 1


@pytest.mark.parametrize('track_id', [None, -1])
def test_without_track_id_nothing_is_recoverable(score, track_id) -> None:
    gt = noses(0, 1, track_id=track_id)
    result = score(gt, gt)
    assert counts(result)['lost'][1] == 1
    assert (result.num_tracked, result.num_persons) == (0, 2)


def test_a_track_id_that_two_persons_of_a_frame_share_is_none(score) -> None:
    other = person({'right_knee': (400, 400)}, track_id=7)
    gt = noses(0, 1, 0)
    gt[1].append(other)
    result = score(gt, gt)
    assert counts(result)['recoverable'][1] == 0
    assert (result.num_tracked, result.num_persons) == (2, 4)


def test_joint_in_an_ignore_region_is_not_seen_and_not_counted(score) -> None:
    gt = noses(0, 1)
    square = [(90, 90), (110, 90), (110, 110), (90, 110)]
    assert counts(score(gt, gt, regions={1: [square]})) == {
        'visible': (0, 0),
        'occluded': (1, 1),
        'recoverable': (0, 0),
        'lost': (1, 1),
    }


# ------------------------------------------------------------------------------ found or not


def test_found_is_within_half_a_head_size(score) -> None:
    """The head size is 30 pixels."""
    gt = noses(0)
    for x, found in [(115, 1), (115.001, 0)]:
        pred = [[person({'nose': (x, 100), 'left_knee': KNEE})]]
        assert counts(score(gt, pred))['occluded'] == (found, 1)


def test_person_without_partner_is_not_found(score) -> None:
    assert counts(score(noses(1), [[]]))['visible'] == (0, 1)


def test_a_pose_that_fits_the_other_person_finds_no_joint_of_this_one(score) -> None:
    """Persons of a crowd: both predictions describe the front one; the hidden nose is near both."""
    front = {'nose': NOSE, 'left_knee': KNEE, 'right_knee': (130, 200)}
    behind = {'nose': (110, 100, 0), 'left_knee': (300, 200), 'right_knee': (330, 200)}
    gt = [[person(front, track_id=1), person(behind, track_id=2)]]
    pred = [[person(front, track_id=1), person(front, track_id=2)]]
    assert counts(score(gt, pred)) == {
        'visible': (1, 1),
        'occluded': (0, 1),
        'recoverable': (0, 0),
        'lost': (0, 1),
    }


def test_summary_pools_joints(score) -> None:
    """Of one left and three right knees the left and one right are found: 50, not 67, percent."""
    joints = [{'left_knee': KNEE, 'right_knee': (300, 200)}, *[{'right_knee': (300, 200)}] * 2]
    gt = [[person({**j, 'nose': NOSE}, track_id=1)] for j in joints]
    pred = [[person({**joints[0], 'nose': NOSE})]] + [[person({'nose': NOSE})]] * 2
    summary = score(gt, pred).summary()
    assert summary['visible']['Knee'] == 50
    assert summary['visible']['Head'] == 100
    assert summary['visible']['Total'] == pytest.approx(500 / 7, abs=1e-12)
    assert np.isnan(summary['visible']['Wrist']) and np.isnan(summary['occluded']['Total'])


@pytest.mark.parametrize(
    'options', [dict(reach=0), dict(stride=0), dict(reach=(0, 0)), dict(reach=(-1, 2))]
)
def test_wrong_arguments(score, options) -> None:
    with pytest.raises(ValueError, match='expected both to be at least 1'):
        score(noses(1), noses(1), **options)


def test_the_earlier_form_of_the_call_still_works(tmp_path) -> None:
    write(tmp_path / 'gt' / 'a.json', coco(noses(1)))
    write(tmp_path / 'gt' / 'b.json', coco(noses(1), 'b', 500))
    write(tmp_path / 'pred' / 'a.json', coco(noses(1)))
    videos = read_videos(tmp_path / 'gt'), read_videos(tmp_path / 'pred')
    with pytest.warns(FutureWarning, match='takes what select_scored'):
        result = recall_by_visibility(*videos, allow_missing=True)
    assert counts(result)['visible'] == (1, 1)
    with pytest.raises(TypeError, match='unexpected arguments: allow_missing'):
        recall_by_visibility(select_scored(*videos, allow_missing=True), allow_missing=True)


# ------------------------------------------------------------------------------ the reference


def slow_counts(files: list, reach, stride: int, labeled_frames: bool, positive: bool) -> dict:
    """{(class, joint): [found, labeled]} with loops over the JSON of labels and predictions."""
    before, after = reach if isinstance(reach, tuple) else (reach, reach)
    result = {(c, name): [0, 0] for c in VISIBILITY_CLASSES for name in ORDER_15}
    for gt_file, pred_file in files:
        number = {i['id']: int(i['file_name'][-10:-4]) for i in gt_file['images']}
        frames = slow_posetrack.clean_frames(gt_file, pred_file, labeled_frames, positive)
        shown = {}  # {(frame number, track): joints that are visible} of unambiguous tracks
        for gts, _ in frames:
            for gt in gts:
                track = gt['annotation'].get('track_id', -1)
                same = [g for g in gts if g['annotation'].get('track_id', -1) == track]
                if track >= 0 and len(same) == 1:
                    key = number[gt['annotation']['image_id']], track
                    shown[key] = [n for n in gt['points'] if value(gt, n) > 0]
        for gts, preds in frames:
            partner = {g: p for p, g in slow_posetrack.assign(preds, gts).items()}
            for g, gt in enumerate(gts):
                frame = number[gt['annotation']['image_id']]
                track = gt['annotation'].get('track_id', -1)
                if (frame, track) not in shown:
                    track = None
                for name in gt['points']:
                    if value(gt, name) > 0:
                        classes = ['visible']
                    else:
                        classes = ['occluded', 'lost']
                        for step in range(-before, after + 1):
                            other = frame + step * stride
                            if name in shown.get((other, track), ()) and (frame, track) in shown:
                                classes = ['occluded', 'recoverable']
                    found = (
                        g in partner and slow_posetrack.distance(preds[partner[g]], gt, name) <= 0.5
                    )
                    for c in classes:
                        result[c, name][0] += found
                        result[c, name][1] += 1
    return result


def value(gt: dict, name: str) -> int:
    return gt['annotation']['keypoints'][3 * slow_posetrack.ORDER_17.index(name) + 2]


def random_video(rng: random.Random, name: str, first_id: int) -> tuple[dict, dict]:
    """Labels with gaps between frames, ambiguous and missing tracks, and predictions nearby."""
    gt, pred, regions = [], [], {}
    for frame in range(rng.randrange(1, 7)):
        persons = [random_person(rng, 4, 25, None) for _ in range(rng.randrange(4))]
        for labeled in persons:
            for place in range(17):
                if any(labeled['keypoints'][3 * place : 3 * place + 3]):
                    labeled['keypoints'][3 * place + 2] = rng.randrange(2)
            track = rng.choice([0, 1, 2, -1, None])
            if track is not None:
                labeled['track_id'] = track
        gt.append(persons)
        pred.append([near(rng, p, lambda: 0.5) for p in persons if rng.random() < 0.8])
        rng.shuffle(pred[-1])
        if rng.random() < 0.3:
            regions[frame] = [[(0, 0), (30, 0), (30, 30), (0, 30)]]
    labels = coco(gt, name, first_id, regions)
    number = 0
    for image in labels['images']:
        number += rng.choice([1, 1, 1, 2, 3])
        image['file_name'] = f'images/val/{name}/{number:06d}.jpg'
        image['is_labeled'] = rng.random() < 0.8
    return labels, coco(pred, name, first_id)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('files')


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    reach=st.one_of(st.integers(1, 3), st.sampled_from([(2, 0), (0, 1), (1, 3)])),
    stride=st.integers(1, 2),
    release=st.sampled_from(['18', '21']),
)
@pytest.mark.slow
def test_equals_the_slow_reference(folder, seed, reach, stride, release) -> None:
    rng = random.Random(seed)
    files = [random_video(rng, f'{video:06d}', 100 * video) for video in range(2)]
    for kind, place in (('gt', 0), ('pred', 1)):
        for video, pair in enumerate(files):
            write(folder / kind / f'{video:06d}.json', pair[place])
    scored = select_scored(
        read_videos(folder / 'gt'), read_videos(folder / 'pred'), rules=RULES[release]
    )
    result = recall_by_visibility(scored, reach=reach, stride=stride)
    expected = slow_counts(files, reach, stride, release == '21', release == '21')
    for c, found, num_gt, recall in zip(
        VISIBILITY_CLASSES, result.found, result.num_gt, result.recall()
    ):
        for j, name in enumerate(JOINT_NAMES):
            assert [found[j], num_gt[j]] == expected[c, name]
            if num_gt[j]:
                assert recall[j] == pytest.approx(100 * found[j] / num_gt[j], abs=1e-12)
            else:
                assert np.isnan(recall[j])


# ------------------------------------------------------------------------------ the command


def test_evaluate_files_adds_it_and_changes_nothing_else(tmp_path) -> None:
    rng = random.Random(3)
    for video in range(3):
        gt, pred = random_video(rng, f'{video:06d}', 100 * video)
        write(tmp_path / 'gt' / f'{video:06d}.json', gt)
        write(tmp_path / 'pred' / f'{video:06d}.json', pred)
    plain = evaluate_files(tmp_path / 'gt', tmp_path / 'pred')
    result = evaluate_files(tmp_path / 'gt', tmp_path / 'pred', visibility=True, reach=2)
    added = result.pop('visibility')
    assert result['protocol'].pop('visibility') == (
        'recall within 0.5 head sizes, neighbors up to 2 x 1 frames'
    )
    assert repr(result) == repr(plain)  # some numbers may be NaN, which equals nothing
    scored = select_scored(read_videos(tmp_path / 'gt'), read_videos(tmp_path / 'pred'))
    expected = recall_by_visibility(scored, reach=2)
    assert added['joints'] == dict(zip(VISIBILITY_CLASSES, expected.num_gt.sum(axis=1)))
    assert added['recall']['occluded']['Total'] == expected.summary()['occluded']['Total']
    assert added['per_joint']['visible']['nose'] == expected.recall()[0, JOINT_NAMES.index('nose')]
    assert added['joints']['visible'] + added['joints']['occluded'] == plain['counts']['joints']
    assert added['persons'] == plain['counts']['persons']


def test_persons_are_paired_once(tmp_path, monkeypatch) -> None:
    """For average precision of all and of each video, and for recall."""
    rng = random.Random(3)
    for video in range(3):
        gt, pred = random_video(rng, f'{video:06d}', 100 * video)
        write(tmp_path / 'gt' / f'{video:06d}.json', gt)
        write(tmp_path / 'pred' / f'{video:06d}.json', pred)
    calls, assign_persons = [], scored_frames.assign_persons
    monkeypatch.setattr(
        scored_frames, 'assign_persons', lambda *args: calls.append(0) or assign_persons(*args)
    )
    evaluate_files(tmp_path / 'gt', tmp_path / 'pred', visibility=True, per_video=True)
    assert len(calls) == 3
