"""Average precision: every rule by a hand-computed case, and against the slow reference."""

from __future__ import annotations

import random

import numpy as np
import pytest
import slow_posetrack
from hypothesis import given
from hypothesis import strategies as st
from label_files import HEAD, ORDER_15, ORDER_17, annolist, coco, person, write

from cmpose_mm.evaluation import (
    RULES,
    average_precision,
    average_precision_per_video,
    evaluate_files,
    select_scored,
    summarize_joints,
)
from cmpose_mm.evaluation.scored_frames import assign_persons
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

FULL = {name: (100 + 10 * i, 100 + 7 * i) for i, name in enumerate(ORDER_15)}
NAN = float('nan')


@pytest.fixture
def score(tmp_path):
    """Scores frames of labeled against frames of predicted persons; {joint: AP} and the result."""

    def run(gt: list, pred: list, regions=None, **options) -> dict:
        write(tmp_path / 'gt' / 'a.json', coco(gt, regions=regions))
        write(tmp_path / 'pred' / 'a.json', coco(pred))
        return evaluate_files(tmp_path / 'gt', tmp_path / 'pred', **options)

    return run


def shift(joints: dict, dx: float = 0, dy: float = 0) -> dict:
    return {name: (point[0] + dx, point[1] + dy) for name, point in joints.items()}


# ------------------------------------------------------------------ which frames and points


def test_perfect_predictions_give_100(score) -> None:
    frames = [[person(FULL, scores=0.5)], [person(shift(FULL, 5), scores=0.5)]]
    result = score(frames, frames)
    assert set(result['per_joint'].values()) == {100.0}
    groups = ('Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle', 'Total', 'mean7')
    assert {result[name] for name in groups} == {100.0}
    assert result['counts'] == {'videos': 1, 'frames': 2, 'persons': 2, 'joints': 30}


def test_perfect_predictions_of_persons_without_noses(score) -> None:
    """14 joints at 100 and one nowhere predicted, which counts 0."""
    frames = [[person({k: v for k, v in FULL.items() if k != 'nose'}, scores=0.5)]]
    result = score(frames, frames)
    assert result['per_joint']['nose'] == 0
    assert result['Head'] == pytest.approx(200 / 3, abs=1e-12)
    assert result['Total'] == pytest.approx(1400 / 15, abs=1e-12)
    assert result['mean7'] == pytest.approx((600 + 200 / 3) / 7, abs=1e-12)


def test_perfect_predictions_where_some_persons_lack_joints(score) -> None:
    """A model that predicts all 15 joints of everybody pays for those that are not labeled.

    Of two persons one has no left wrist. Its predicted left wrist ranks first and is wrong, so
    precision is 1/2 where recall becomes 1.
    """
    lacking = {k: v for k, v in FULL.items() if k != 'left_wrist'}
    gt = [[person(lacking), person(shift(FULL, 400))]]
    pred = [[person(FULL, scores=0.9), person(shift(FULL, 400), scores=0.8)]]
    result = score(gt, pred)
    assert result['per_joint']['left_wrist'] == 50
    assert all(ap == 100 for name, ap in result['per_joint'].items() if name != 'left_wrist')
    assert result['Wrist'] == 75


def test_frame_without_labeled_persons_goes_with_its_predictions(score) -> None:
    result = score([[person(FULL)], []], [[person(FULL, scores=0.1)], [person(FULL, scores=0.9)]])
    assert result['Total'] == 100
    assert result['counts']['frames'] == 1


def test_frame_is_dropped_by_its_persons_not_by_its_mark(score, tmp_path) -> None:
    gt = coco([[person(FULL)]])
    gt['images'][0]['is_labeled'] = False
    pred = coco([[person(FULL, scores=1)]])
    write(tmp_path / 'gt.json', gt)
    write(tmp_path / 'pred.json', pred)
    result = evaluate_files(tmp_path / 'gt.json', tmp_path / 'pred.json')
    assert result['counts']['frames'] == 1
    result = evaluate_files(tmp_path / 'gt.json', tmp_path / 'pred.json', dataset='21')
    assert result['counts']['frames'] == 0
    assert result['Total'] == 0


