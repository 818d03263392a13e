"""Clips [label before, frame, label after]: what is given, and what is hidden."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from posetrack_samples import person, write_coco_video

from cmpose_mm.datasets import PoseTrackVideoDataset
from cmpose_mm.posetrack.joints import JOINT_NAMES

K = 3


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture
def root(tmp_path):
    """Thirteen frames, labels at 0, 3, 6, 12; in frame 6 a second person."""
    people = {0: [person(0)], 3: [person(3)], 6: [person(6), person(60)], 12: [person(12)]}
    write_coco_video(tmp_path, 'train', '000001_a', [people.get(n, []) for n in range(13)])
    return tmp_path


def dataset(root, **more) -> PoseTrackVideoDataset:
    settings = {'label_every': K, 'pipeline': [], **more}
    made = PoseTrackVideoDataset(
        ann_file=str(root / 'annotations/train'), data_prefix=dict(img=str(root)), **settings
    )
    if not settings.get('test_mode'):
        made.set_epoch(0, 0)
    return made


def numbers(sample) -> list[int]:
    return [int(path[-10:-4]) for path in sample['frame_paths']]


def test_labels_of_the_neighbors_are_given_and_the_own_is_not(root):
    """Without chance: in a test."""
    first, second, third, alone, last = dataset(root, test_mode=True)
    assert numbers(second) == [0, 3, 6] and second['frame_offsets'].tolist() == [-3, 0, 3]
    assert second['frame_valid'].all() and second['key_index'] == 1
    for place, seed in ((0, 0), (2, 6)):
        assert np.allclose(second['neighbor_keypoints'][place], person(seed)[:, :2])
        assert second['neighbor_visible'][place].all()
    assert not second['neighbor_visible'][1].any() and not second['neighbor_keypoints'][1].any()
    # one side is missing: the frame itself stands in
    assert numbers(first) == [0, 0, 3] and first['frame_valid'].tolist() == [False, True, True]
    assert first['frame_offsets'].tolist() == [-3, 0, 3]
    assert not first['neighbor_visible'][0].any() and first['neighbor_visible'][2].all()
    assert numbers(third) == [3, 6, 6]  # 12 is too far
    # nobody of this track is labeled nearby: frames next to it
    assert numbers(alone) == [5, 6, 7] and not alone['neighbor_visible'].any()
    assert numbers(last) == [11, 12, 12] and last['frame_valid'].tolist() == [True, True, False]


def test_occluded_labels_of_the_neighbors_are_given(tmp_path):
    """The third number is 0 for them; only joints that are 0 in all three are not labeled."""
    hidden = person(0)
    hidden[4, 2] = 0
    write_coco_video(tmp_path, 'train', '000001_a', [[hidden], [person(1)], [person(2)]])
    sample = dataset(tmp_path, test_mode=True)[1]
    assert sample['neighbor_visible'][0].all()


def test_of_several_labels_nearby_the_furthest_is_given(root):
    """k = 3, labels at 0, 1, 2, 3 and 5."""
    people = {n: [person(n)] for n in (0, 1, 2, 3, 5)}
    write_coco_video(root, 'train', '000002_b', [people.get(n, []) for n in range(6)])
    samples = [s for s in dataset(root, test_mode=True) if '000002_b' in s['frame_paths'][1]]
    assert [numbers(sample) for sample in samples] == [
        [0, 0, 3], [0, 1, 3], [0, 2, 5], [0, 3, 5], [2, 5, 5],
    ]  # fmt: skip


def test_half_of_the_samples_get_labels_and_the_other_half_frames_between(root):
    made = dataset(root)
    given, shown, dropped = Counter(), Counter(), []
    for epoch in range(200):
        made.set_epoch(epoch, 0)
        sample = made[1]
        labels = sample['neighbor_visible'].any()
        given[bool(labels)] += 1
        shown[tuple(numbers(sample))] += 1
        assert not sample['neighbor_visible'][1].any()
        if labels:
            assert numbers(sample) == [0, 3, 6]
            dropped.append(1 - sample['neighbor_visible'][[0, 2]].mean())
        else:
            before, key, after = sample['frame_offsets']
            assert -K < before < 0 == key < after < K
    assert 70 < given[True] < 130
    assert set(shown) == {(0, 3, 6), *((3 - a, 3, 3 + b) for a in (1, 2) for b in (1, 2))}
    assert np.mean(dropped) == pytest.approx(0.2, abs=0.03)


def test_samples_depend_on_seed_epoch_and_index_alone(root):
    a, b = dataset(root), dataset(root)
    for epoch in (0, 1):
        for each in (a, b):
            each.set_epoch(epoch, 5)
        for index in (4, 0, 1):
            one, other = a[index], b[index]
            assert one['frame_paths'] == other['frame_paths']
            assert np.array_equal(one['neighbor_visible'], other['neighbor_visible'])


def test_the_pipeline_moves_the_labels_into_the_crop(root):
    made = dataset(root, test_mode=True)
    made.pipeline.transforms = PoseTrackVideoDataset(
        ann_file=str(root / 'annotations/train'), data_prefix=dict(img=str(root)),
        pipeline=[
            dict(type='LoadClip'),
            dict(type='GetBBoxCenterScale', padding=1.25),
            dict(type='ClipTopdownAffine', input_size=(48, 64), use_udp=True),
            dict(type='PackClipInputs'),
        ],
    ).pipeline.transforms  # fmt: skip
    poses = made[1]['data_samples'].metainfo['neighbor_poses']
    assert poses.shape == (3, len(JOINT_NAMES), 3)
    assert poses[[0, 2], :, 2].all() and not poses[1].any()
    assert (poses[[0, 2], :, 0] < 48).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(label_every=1), 'label_every must be at least 2, got 1'),
        (dict(label_dropout=1.0), r'label_dropout must be in \[0, 1\), got 1.0'),
        (dict(num_frames=5), 'num_frames is 5, expected 3 with label_every'),
        (dict(causal=True), 'expected no causal, random_neighbors, stride or bbox_file beside it'),
        (
            dict(label_every=2),
            'label_every is 2, but no person .* in the 2 frames before',
        ),
        (dict(stride=2), 'expected no causal, random_neighbors, stride or bbox_file beside it'),
    ],
)
def test_wrong_arguments(root, change, message):
    with pytest.raises(ValueError, match=message):
        dataset(root, **change)


def test_a_person_without_joints_is_no_label(tmp_path):
    """Frames 1 and 5 have the box alone: the labels in 2 and 4 are given."""
    people = [[person(n)] for n in range(7)]
    write_coco_video(tmp_path, 'train', '000001_a', people)
    file = tmp_path / 'annotations' / 'train' / '000001_a.json'
    content = json.loads(file.read_text())
    for n in (1, 5):
        content['annotations'][n]['keypoints'] = [0] * 51
    file.write_text(json.dumps(content))
    sample = next(
        s for s in dataset(tmp_path, test_mode=True, label_every=2) if s['img_path'][-5] == '3'
    )
    assert numbers(sample) == [2, 3, 4] and sample['frame_offsets'].tolist() == [-1, 0, 1]
    assert sample['neighbor_visible'].any(axis=1).tolist() == [True, False, True]
