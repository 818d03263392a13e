"""Statistics of labels: by hand, and against loops over the JSON."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import slow_posetrack
from label_files import coco, person, write
from test_visibility import random_video, slow_counts

from cmpose_mm.evaluation.label_statistics import label_statistics
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES


def test_by_hand(tmp_path) -> None:
    """The head size is 30 pixels; the nose moves by 15 and 30, and by more over a gap."""
    spots = [(100, 100, 1), (115, 100, 0), (115, 130, 0), (400, 400, 1)]
    frames = [[person({'nose': spot, 'left_hip': (50, 50)}, track_id=4)] for spot in spots]
    frames[1].append(person({'nose': (700, 700)}, track_id=5))
    data = coco([*frames, []])
    data['images'][3]['file_name'] = 'images/val/000001_test/000009.jpg'
    data['images'][4]['file_name'] = 'images/val/000001_test/000010.jpg'
    write(tmp_path / 'gt' / 'a.json', data)
    result = label_statistics(read_videos(tmp_path / 'gt'))
    assert (result.videos, result.frames, result.persons, result.joints) == (1, 4, 5, 9)
    assert result.persons_per_frame == 5 / 4
    assert result.occluded == pytest.approx(100 * 2 / 9, abs=1e-12)
    assert result.recoverable == 50
    assert result.displacement == pytest.approx((50 + 100 + 0 + 0) / 4, abs=1e-12)
    assert result.displacement_p90 == pytest.approx(np.quantile([50, 100, 0, 0], 0.9), abs=1e-12)
    assert label_statistics(read_videos(tmp_path / 'gt'), reach=7).recoverable == 100


def test_nothing_to_count_is_nan(tmp_path) -> None:
    write(tmp_path / 'gt' / 'a.json', coco([[]]))
    result = label_statistics(read_videos(tmp_path / 'gt'))
    assert (result.persons, result.joints) == (0, 0)
    assert all(map(math.isnan, (result.persons_per_frame, result.occluded, result.displacement)))


def test_equals_loops(tmp_path) -> None:
    rng = random.Random(11)
    files = [random_video(rng, f'{video:06d}', 100 * video)[0] for video in range(60)]
    for video, data in enumerate(files):
        write(tmp_path / 'gt' / f'{video:06d}.json', data)
    result = label_statistics(read_videos(tmp_path / 'gt'), reach=2, stride=2)

    counts = slow_counts([(data, data) for data in files], 2, 2, False, False)
    total = {
        c: sum(counts[c, name][1] for name in JOINT_NAMES)
        for c in ('visible', 'occluded', 'recoverable')
    }
    assert result.joints == total['visible'] + total['occluded']
    assert result.occluded == pytest.approx(100 * total['occluded'] / result.joints)
    assert result.recoverable == pytest.approx(100 * total['recoverable'] / total['occluded'])

    moves = []
    for data in files:
        number = {i['id']: int(i['file_name'][-10:-4]) for i in data['images']}
        places = {}
        for labeled, _ in slow_posetrack.clean_frames(data, data, False, False):
            tracks = [p['annotation'].get('track_id', -1) for p in labeled]
            for p, track in zip(labeled, tracks):
                if track >= 0 and tracks.count(track) == 1:
                    places[number[p['annotation']['image_id']], track] = p
        for (frame, track), p in places.items():
            after = places.get((frame + 1, track))
            for name in p['points'] if after else ():
                if slow_posetrack.distance(after, p, name) < math.inf:
                    moves.append(100 * slow_posetrack.distance(after, p, name))
    assert len(moves) > 30
    assert result.displacement == pytest.approx(np.mean(moves))
    assert result.displacement_p90 == pytest.approx(np.quantile(moves, 0.9))