def test_frame_whose_only_person_has_no_points_stays(score) -> None:
    """The second frame lists a person, without points: its predictions are false positives."""
    gt = [[person(FULL)], [person({})]]
    pred = [[person(FULL, scores=0.1)], [person(FULL, scores=0.9)]]
    result = score(gt, pred)
    assert set(result['per_joint'].values()) == {50.0}
    assert result['counts'] == {'videos': 1, 'frames': 2, 'persons': 1, 'joints': 15}


def test_occluded_but_labeled_joint_counts(score) -> None:
    """v = 0 with coordinates is labeled; (0, 0, 0) is not; a labeled (0, 0, 1) is."""
    gt = [[person({'nose': (50, 60, 0), 'head_top': (0, 0, 1), 'left_knee': (0, 0, 0)})]]
    result = score(gt, [[]])
    assert result['counts']['joints'] == 2
    pred = [[person({'nose': (50, 60, 0), 'head_top': (0, 0, 1)}, scores=0.5)]]
    result = score(gt, pred)
    assert result['per_joint']['nose'] == result['per_joint']['head_top'] == 100


def test_third_value_of_a_predicted_point_decides_nothing_else(score) -> None:
    gt = [[person({'nose': (50, 60)})]]
    for v in (0, 0.3, 1, 2, -1):
        result = score(gt, [[person({'nose': (50, 60, v)}, scores=0.5)]])
        assert result['per_joint']['nose'] == 100
    assert score(gt, [[person({'nose': (0, 0, 0.1)}, scores=0.5)]])['precision']['nose'] == 0


def test_posetrack21_joint_needs_positive_coordinates(score) -> None:
    gt = [[person({'nose': (-1, 60), 'head_top': (10, 60), 'left_knee': (10, 0)})]]
    assert score(gt, [[]])['counts']['joints'] == 3
    assert score(gt, [[]], dataset='21')['counts']['joints'] == 1


# ------------------------------------------------------------------------- ignore regions

SQUARE = [(0, 0), (100, 0), (100, 100), (0, 100)]


def test_points_in_an_ignore_region_go_on_both_sides(score) -> None:
    """The nose is inside: neither its label nor its prediction counts. The knee is outside."""
    gt = [[person({'nose': (50, 50), 'left_knee': (150, 50)})]]
    pred = [[person({'nose': (50, 50), 'left_knee': (150, 50)}, scores=0.5)]]
    result = score(gt, pred, regions={0: [SQUARE]})
    assert result['counts']['joints'] == 1
    assert result['per_joint']['nose'] == 0  # nowhere predicted any more
    assert result['per_joint']['left_knee'] == 100


def test_boundary_of_an_ignore_region_is_outside(score) -> None:
    for point in [(0, 50), (100, 100), (50, 0), (50, 100), (0, 0)]:
        gt = [[person({'nose': (*point, 1)})]]
        assert score(gt, [[]], regions={0: [SQUARE]})['counts']['joints'] == 1


def test_frame_emptied_by_ignore_regions_stays(score) -> None:
    """All labels are ignored; a prediction outside the region is then a false positive."""
    gt = [[person({'nose': (50, 50)})], [person({'nose': (150, 50)})]]
    pred = [[person({'nose': (300, 50)}, scores=0.9)], [person({'nose': (150, 50)}, scores=0.1)]]
    result = score(gt, pred, regions={0: [SQUARE]})
    assert result['counts'] == {'videos': 1, 'frames': 2, 'persons': 1, 'joints': 1}
    assert result['per_joint']['nose'] == 50


def test_predicted_person_emptied_by_ignore_regions_is_gone(score) -> None:
    """It would be the first to match; once its points are ignored the other one is paired."""
    gt = [[person({'nose': (101, 50)})]]
    pred = [[person({'nose': (99, 50)}, scores=0.9), person({'nose': (102, 50)}, scores=0.1)]]
    assert score(gt, pred, regions={0: [SQUARE]})['per_joint']['nose'] == 100
    assert score(gt, pred)['per_joint']['nose'] == 100
    assert score(gt, pred)['precision']['nose'] == 50


def test_regions_hold_for_their_frame_only(score) -> None:
    frames = [[person({'nose': (50, 50)}, scores=0.5)]] * 2
    result = score(frames, frames, regions={1: [SQUARE]})
    assert result['counts']['joints'] == 1


