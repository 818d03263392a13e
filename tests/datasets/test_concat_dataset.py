"""Releases of PoseTrack in one dataset."""

from __future__ import annotations

import json

import pytest
from mmengine.dataset import BaseDataset
from mmengine.dataset import ConcatDataset as MMEngineConcatDataset
from mmengine.registry import DATASETS, DefaultScope
from posetrack_samples import person, write_annolist_video, write_coco_video

from cmpose_mm.datasets import ConcatDataset, GroupedFrameSampler
from cmpose_mm.posetrack.annotations import read_videos


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture
def parts(tmp_path):
    """Configs of a PoseTrack17, a PoseTrack18 and a PoseTrack21 dataset."""
    write_annolist_video(tmp_path / '17', 'train', '000342_mpii', [[person(0)], [], [person(1)]])
    for release in ('18', '21'):
        write_coco_video(tmp_path / release, 'train', '000001_a', [[person(0), person(1)]])
    return [
        dict(
            type='PoseTrackVideoDataset',
            dataset_name=f'posetrack{release}',
            data_root=str(tmp_path / release),
            ann_file='annotations/train',
            pipeline=[],
        )
        for release in ('17', '18', '21')
    ]


@pytest.mark.slow
def test_releases_of_posetrack_can_be_mixed(parts):
    data = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    assert isinstance(data, MMEngineConcatDataset)
    assert [data[index]['video'] for index in range(6)] == ['000342_mpii'] * 2 + ['000001_a'] * 4
    assert data.metainfo['dataset_name'] == 'posetrack17'
    order = GroupedFrameSampler(data, seed=0, batch_size=2, num_workers=0)
    assert sorted(order) == list(range(6))


@pytest.mark.slow
def test_wrapped_and_lazy_parts(parts):
    wrapped = [dict(type='RepeatDataset', dataset=part, times=2) for part in parts]
    data = DATASETS.build(dict(type='ConcatDataset', datasets=wrapped, lazy_init=True))
    assert not data._fully_initialized
    data.full_init()
    assert len(data) == 12


@pytest.mark.slow
def test_one_release_is_as_before(parts):
    data = ConcatDataset([parts[1], parts[1]])
    assert len(data) == 4 and data.metainfo['dataset_name'] == 'posetrack18'


def other_dataset(**metainfo):
    return BaseDataset(metainfo=metainfo, lazy_init=True)


def test_other_datasets_still_need_one_name():
    datasets = [other_dataset(dataset_name='coco'), other_dataset(dataset_name='crowdpose')]
    with pytest.raises(ValueError, match='are called coco, crowdpose, expected one dataset_name'):
        ConcatDataset(datasets, lazy_init=True)
    for ignore_keys in ('dataset_name', ['dataset_name']):
        ConcatDataset(datasets, lazy_init=True, ignore_keys=ignore_keys)


@pytest.mark.slow
def test_joints_must_still_be_the_same(parts):
    joints = {0: dict(name='nose', id=0, color=[0, 0, 0], type='upper', swap='')}
    parts[1]['metainfo'] = dict(
        dataset_name='posetrack18',
        keypoint_info=joints,
        skeleton_info={},
        joint_weights=[1.0],
        sigmas=[0.1],
    )
    with pytest.raises(ValueError, match='meta information of the 2-th dataset does not match'):
        ConcatDataset(parts[:2], lazy_init=True)


def test_videos_without_boxes_are_those_of_all_parts(tmp_path):
    parts = []
    for release, detected in (('18', 0), ('21', 1), ('22', 2)):
        for name in ('000001_a', '000002_b'):
            write_coco_video(tmp_path / release, 'val', name, [[person(0)]])
        write_boxes(tmp_path / release, detected)
        parts.append(config_of(tmp_path / release, 'boxes.json' if detected else None))
    data = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    assert [len(part) for part in data.datasets] == [2, 1, 2]
    (image,) = data.metainfo['images_of_boxless_videos']
    assert image == images_of(tmp_path / '21')[1]


def config_of(root, bbox_file) -> dict:
    """The config of a dataset for tests."""
    return dict(
        type='PoseTrackVideoDataset',
        data_root=str(root),
        ann_file='annotations/val',
        bbox_file=bbox_file,
        test_mode=True,
        pipeline=[],
    )


def write_boxes(root, count=None) -> None:
    """A detection in each of the first images."""
    boxes = [
        dict(image_id=image, category_id=1, bbox=[1, 1, 9, 9], score=1)
        for image in images_of(root)[:count]
    ]
    (root / 'boxes.json').write_text(json.dumps(boxes))


def images_of(root) -> list[int]:
    videos = read_videos(root / 'annotations' / 'val')
    return [frame.image_id for video in videos for frame in video.frames]


@pytest.mark.parametrize('kind', ['detections', 'annolist'])
def test_parts_without_ids_do_not_share_numbers(tmp_path, kind):
    parts = []
    for part in ('a', 'b'):
        write = write_annolist_video if kind == 'annolist' else write_coco_video
        write(tmp_path / part, 'val', f'00000{len(parts)}_{part}', [[person(0)], [person(1)]])
        write_boxes(tmp_path / part)
        parts.append(config_of(tmp_path / part, 'boxes.json' if kind == 'detections' else None))
    data = DATASETS.build(dict(type='ConcatDataset', datasets=parts))
    assert len({data[index]['id'] for index in range(4)}) == len(data) == 4
    alone = DATASETS.build(parts[1])
    assert [alone[index]['id'] for index in range(2)] == [0, 1]


def test_mixtures_of_mixtures_do_not_share_numbers(parts):
    """PoseTrack17 has no ids."""
    inner = dict(type='ConcatDataset', datasets=[parts[0]])
    wrapped = dict(type='RepeatDataset', dataset=parts[0], times=1)
    data = DATASETS.build(dict(type='ConcatDataset', datasets=[inner, wrapped, inner]))
    assert len({data[index]['id'] for index in range(len(data))}) == len(data) == 6
