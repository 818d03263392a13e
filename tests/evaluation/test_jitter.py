"""Acceleration error: against loops over frames, tracks and joints."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from label_files import ORDER_15, coco, person

from cmpose_mm.evaluation import acceleration_error, evaluate_files, format_result, select_scored
from cmpose_mm.evaluation.report import format_jitter
from cmpose_mm.posetrack.annotations import read_videos

HEAD_SIZE = 30  # of label_files.HEAD


def made_up(rng, noise):
    """Labels and predictions of two tracks; who and what is missing at times."""
    labels, predicted = [], []
    for n in range(9):
        gt, pred = [], []
        for track in (4, 8):
            if (track, n) == (8, 5):
                continue
            joints = {
                name: (60 + 1000 * (track == 8) + 2.0 * n * n + 9 * k, 50 + 11 * k)
                for k, name in enumerate(ORDER_15)
            }
            if (track, n) == (4, 2):
                del joints['nose']
            gt.append(person(joints, track_id=track))
            moved = {
                name: tuple(np.array(xy) + rng.uniform(-noise, noise, 2))
                for name, xy in joints.items()
            }
            if (track, n) == (8, 1):
                del moved['left_knee']
            if (track, n) != (4, 6):
                pred.append(person(moved, scores=0.5))
        order = rng.permutation(len(pred))
        labels.append(gt)
        predicted.append([pred[i] for i in order])
    return labels, predicted


def slow_jitter(labels, predicted):
    """Predictions belong to the labeled person on their side of the image."""

    def position(frame, track, name):
        for annotation in frame:
            x, y, v = np.array(annotation['keypoints']).reshape(-1, 3)[NAMES.index(name)]
            if v and (x > 700) == (track == 8):
                return x, y
        return None

    sums, count, total = [0.0, 0.0, 0.0], 0, 0
    for n in range(len(labels)):
        for track in (4, 8):
            for name in ORDER_15:
                total += position(labels[n], track, name) is not None
                points = [
                    position(frames[m], track, name) if 0 <= m < len(labels) else None
                    for frames in (predicted, labels)
                    for m in (n - 1, n, n + 1)
                ]
                if None in points:
                    continue
                accelerations = [
                    [(p[0][d] - 2 * p[1][d] + p[2][d]) / HEAD_SIZE for d in (0, 1)]
                    for p in (points[:3], points[3:])
                ]
                difference = [a - b for a, b in zip(*accelerations)]
                for i, vector in enumerate((difference, *accelerations)):
                    sums[i] += math.hypot(*vector)
                count += 1
    return [value / count for value in sums], count, total - count


NAMES = coco([[]])['categories'][0]['keypoints']


@pytest.mark.parametrize('noise', [0, 6])
def test_equals_loops(noise, tmp_path):
    labels, predicted = made_up(np.random.default_rng(noise), noise)
    for name, frames in (('gt', labels), ('pred', predicted)):
        (tmp_path / f'{name}.json').write_text(json.dumps(coco(frames)))
    videos = [read_videos(tmp_path / f'{name}.json') for name in ('gt', 'pred')]
    found = acceleration_error(select_scored(*videos))
    means, count, left_out = slow_jitter(labels, predicted)
    assert [found.error, found.predicted, found.labeled] == pytest.approx(means, abs=1e-12)
    assert (found.num_joints, found.num_left_out) == (count, left_out)
    assert found.labeled == pytest.approx(4 / HEAD_SIZE)
    assert (found.error == pytest.approx(0, abs=1e-12)) == (noise == 0)
    # Every second frame is 4 times as far, with twice the distance.
    far = acceleration_error(select_scored(*videos), stride=2)
    assert far.labeled == pytest.approx(16 / HEAD_SIZE) and far.num_joints < found.num_joints
    assert 'head sizes per (2 frames)^2 (' in format_jitter(asdict(far))
    assert 'head sizes per frame^2 (' in format_jitter(asdict(found))

    result = evaluate_files(tmp_path / 'gt.json', tmp_path / 'pred.json', jitter=True)
    assert result['jitter']['error'] == found.error
    assert f'Acceleration error: {found.error:.4f} head sizes' in format_result(result)


def test_unlabeled_joints_do_not_count_and_the_middle_frame_gives_the_head_size(tmp_path):
    """Heads of 30, 60 and 90 pixels; the predicted knee is labeled nowhere."""
    labels, predicted = [], []
    for n, x in enumerate((10.0, 20.0, 42.0)):
        head = (0, 0, 30 * (n + 1), 40 * (n + 1))
        labels.append([person({'nose': (x, 5)}, head=head, track_id=1)])
        both = {'nose': (10.0 * n, 5), 'left_knee': (7.0 * n * n, 9)}
        predicted.append([person(both, head=head, scores=0.5)])
    for name, frames in (('gt', labels), ('pred', predicted)):
        (tmp_path / f'{name}.json').write_text(json.dumps(coco(frames)))
    found = acceleration_error(
        select_scored(*(read_videos(tmp_path / f'{name}.json') for name in ('gt', 'pred')))
    )
    assert (found.num_joints, found.num_left_out) == (1, 2)
    assert found.labeled == found.error == pytest.approx(12 / 60) and found.predicted == 0


def test_without_tracks_and_with_a_wrong_stride(tmp_path):
    frames = [[person({'nose': (5, 5)}, scores=1.0)] for _ in range(3)]
    (tmp_path / 'a.json').write_text(json.dumps(coco(frames)))
    videos = read_videos(tmp_path / 'a.json')
    found = acceleration_error(select_scored(videos, videos))
    assert math.isnan(found.error) and found.num_joints == 0
    with pytest.raises(ValueError, match='stride is 0'):
        acceleration_error(select_scored(videos, videos), stride=0)