def test_polygons_of_one_or_two_points_are_nothing(score) -> None:
    gt = [[person({'nose': (50, 50)})]]
    regions = {0: [[], [(50, 50)], [(0, 0), (100, 100)]]}
    assert score(gt, [[]], regions=regions)['counts']['joints'] == 1


def test_any_of_several_regions(score) -> None:
    gt = [[person({'nose': (50, 50), 'head_top': (250, 50), 'left_hip': (150, 50)})]]
    other = [(x + 200, y) for x, y in SQUARE]
    assert score(gt, [[]], regions={0: [SQUARE, other]})['counts']['joints'] == 1


def test_self_crossing_region_is_even_odd(score) -> None:
    """A pentagram: its points are inside, its center is not."""
    angles = np.pi / 2 + 4 * np.pi / 5 * np.arange(5)
    star = [(200 + 100 * np.cos(a), 200 + 100 * np.sin(a)) for a in angles]
    gt = [[person({'nose': (200, 200), 'head_top': (200, 280)})]]
    assert score(gt, [[]], regions={0: [star]})['counts']['joints'] == 1


# ------------------------------------------------------------------------------ assignment


def test_threshold_is_half_a_head_size(score) -> None:
    """The head box has the diagonal 50, so the head size is 30: 15 pixels match, a bit more not."""
    gt = [[person({'nose': (100, 100)})]]
    for x, expected in [(115, 100), (115.001, 0), (85, 100)]:
        pred = [[person({'nose': (x, 100)}, scores=0.5)]]
        assert score(gt, pred)['per_joint']['nose'] == expected


def test_duplicate_with_the_higher_score_loses(score) -> None:
    """Both predictions keep the person; the closer pose is paired, whatever the scores say."""
    worse = {**FULL, 'left_ankle': (900, 900)}
    pred = [[person(worse, scores=0.9), person(FULL, scores=0.1)]]
    result = score([[person(FULL)]], pred)
    assert set(result['per_joint'].values()) == {50.0}


def test_equal_shares_go_to_the_first_prediction(score) -> None:
    pred = [[person(FULL, scores=0.1), person(FULL, scores=0.9)]]
    assert score([[person(FULL)]], pred)['per_joint']['nose'] == 50
    pred = [[person(FULL, scores=0.9), person(FULL, scores=0.1)]]
    assert score([[person(FULL)]], pred)['per_joint']['nose'] == 100


def test_prediction_keeps_only_its_best_person_and_there_is_no_second_round(score) -> None:
    """Both predictions are best for person A; B is left without one although the second fits it.

    A and B share their head points; the predictions have two of A's three points and one of B's.
    """
    a = person({'nose': (100, 100), 'head_top': (100, 50), 'left_hip': (100, 200)})
    b = person({'nose': (100, 100), 'left_knee': (400, 400)})
    first = person({'nose': (100, 100), 'head_top': (100, 50), 'left_hip': (100, 200)}, scores=0.9)
    second = person({'nose': (100, 100), 'head_top': (100, 50)}, scores=0.8)
    result = score([[a, b]], [[first, second]])
    # noses: first is right (1/1), second is not: recall 1/2 at precision 1, then nothing more
    assert result['per_joint']['nose'] == 50
    assert result['recall']['nose'] == 50
    assert result['precision']['nose'] == 50


def test_ties_between_labeled_persons_go_to_the_first(score) -> None:
    """The prediction fits A and B equally and is given to A; B's own has the smaller share of A."""
    a, b = {'nose': (100, 100), 'left_hip': (0, 50)}, {'nose': (101, 100), 'left_knee': (0, 90)}
    pred = person({'nose': (100, 100), 'left_hip': (0, 50)}, scores=0.5)
    pred_b = person({'nose': (100, 100)}, scores=0.4)
    result = score([[person(a), person(b)]], [[pred, pred_b]])
    # pred is best for A; pred_b has half of each and keeps A, the first, which takes pred
    assert result['recall']['nose'] == 50
    assert result['per_joint']['left_hip'] == 100


def test_predicted_joint_that_the_person_lacks_is_a_false_positive(score) -> None:
    gt = [[person({'nose': (100, 100), 'head_top': (100, 50)}), person(shift(FULL, 400))]]
    pred = [[person(FULL, scores=0.1)] + [person(shift(FULL, 400), scores=0.9)]]
    gt = [[person({k: FULL[k] for k in ('nose', 'head_top')}), person(shift(FULL, 400))]]
    result = score(gt, pred)
    assert result['precision']['nose'] == 100
    assert result['precision']['left_hip'] == 50
    assert result['per_joint']['left_hip'] == 100  # it ranks last


