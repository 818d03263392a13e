"""Scores of propagated poses, by both protocols."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from label_files import HEAD, coco, person, write
from posetrack_samples import write_image
from run_tools import run_tool
from walks import SHAPE, annolist_file, keep, walk, walker

from cmpose_mm.evaluation import average_precision, select_scored
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.propagation import (
    Copy,
    Linear,
    propagate_labels,
    run_schedule,
    score_hidden,
    score_posewarper,
)
from cmpose_mm.propagation.scoring import longest_run

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_propagation.py'


@pytest.fixture
def videos_of(tmp_path):
    def read(*files: dict):
        for number, data in enumerate(files):
            write(tmp_path / 'gt' / f'{number}.json', data)
        return read_videos(tmp_path / 'gt')

    return read


# ---- PoseWarper's schedule ---------------------------------------------------------------------


def slow_schedule(length: int) -> list[tuple[int, int]]:
    """The rule step by step."""
    if length <= 3:
        labeled = {0: [], 1: [0], 2: [0], 3: [1]}[length]
    else:
        labeled, fourth = [], 4
        while fourth <= length:  # counted from 1
            labeled.append(fourth - 1)
            fourth += 7
        if (length - 1) - labeled[-1] > 3:
            labeled.append(length - 1)
    pairs = []
    for frame in range(length):
        best = None
        for candidate in labeled:
            if best is None or abs(candidate - frame) < abs(best - frame):
                best = candidate
        pairs.append((frame, best))
    return pairs


@pytest.mark.parametrize('length', range(1, 41))
def test_schedule(length):
    found = run_schedule(length)
    assert found == slow_schedule(length)
    assert [frame for frame, _ in found] == list(range(length))
    assert all(abs(frame - source) <= 3 for frame, source in found)


def test_schedule_of_thirty_frames():
    assert sorted({source for _, source in run_schedule(30)}) == [3, 10, 17, 24, 29]
    assert dict(run_schedule(30))[27] == 29 and dict(run_schedule(30))[26] == 24


@pytest.mark.parametrize(
    ('labels', 'expected'),
    [([0, 1, 3, 4, 5, 8], (3, 6)), ([0, 1, 4, 5], (0, 2)), ([], (0, 0)), ([7, 8, 9], (7, 10))],
)
def test_longest_run(videos_of, labels, expected):
    (video,) = videos_of(keep(walk(10), labels))
    run = longest_run(video)
    assert (run.start, run.stop) == expected


def test_posewarper_scores_the_run_against_the_nearest_label(videos_of):
    """By hand: who stands is right everywhere; who jumps after every 5 frames is not."""
    still = [walker(0, track=0) for _ in range(12)]
    jumps = [walker(200 + 100 * (number // 5), track=1) for number in range(12)]
    frames = [[a, b] for a, b in zip(still, jumps)]
    videos = videos_of(coco([*frames, [], [walker(0)]]))
    scores = score_posewarper(videos, Copy())
    # labels at 3 and 10, so frames 0-6 from 3 (two jumped), 7-11 from 10 (three had not yet)
    wrong = 2 + 3
    assert scores.result['counts']['persons'] == 24
    assert scores.result['recall']['nose'] == pytest.approx(100 * (24 - wrong) / 24)
    assert (scores.plan.labeled_frames, scores.plan.unlabeled_frames) == (2, 10)
    (video,) = videos
    run = replace(video, frames=video.frames[:12])
    slow = [
        replace(
            frame,
            keypoints=video.frames[source].keypoints,
            scores=np.full((2, 15), 0.9 ** abs(place - source)),
        )
        for (place, source), frame in zip(slow_schedule(12), run.frames)
    ]
    expected = average_precision(select_scored([run], [replace(run, frames=slow)]))
    assert scores.result['Total'] == pytest.approx(expected.summary()['Total'], abs=1e-9)


def test_posewarper_needs_no_track_ids_and_includes_the_labeled_frames(videos_of):
    scores = score_posewarper(videos_of(walk(9, speed=0, track=None)), Copy())
    assert scores.result['counts']['frames'] == 9 and scores.result['Total'] == 100


def test_the_neck_between_the_shoulders(videos_of):
    videos = videos_of(walk(5, speed=0))
    assert score_posewarper(videos, Copy()).result['per_joint']['head_bottom'] == 100
    moved = score_posewarper(videos, Copy(), neck='shoulders').result['per_joint']
    # the shoulders' middle is 9 pixels from head_bottom, less than half a head (15)
    left, right, neck = (
        videos[0].frames[0].keypoints[0, JOINT_NAMES.index(name), :2]
        for name in ('left_shoulder', 'right_shoulder', 'head_bottom')
    )
    close = np.linalg.norm((left + right) / 2 - neck) <= 15
    assert moved['head_bottom'] == (100 if close else 0)
    assert moved['left_shoulder'] == 100


def test_no_neck_without_both_shoulders(videos_of):
    videos = videos_of(walk(2, speed=0, joints=[n for n in SHAPE if n != 'left_shoulder']))
    without = score_posewarper(videos, Copy(), neck='shoulders').result['per_joint']
    assert without['head_bottom'] == 0 and without['right_shoulder'] == 100


# ---- hidden labels -----------------------------------------------------------------------------


@pytest.mark.parametrize('propagator', [Copy(), Linear()])
def test_a_static_video_scores_100(videos_of, propagator):
    videos = videos_of(walk(11, speed=0), walk(5, speed=0, name='two'))
    for scores in (score_hidden(videos, propagator, 4), score_posewarper(videos, propagator)):
        assert scores.result['Total'] == 100 and scores.result['PCK@0.05'] == 100


def test_constant_speed_is_no_problem_for_linear(videos_of):
    videos = videos_of(walk(13, speed=20))
    assert score_hidden(videos, Linear(), 4).result['Total'] == 100
    copied = score_hidden(videos, Copy(), 4)
    # 20 pixels a frame are more than half a head (15) at once
    assert copied.result['Total'] == 0 and copied.ap_by_distance == {1: 0, 2: 0}


def test_uneven_labels_leave_no_frame_unasked(videos_of):
    """PoseTrack labels every 4th frame and 30 in a row in the middle."""
    labeled = [0, 4, 8, *range(10, 40), 43, 47, 51]
    scores = score_hidden(videos_of(keep(walk(52), labeled)), Linear(), 4)
    assert scores.plan.frames_in_gaps == 0
    assert scores.result['Total'] == 100


def test_nobody_can_be_followed(videos_of):
    data = walk(9)
    for each in data['annotations']:
        del each['track_id']
    with pytest.raises(
        AnnotationError, match=r'nobody can be followed .* \(3 persons without a tr'
    ):
        score_hidden(videos_of(data), Linear(), 4)


def test_only_hidden_frames_count(videos_of):
    videos = videos_of(keep(walk(14, speed=4), range(10)))
    scores = score_hidden(videos, Copy(), 4)
    assert scores.result['counts']['frames'] == 7  # 10 labeled, of which 0, 4, 8 are kept
    assert scores.persons == (7, 0)
    distances = scores.breakdowns['distance']
    # frames 1, 3, 5, 7, 9 are one frame away, 2 and 6 two
    assert distances.joints == {'1': 5 * 15, '2': 2 * 15}
    # PCK@0.1 of a box of 60: closer than 6 pixels; 4 are, 8 are not
    assert distances.found == {'1': 5 * 15, '2': 0}
    assert scores.ap_by_distance == {1: 100, 2: 100}  # half a head: 15 pixels


def test_breakdown_by_displacement_and_visibility(videos_of):
    """Head size 30: joints move by 9, 18 and 36 pixels, 0.3, 0.6 and 1.2 head sizes."""
    frames = [[walker(0)], [walker(9)], [walker(18)], [walker(36)], [walker(54)]]
    hidden = frames[1][0]['keypoints']
    hidden[2] = 0  # the nose is occluded in frame 1
    scores = score_hidden(videos_of(coco(frames)), Linear(), 4)
    moved = scores.breakdowns['displacement']
    assert {k: v for k, v in moved.joints.items() if v} == {'0.25 to 0.5': 15, '0.5 to 1': 30}
    seen = scores.breakdowns['visibility']
    assert seen.joints == {'visible': 44, 'occluded': 1}
    # linear is at 13.5, 27 and 40.5: off by 4.5, 9 and 4.5, of which 4.5 is below 6
    assert moved.found == {**dict.fromkeys(moved.joints, 0), '0.25 to 0.5': 15, '0.5 to 1': 15}
    assert seen.found == {'visible': 29, 'occluded': 1}
    joints = scores.breakdowns['joint']
    assert set(joints.found.values()) == {2} and set(joints.joints.values()) == {3}


def test_classes_of_displacement(videos_of):
    """Head size 30, and the nearest label at 0: 0.2, 0.4, 0.9, 1.9, 2.1 and 3.5 head sizes."""
    frames = [[walker(30 * moved)] for moved in (0, 0.2, 0.4, 0.9, 1.9, 2.1, 3.5)]
    nearest_first = [*frames, *([[]] * 7)]
    moved = score_hidden(videos_of(coco(nearest_first)), Copy(), 99).breakdowns['displacement']
    assert moved.joints == {
        'below 0.25': 15, '0.25 to 0.5': 15, '0.5 to 1': 15, '1 to 2': 15, '2 or more': 30,
        'not in the nearest label': 0,
    }  # fmt: skip


def test_joints_that_the_label_lacks_and_persons_who_enter(videos_of):
    no_nose = [name for name in JOINT_NAMES if name != 'nose']
    frames = [
        [walker(0, joints=no_nose)],
        [walker(0), walker(200, track=1)],
        [walker(0), walker(200, track=1)],
    ]
    scores = score_hidden(videos_of(coco(frames)), Copy(), 2)
    # of track 1, which enters, the joints have no label, either
    assert scores.breakdowns['displacement'].joints['not in the nearest label'] == 1 + 15
    assert scores.persons == (2, 1) and scores.plan.entering_or_leaving == 1
    # of track 0 all but the nose are found
    assert sum(scores.breakdowns['joint'].found.values()) == 14


def test_what_can_not_be_scored(videos_of, tmp_path):
    with pytest.raises(AnnotationError, match='no labeled frame of the 1 videos is hidden'):
        score_hidden(videos_of(keep(walk(9), [0, 4, 8])), Copy(), 4)
    empty = keep(walk(9), [0, 4, 8])
    for image in empty['images']:
        image['is_labeled'] = True
    with pytest.raises(AnnotationError, match='nobody is labeled in the hidden frames of the 1 v'):
        score_hidden(videos_of(empty), Copy(), 4)
    twice = walk(9)
    twice['images'][3]['file_name'] = twice['images'][2]['file_name']
    with pytest.raises(AnnotationError, match='are both of .*; expected one entry for an image'):
        score_hidden(videos_of(twice), Copy(), 4)
    with pytest.raises(AnnotationError, match='are both of .*; expected one entry for an image'):
        score_posewarper(videos_of(twice), Copy())
    write(tmp_path / 'sparse.json', keep(walk(9), [0, 4, 8]))
    propagate_labels(tmp_path / 'sparse.json', tmp_path / 'dense.json', Copy())
    dense = read_videos(tmp_path / 'dense.json')
    for score in (lambda: score_hidden(dense, Copy(), 4), lambda: score_posewarper(dense, Copy())):
        with pytest.raises(AnnotationError, match='6 of 9 persons of video .* are pseudo-labels'):
            score()


def test_pck_is_that_of_the_evaluation(videos_of, tmp_path):
    """The same poses, written to a file and scored as predictions are, give the same."""
    rng = np.random.default_rng(3)
    frames = [[walker(*rng.uniform(0, 12, 2), track=t) for t in range(2)] for _ in range(9)]
    videos = videos_of(coco(frames))
    scores = score_hidden(videos, Linear(), 4)
    write(tmp_path / 'sparse.json', keep(coco(frames), [0, 4, 8]))
    propagate_labels(tmp_path / 'sparse.json', tmp_path / 'dense.json', Linear())
    (dense,) = read_videos(tmp_path / 'dense.json')
    hidden = [place for place in range(9) if place % 4]
    truth = replace(videos[0], frames=[videos[0].frames[p] for p in hidden])
    found = replace(dense, name=truth.name, frames=[dense.frames[p] for p in hidden])
    expected = average_precision(select_scored([truth], [found])).summary()
    # files have scores of four digits: equal up to ties
    assert scores.result['Total'] == pytest.approx(expected['Total'], abs=1e-9)
    pooled = scores.breakdowns['joint']
    total = 100 * sum(pooled.found.values()) / sum(pooled.joints.values())
    assert scores.result['PCK@0.1'] == pytest.approx(total)


def pck_by_loops(truth: dict, found: dict, threshold: float) -> float:
    """From the files alone: share of joints nearer than ``threshold`` times the larger box side."""
    hits = joints = 0
    for label in truth['annotations']:
        for other in found['annotations']:
            if (other['image_id'], other['track_id']) != (label['image_id'], label['track_id']):
                continue
            if not other.get('pseudo'):
                continue
            for place in range(17):
                x, y, v = label['keypoints'][3 * place : 3 * place + 3]
                if v == 0:
                    continue
                px, py, pv = other['keypoints'][3 * place : 3 * place + 3]
                near = ((px - x) ** 2 + (py - y) ** 2) ** 0.5 < threshold * max(label['bbox'][2:])
                hits += pv > 0 and near
                joints += 1
    return 100 * hits / joints


def test_pck_by_loops_over_the_files(tmp_path):
    rng = np.random.default_rng(5)
    # Far apart, so that nobody is taken for another.
    places = rng.uniform(0, 12, (9, 2, 2)) + [[0, 0], [200, 0]]
    truth = coco([[walker(*xy, track=t) for t, xy in enumerate(pair)] for pair in places])
    write(tmp_path / 'gt.json', truth)
    write(tmp_path / 'sparse.json', keep(truth, [0, 4, 8]))
    propagate_labels(tmp_path / 'sparse.json', tmp_path / 'dense.json', Linear())
    found = json.loads((tmp_path / 'dense.json').read_text())
    scores = score_hidden(read_videos(tmp_path / 'gt.json'), Linear(), 4).result
    for threshold in (0.05, 0.1, 0.2):
        expected = pck_by_loops(truth, found, threshold)
        assert scores[f'PCK@{threshold}'] == pytest.approx(expected, abs=1e-9)
    assert 20 < pck_by_loops(truth, found, 0.1) < 90


def test_joints_that_nobody_labels_are_left_out(videos_of):
    no_nose = [name for name in JOINT_NAMES if name != 'nose']
    videos = videos_of(walk(9, speed=0, joints=no_nose))
    for scores in (score_hidden(videos, Copy(), 4), score_posewarper(videos, Copy())):
        assert np.isnan(scores.result['per_joint']['nose']) and np.isnan(scores.result['Head'])
        assert scores.result['Total'] == 100


# ---- the tool ----------------------------------------------------------------------------------


def test_the_tool_prints_and_writes_all_tables(tmp_path):
    annolist_file(tmp_path / 'gt' / 'a.json', walk(9, speed=4))
    out = tmp_path / 'result.json'
    done = run_tool(TOOL, tmp_path / 'gt', '--every', 4, '--out', out)
    assert done.returncode == 0, done.stderr
    for title in ('by frames to the nearest label', 'by displacement', 'by visibility', 'by joint'):
        assert title in done.stdout
    assert 'Scored: 1 videos, 6 frames, 6 persons, 90 joints.' in done.stdout
    # annolists have no boxes: head sizes measure
    assert 'PCKh@0.5 by joint' in done.stdout and ' PCKh@0.2 |' in done.stdout
    content = json.loads(out.read_text())
    assert list(content['scores']) == ['copy', 'linear']
    assert content['scores']['linear']['Total'] == 100
    by_distance = content['scores']['copy']['by']['distance']
    # 4 pixels a frame, half a head is 15
    assert by_distance['joints'] == {'1': 60, '2': 30} and by_distance['found'] == {
        '1': 60,
        '2': 30,
    }
    assert content['settings']['every'] == 4
    done = run_tool(TOOL, tmp_path / 'gt', '--protocol', 'posewarper')
    assert done.returncode == 0 and 'Scored: 1 videos, 9 frames' in done.stdout


def test_the_tool_says_what_is_wrong_in_a_sentence(tmp_path):
    write(tmp_path / 'gt' / 'a.json', walk(9))
    for arguments, expected in (
        (['--propagator', 'warp'], "Propagator 'warp' warps the nearest label"),
        (['--protocol', 'posewarper', '--every', '9'], '--every: is of --protocol hidden'),
        (['--videos', 'b'], "Video 'b' is not among the 1 of the labels"),
        (['--every', 1], '--every 1: expected at least 2'),
        (['--protocol', 'posewarper', '--propagator', 'linear'], 'needs two labels'),
        (['--protocol', 'posewarper', '--images', '.'], '--images: protocol posewarper scores all'),
        (['--neck', 'shoulders'], '--neck shoulders: is of --protocol posewarper'),
        (['--config', 'x.py'], "Propagator 'copy' has no model"),
        (['--out', tmp_path / 'no' / 'x.json'], 'there is no folder'),
        (['--out', tmp_path], 'is a folder, expected a file'),
    ):
        done = run_tool(TOOL, tmp_path / 'gt', *arguments)
        assert done.returncode in (1, 2)
        assert expected in done.stderr.splitlines()[-1]


def test_the_tool_says_who_has_no_pose_and_who_is_left_out(tmp_path):
    data = walk(5)
    for annotation in data['annotations'][1::2]:
        del annotation['bbox']
    write(tmp_path / 'gt' / 'a.json', data)
    for number in (0, 1, 3, 4):
        write_image(tmp_path / f'images/val/000001_test/{number:06d}.jpg')
    done = run_tool(TOOL, tmp_path / 'gt', '--images', tmp_path)
    assert done.returncode == 0, done.stderr
    assert '2 of the persons have no box: only AP counts them.' in done.stdout
    assert '1 frames are not on disk: their persons have no pose.' in done.stdout
    assert 'Persons without a pose: copy: 1; linear: 1' in done.stdout


def test_copy_and_linear_on_a_real_video(real_data, tmp_path):
    labels = real_data / 'posetrack_clip' / 'annotations' / 'train'
    done = run_tool(TOOL, labels, '--every', 4, '--out', tmp_path / 'r.json')
    assert done.returncode == 0, done.stderr
    copied, linear = json.loads((tmp_path / 'r.json').read_text())['scores'].values()
    assert copied['counts'] == linear['counts']
    assert (copied['counts']['frames'], copied['counts']['persons']) == (22, 88)
    assert 40 < copied['PCK@0.05'] < linear['PCK@0.05'] < 100


def test_a_neck_that_is_none(videos_of):
    with pytest.raises(ValueError, match="neck is 'x', expected one of predicted, shoulders"):
        score_posewarper(videos_of(walk(9)), Copy(), neck='x')


@pytest.mark.parametrize('place', ['gt.json', 'gt/0.json', 'gt/new.json'])
def test_the_result_replaces_no_labels(tmp_path, place) -> None:
    for name in ('gt.json', 'gt/0.json'):
        write(tmp_path / name, coco([[person({'nose': (5, 5)}, head=HEAD)]]))
    gt = tmp_path / ('gt' if '/' in place else 'gt.json')
    done = run_tool(TOOL, gt, '--out', tmp_path / place)
    assert done.returncode == 2
    assert 'is where the labels are, expected another place' in done.stderr
    assert len(read_videos(gt)) == 1


def test_who_does_not_move_is_in_the_first_class(videos_of):
    """Half a head size is in the class that begins with it."""
    moved = score_hidden(videos_of(coco([[walker(0)]] * 3)), Copy(), 2).breakdowns['displacement']
    assert {k: v for k, v in moved.joints.items() if v} == {'below 0.25': 15}
    frames = [[walker(0)], [walker(15)], []]
    moved = score_hidden(videos_of(coco(frames)), Copy(), 9).breakdowns['displacement']
    assert {k: v for k, v in moved.joints.items() if v} == {'0.5 to 1': 15}


@pytest.mark.parametrize('others', [[walker(200, track=None)],
                                    [walker(100, track=1), walker(200, track=1)]])  # fmt: skip
def test_who_has_no_track_of_its_own_in_the_label_has_no_displacement(videos_of, others):
    frames = [[walker(0), *others], [walker(0), others[0]], [walker(0), others[0]]]
    moved = score_hidden(videos_of(coco(frames)), Copy(), 2).breakdowns['displacement']
    found = {k: v for k, v in moved.joints.items() if v}
    assert found == {'below 0.25': 15, 'not in the nearest label': 15}