def test_unassigned_prediction_with_a_close_joint_is_wrong(score) -> None:
    """Its nose is on the spot, but another prediction has the person."""
    gt = [[person(FULL)]]
    pred = [[person(FULL, scores=0.1), person({'nose': FULL['nose']}, scores=0.9)]]
    result = score(gt, pred)
    assert result['per_joint']['nose'] == 50
    assert result['per_joint']['left_hip'] == 100


def test_head_box_without_extent_matches_nothing(score) -> None:
    gt = [[person({'nose': (100, 100)}, head=(5, 5, 0, 0))]]
    result = score(gt, [[person({'nose': (100, 100)}, scores=0.5)]])
    assert result['per_joint']['nose'] == 0
    assert result['counts']['joints'] == 1


def test_labels_in_frames_without_predictions_count(score) -> None:
    frames = [[person(FULL)], [person(FULL)], [person(FULL)], [person(FULL)]]
    pred = [[person(FULL, scores=0.5)], [], [], []]
    result = score(frames, pred)
    assert set(result['per_joint'].values()) == {25.0}


def test_assignment_by_hand() -> None:
    """Three predictions, two persons: 0 and 1 keep person 0, which takes 1; 2 has nothing right."""
    pred, gt = np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3)
    pck = np.array([0.5, 0.25, 0.75, 0.7, 0.0, 0.0])
    made = assign_persons(pred, gt, pck)
    assert list(zip(pred[made], gt[made])) == [(1, 0)]
    assert len(assign_persons(pred, gt, 0 * pck)) == 0


# --------------------------------------------------------------------- average precision


def test_area_under_the_curve(score) -> None:
    """Four labels; ranks right, wrong, right, wrong, right: 1/4 + 2/3 / 4 + 3/5 / 4."""
    spots = [(100 * i, 100) for i in range(1, 5)]
    gt = [[person({'nose': spot}) for spot in spots]]
    guesses = [spots[0], (900, 900), spots[1], (900, 800), spots[2]]
    pred = [[person({'nose': spot}, scores=1 - 0.1 * i) for i, spot in enumerate(guesses)]]
    result = score(gt, pred)
    assert result['per_joint']['nose'] == pytest.approx(100 * (1 + 2 / 3 + 3 / 5) / 4, abs=1e-12)
    assert result['precision']['nose'] == pytest.approx(60, abs=1e-12)
    assert result['recall']['nose'] == 75


def test_precision_is_made_non_increasing(score) -> None:
    """wrong, right, right of two: precision 1/2 at recall 1/2 is lifted to the later 2/3."""
    gt = [[person({'nose': (100, 100)}), person({'nose': (200, 100)})]]
    guesses = [(900, 900), (100, 100), (200, 100)]
    pred = [[person({'nose': spot}, scores=1 - 0.1 * i) for i, spot in enumerate(guesses)]]
    assert score(gt, pred)['per_joint']['nose'] == pytest.approx(200 / 3, abs=1e-12)


def test_joint_nowhere_predicted_is_zero_even_if_nowhere_labeled(score) -> None:
    gt = [[person({'nose': (100, 100), 'head_top': (100, 50)})]]
    result = score(gt, [[person({'nose': (100, 100)}, scores=0.5)]])
    assert result['per_joint']['head_top'] == 0  # labeled, not predicted
    assert result['per_joint']['left_hip'] == 0  # neither
    assert result['Total'] == pytest.approx(100 / 15, abs=1e-12)


def test_joint_predicted_but_nowhere_labeled_is_nan(score) -> None:
    joints = {k: v for k, v in FULL.items() if k != 'nose'}
    result = score([[person(joints)]], [[person(FULL, scores=0.5)]])
    assert np.isnan(result['per_joint']['nose'])
    assert np.isnan(result['Head']) and np.isnan(result['mean7'])
    assert np.isnan(result['recall']['nose']) and result['precision']['nose'] == 0
    assert result['Total'] == 100  # of 14 joints
    result = score([[person(joints)]], [[person(FULL, scores=0.5)]], dataset='21')
    assert result['per_joint']['nose'] == 0  # PoseTrack21 divides by at least 1
    assert result['Total'] == pytest.approx(1400 / 15, abs=1e-12)


def test_a_video_alone_follows_the_rules_of_its_release(tmp_path) -> None:
    write(tmp_path / 'gt/a.json', coco([[person({'head_top': (5, 5)})]]))
    write(tmp_path / 'pred/a.json', coco([[person({'nose': (100, 100)}, scores=1)]]))
    videos = [read_videos(tmp_path / side) for side in ('gt', 'pred')]
    nose = ORDER_15.index('nose')
    for release, nothing in (('18', np.isnan), ('21', np.logical_not)):
        scored = select_scored(*videos, rules=RULES[release])
        alone = average_precision_per_video(scored, rules=RULES[release])['a']
        assert nothing(alone.ap[nose])
        assert nothing(average_precision(scored, rules=RULES[release]).ap[nose])


def test_boxes_of_images_of_unknown_size_are_not_cut(tmp_path) -> None:
    write(tmp_path / 'gt/a.json', coco([[person(FULL, bbox=[-20, -10, 50, 60])]]))
    write(tmp_path / 'pred/a.json', coco([[]]))
    scored = select_scored(*(read_videos(tmp_path / side) for side in ('gt', 'pred')))
    assert scored.videos[0].gt_boxes.tolist() == [[-20, -10, 30, 50]]


def test_each_frame_without_an_entry_counts(tmp_path) -> None:
    predicted = coco([[person(FULL, scores=1)], [], []])
    del predicted['images'][1:]
    write(tmp_path / 'gt/a.json', coco([[person(FULL)]] * 3))
    write(tmp_path / 'pred/a.json', predicted)
    videos = [read_videos(tmp_path / side) for side in ('gt', 'pred')]
    assert select_scored(*videos, allow_missing=True).num_missing_frames == 2


@pytest.mark.parametrize('made_up', ['gt', 'pred'])
def test_made_up_image_ids_pair_no_videos(tmp_path, made_up) -> None:
    """PoseTrack17's files have none; ours count from 1,000,000 on, as others may."""
    for side, name, frames in (
        ('gt', 'a', [[person(FULL)]]),
        ('pred', 'z', [[person(FULL, scores=1)]]),
    ):
        if side == made_up:
            write(tmp_path / side / f'{name}.json', annolist(coco(frames, 'a')))
        else:
            file = coco(frames, name, first_id=1_000_000)
            write(tmp_path / side / f'{name}.json', file)
    videos = [read_videos(tmp_path / side) for side in ('gt', 'pred')]
    with pytest.raises(AnnotationError, match='does not have'):
        select_scored(*videos, allow_missing=True)


def test_images_of_another_video_with_another_ending(tmp_path) -> None:
    for name in 'ab':
        write(tmp_path / f'gt/{name}.json', annolist(coco([[person(FULL)]], name)))
    file = write(tmp_path / 'pred/a.json', annolist(coco([[person(FULL, scores=1)]], 'b')))
    file.write_text(file.read_text().replace('.jpg', '.png'))
    videos = [read_videos(tmp_path / side) for side in ('gt', 'pred')]
    with pytest.raises(AnnotationError, match="of video 'b'"):
        select_scored(*videos, allow_missing=True)


def test_missing_scores_rank_last(score) -> None:
    """Where other joints have scores, as -9999 as in poseval; they are counted."""
    gt = [[person({'nose': (100, 100)}), person({'nose': (200, 100)})]]
    pred = [[person({'nose': (900, 100)}), person({'nose': (200, 100)}, scores=-9998)]]
    assert score(gt, pred)['per_joint']['nose'] == 50
    pred = [[person({'nose': (900, 100)}, scores=0.1), person({'nose': (200, 100)})]]
    result = score(gt, pred)
    assert result['per_joint']['nose'] == 25
    assert result['protocol']['joints_without_score'] == 1


@pytest.mark.parametrize('form', ['posetrack18', 'annolist'])
def test_no_score_at_all_is_an_error(tmp_path, form) -> None:
    """As COCO tools write predictions: a score of the person, and v as the score of a joint."""
    gt = coco([[person(FULL), person(shift(FULL, 400))]])
    pred = coco([[person(shift(FULL, 700), score=0.2), person(FULL, score=0.9)]])
    write(tmp_path / 'gt' / 'a.json', gt)
    write(tmp_path / 'pred' / 'a.json', pred if form == 'posetrack18' else annolist(pred))
    with pytest.raises(AnnotationError) as error:
        evaluate_files(tmp_path / 'gt', tmp_path / 'pred', mota=True)
    (sentence,) = error.value.problems
    file = tmp_path / 'pred' / 'a.json'
    assert sentence.startswith(f'{file}: none of the 30 predicted joints of 1 videos has a score')
    write(tmp_path / 'pred' / 'a.json', coco([[]]))  # nothing predicted, nothing to rank
    assert evaluate_files(tmp_path / 'gt', tmp_path / 'pred')['Total'] == 0


def test_a_video_without_scores_among_others_ranks_last(tmp_path) -> None:
    for name, first_id, scores in (('a', 100, None), ('b', 200, 0.5)):
        write(tmp_path / 'gt' / f'{name}.json', coco([[person(FULL)]], name, first_id))
        pred = coco([[person(FULL, scores=scores)]], name, first_id)
        write(tmp_path / 'pred' / f'{name}.json', pred)
    result = evaluate_files(tmp_path / 'gt', tmp_path / 'pred', per_video=True)
    assert result['Total'] == result['per_video']['a']['Total'] == 100
    assert result['protocol']['joints_without_score'] == 15


def test_person_scores_are_not_used(score) -> None:
    gt = [[person(FULL)]]
    pred = [[person(FULL, scores=0.9, score=0.0), person(shift(FULL, 500), scores=0.1, score=1.0)]]
    assert set(score(gt, pred)['per_joint'].values()) == {100.0}


def test_summary_by_hand() -> None:
    values = np.arange(15.0)
    values[ORDER_15.index('left_knee')] = NAN
    summary = summarize_joints(values)
    assert summary['Head'] == (0 + 1 + 2) / 3
    assert (summary['Shoulder'], summary['Elbow'], summary['Wrist']) == (3.5, 5.5, 7.5)
    assert (summary['Hip'], summary['Ankle']) == (9.5, 13.5)
    assert np.isnan(summary['Knee']) and np.isnan(summary['mean7'])
    assert summary['Total'] == (sum(range(15)) - 11) / 14
    assert np.isnan(summarize_joints(np.full(15, NAN))['Total'])


# --------------------------------------------------------------------------- ties and order


def test_stable_ties_keep_video_frame_and_person_order(tmp_path) -> None:
    """Three equal scores: right, wrong, right in the order of video a, then b."""
    near, far = {'nose': (100, 100)}, {'nose': (900, 900)}
    for name, frames in {'a': [[near], [far]], 'b': [[near]]}.items():
        first_id = 100 if name == 'a' else 200
        gt = [[person(near)] for _ in frames]
        pred = [[person(joints, scores=0.5) for joints in frame] for frame in frames]
        write(tmp_path / 'gt' / f'{name}.json', coco(gt, first_id=first_id))
        write(tmp_path / 'pred' / f'{name}.json', coco(pred, first_id=first_id))
    result = evaluate_files(tmp_path / 'gt', tmp_path / 'pred')
    assert result['per_joint']['nose'] == pytest.approx(100 * (1 / 3 + 2 / 3 / 3), abs=1e-12)


def test_both_tie_breaks_agree_on_distinct_scores(tmp_path) -> None:
    gt, pred = random_files(random.Random(1), num_videos=3, distinct=True)
    results = [evaluate(tmp_path, gt, pred, tie_break=t) for t in ('stable', 'poseval')]
    np.testing.assert_allclose(results[0].ap, results[1].ap, rtol=0, atol=1e-12, equal_nan=True)


# ---------------------------------------------------------- against the slow reference


def random_person(rng: random.Random, grid: int, step: float, scores) -> dict:
    joints = {}
    for name in ORDER_15:
        if rng.random() < 0.75:
            spot = (rng.randrange(-1, grid) * step, rng.randrange(-1, grid) * step)
            joints[name] = (*spot, rng.choice([0, 1, 1]))
    head = (
        rng.randrange(50),
        rng.randrange(50) + 0.1,
        rng.randrange(4) * 10,
        rng.randrange(4) * 10,
    )
    return person(joints, head=head, scores=scores() if scores else None)


def near(rng: random.Random, other: dict, scores) -> dict:
    """A prediction of a person: its joints moved a bit, some left out."""
    joints = {}
    for place, name in enumerate(ORDER_17):
        x, y, v = other['keypoints'][3 * place : 3 * place + 3]
        if (x, y, v) != (0, 0, 0) and rng.random() < 0.9:
            joints[name] = (x + rng.choice([0, 0, 3, 9, 15, -12]), y + rng.choice([0, 0, 4, 12]), 1)
    return person(joints, head=None, scores=scores())


def random_files(rng: random.Random, num_videos: int, distinct: bool, step: float = 25) -> tuple:
    """Labels and predictions of videos, rich in ties, missing joints, regions, empty frames."""
    counter = iter(range(10**6))

    def scores() -> dict:
        if distinct:
            # a permutation of distinct numbers, the order of which means nothing
            return {name: (next(counter) * 7919 % 1000003) / 1000003 for name in ORDER_17}
        return {name: rng.randrange(4) / 4 for name in ORDER_17}

    gt_files, pred_files = {}, {}
    for video in range(num_videos):
        gt, pred, regions = [], [], {}
        for frame in range(rng.randrange(1, 4)):
            grid = rng.choice([3, 8])
            gt.append([random_person(rng, grid, step, None) for _ in range(rng.randrange(4))])
            pred.append([near(rng, other, scores) for other in gt[-1] if rng.random() < 0.8])
            pred[-1] += [random_person(rng, grid, step, scores) for _ in range(rng.randrange(3))]
            rng.shuffle(pred[-1])
            if rng.random() < 0.5:
                regions[frame] = [
                    [
                        (rng.randrange(-1, grid) * step, rng.randrange(-1, grid) * step)
                        for _ in range(rng.randrange(1, 7))
                    ]
                    for _ in range(rng.randrange(3))
                ]
        name = f'{video:06d}'
        gt_files[name] = coco(gt, name, 100 * video, regions)
        for image in gt_files[name]['images']:
            image['is_labeled'] = rng.random() < 0.7
        pred_files[name] = coco(pred, name, 100 * video)
    return gt_files, pred_files


def evaluate(folder, gt: dict, pred: dict, *, rules=RULES['18'], **options):
    for kind, files in (('gt', gt), ('pred', pred)):
        for file in (folder / kind).glob('*.json'):
            file.unlink()
        for name, data in files.items():
            write(folder / kind / f'{name}.json', data)
    scored = select_scored(
        read_videos(folder / 'gt'), read_videos(folder / 'pred'), rules=rules, allow_missing=True
    )
    return average_precision(scored, rules=rules, **options)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('files')


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    num_videos=st.integers(1, 3),
    distinct=st.booleans(),
    step=st.sampled_from([1.0, 10.0, 25.0, 0.1]),
    release=st.sampled_from(['18', '21']),
    tie_break=st.sampled_from(['stable', 'poseval']),
)
def test_equals_the_slow_reference(
    folder, seed, num_videos, distinct, step, release, tie_break
) -> None:
    gt, pred = random_files(random.Random(seed), num_videos, distinct, step)
    rules = RULES[release]
    result = evaluate(folder, gt, pred, rules=rules, tie_break=tie_break)
    expected = slow_posetrack.average_precision(
        [(gt[name], pred[name]) for name in sorted(gt)],
        labeled_frames=rules.labeled_frames,
        positive=rules.positive_joints,
        min_num_gt=rules.min_num_gt,
        tie_break=tie_break,
    )
    for j, name in enumerate(ORDER_15):
        found = (result.ap[j], result.precision[j], result.recall[j])
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
def test_per_video_results_are_those_of_the_videos_alone(folder, seed) -> None:
    gt, pred = random_files(random.Random(seed), 3, distinct=False)
    evaluate(folder, gt, pred)
    scored = select_scored(read_videos(folder / 'gt'), read_videos(folder / 'pred'))
    parts = average_precision_per_video(scored)
    assert list(parts) == sorted(gt)
    for name, part in parts.items():
        alone = evaluate(folder, {name: gt[name]}, {name: pred[name]})
        np.testing.assert_array_equal(part.ap, alone.ap)
        assert part.num_persons == alone.num_persons


# ----------------------------------------------------------------------------- invariances


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), constant=st.sampled_from([1.0, -8.0, 1024.0]))
def test_adding_a_constant_to_the_scores_changes_nothing(folder, seed, constant) -> None:
    gt, pred = random_files(random.Random(seed), 2, distinct=False)
    before = evaluate(folder, gt, pred)
    for data in pred.values():
        for annotation in data['annotations']:
            annotation['scores'] = [score + constant for score in annotation['scores']]
    np.testing.assert_array_equal(evaluate(folder, gt, pred).ap, before.ap)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1))
def test_permuting_the_videos_changes_nothing(folder, seed) -> None:
    rng = random.Random(seed)
    gt, pred = random_files(rng, 3, distinct=False)
    before = evaluate(folder, gt, pred)
    labels, predictions = read_videos(folder / 'gt'), read_videos(folder / 'pred')
    rng.shuffle(labels)
    rng.shuffle(predictions)
    after = average_precision(select_scored(labels, predictions))
    np.testing.assert_array_equal(after.ap, before.ap)


@given(seed=st.integers(0, 2**32 - 1), factor=st.sampled_from([2.0, 0.25, 64.0]))
@pytest.mark.slow
def test_scaling_coordinates_and_head_boxes_changes_nothing(folder, seed, factor) -> None:
    """By powers of two, which float64 multiplies exactly."""
    gt, pred = random_files(random.Random(seed), 2, distinct=False)
    before = evaluate(folder, gt, pred)
    for data in (*gt.values(), *pred.values()):
        for annotation in data['annotations']:
            keypoints = annotation['keypoints']
            keypoints[0::3] = [factor * x for x in keypoints[0::3]]
            keypoints[1::3] = [factor * y for y in keypoints[1::3]]
            if 'bbox_head' in annotation:
                annotation['bbox_head'] = [factor * value for value in annotation['bbox_head']]
        for image in data['images']:
            for field in ('ignore_regions_x', 'ignore_regions_y'):
                if field in image:
                    image[field] = [[factor * v for v in values] for values in image[field]]
    np.testing.assert_array_equal(evaluate(folder, gt, pred).ap, before.ap)


@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.slow
def test_labels_as_predictions_give_100_where_labeled(folder, seed) -> None:
    rng = random.Random(seed)
    gt, _ = random_files(rng, 2, distinct=False)
    for data in gt.values():  # far apart and with a head, so that everybody is best for themselves
        for index, annotation in enumerate(data['annotations']):
            annotation['keypoints'][0::3] = [
                x + 10**5 * index if (x, y, v) != (0, 0, 0) else x
                for x, y, v in zip(*[iter(annotation['keypoints'])] * 3)
            ]
            annotation['bbox_head'] = list(HEAD)
            annotation['scores'] = [0.5] * 17
    result = evaluate(folder, gt, gt)
    np.testing.assert_array_equal(result.ap, np.where(result.num_gt > 0, 100.0, 0.0))


# --------------------------------------------------------------------- survivors and errors


def test_odd_track_ids_do_not_matter_to_ap(score) -> None:
    frames = [[person(FULL, scores=1), person(shift(FULL, 400), track_id=10**6, scores=1)]]
    frames += [[person(FULL, track_id=3, scores=1), person(shift(FULL, 400), track_id=3, scores=1)]]
    assert score(frames, frames, mota=True)['Total'] == 100


def test_missing_head_box_names_file_and_annotation(score, tmp_path) -> None:
    gt = [[person(FULL), person(FULL, head=None, id=77)]]
    with pytest.raises(AnnotationError, match='person 1 of .*000000.jpg, annotation id 77, has no'):
        score(gt, gt)
    # one without points, or all in an ignore region, needs none
    score([[person(FULL), person({}, head=None)]], [[]])
    gt = [[person({'nose': (50, 50)}, head=None), person(FULL)]]
    score(gt, [[]], regions={0: [SQUARE]})


def test_unknown_tie_break_is_an_error(tmp_path) -> None:
    with pytest.raises(ValueError, match="tie_break is 'last', expected one of stable, poseval"):
        average_precision(select_scored([], []), tie_break='last')
