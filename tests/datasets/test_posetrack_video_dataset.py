"""The video dataset: samples, clips, detections, determinism over workers, bad input."""

from __future__ import annotations

import json
import logging
import os
import pickle
import random
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate, worker_init_fn
from mmengine.registry import DefaultScope, init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, METRICS, TRANSFORMS
from PIL import Image
from posetrack_samples import (
    HEIGHT,
    WIDTH,
    person,
    save_json,
    write_annolist_video,
    write_coco_video,
    write_image,
    write_mat_video,
)
from torch.utils.data import DataLoader

from cmpose_mm.datasets import PoseTrackVideoDataset, posetrack_metainfo
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES

init_default_scope('mmpose')

CODEC = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
VAL_PIPELINE = [
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
    dict(type='PackClipInputs'),
]
TRAIN_PIPELINE = [
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='RandomFlip'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', scale_factor=(0.65, 1.35), rotate_factor=45),
    dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
    dict(type='ClipColorTransform', transform=dict(type='PhotometricDistortion')),
    dict(type='GenerateTarget', encoder=CODEC),
    dict(type='PackClipInputs'),
]


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture
def root(tmp_path):
    """Two videos of five frames; the second, fourth and fifth of the first are labeled."""
    first = [[], [person(0), person(1)], [], [person(2)], [person(3)]]
    write_coco_video(tmp_path, 'train', '000001_a', first)
    write_coco_video(tmp_path, 'train', '000002_b', [[person(4)]] * 5, with_boxes=False)
    return tmp_path


def dataset(root, split='train', pipeline=(), **kwargs):
    kwargs.setdefault('ann_file', f'annotations/{split}')
    return PoseTrackVideoDataset(data_root=str(root), pipeline=list(pipeline), **kwargs)


def names(sample):
    return [os.path.basename(path) for path in sample['frame_paths']]


def rewrite(root, change, split='train', name='000001_a'):
    """Lets `change` edit a label file's content."""
    path = root / 'annotations' / split / f'{name}.json'
    content = json.loads(path.read_text())
    change(content)
    save_json(path, content)


# ---- metainfo ----------------------------------------------------------------------------------


def test_metainfo_is_mmposes_posetrack18_without_ears(tmp_path, monkeypatch):
    """Names, sides, weights, sigmas and limbs against the config that MMPose ships."""
    monkeypatch.chdir(tmp_path)  # MMPose looks for the file in the current folder first
    ours = parse_pose_metainfo(posetrack_metainfo('posetrack18'))
    theirs = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))
    names_of = theirs['keypoint_id2name']
    kept = [i for i in range(17) if not names_of[i].endswith('_ear')]
    assert [ours['keypoint_id2name'][i] for i in range(15)] == [names_of[i] for i in kept]
    for key in ('sigmas', 'dataset_keypoint_weights', 'keypoint_colors'):
        np.testing.assert_array_equal(ours[key], theirs[key][kept])
    for key in ('upper_body_ids', 'lower_body_ids'):
        got = [ours['keypoint_id2name'][i] for i in ours[key]]
        assert got == [names_of[i] for i in theirs[key] if i in kept]
    assert [ours['keypoint_id2name'][i] for i in ours['flip_indices']] == [
        names_of[theirs['flip_indices'][i]] for i in kept
    ]
    links = [tuple(ours['keypoint_id2name'][i] for i in link) for link in ours['skeleton_links']]
    assert links == [tuple(names_of[i] for i in link) for link in theirs['skeleton_links']]
    trunk = [links.index((f'{side}_shoulder', f'{side}_hip')) for side in ('left', 'right')]
    limbs = np.delete(np.arange(len(links)), trunk)  # the trunk's edges have their side's color
    colors, expected = (meta['skeleton_link_colors'][limbs] for meta in (ours, theirs))
    np.testing.assert_array_equal(colors, expected)


@pytest.mark.parametrize('name', ['posetrack17', 'posetrack18', 'posetrack21'])
def test_the_dataset_carries_its_name(root, name):
    assert dataset(root, dataset_name=name).metainfo['dataset_name'] == name


def test_mmposes_inferencer_finds_its_person_detector():
    """It takes what follows ``datasets.`` in the class's module for the kind of object."""
    module = DATASETS.get('PoseTrackVideoDataset').__module__
    assert module.split('datasets.')[-1].split('.')[0] == 'body'


# ---- samples -----------------------------------------------------------------------------------


def test_a_sample_for_each_person_in_each_labeled_frame(root):
    data = dataset(root)
    assert len(data) == 4 + 5
    videos = read_videos(root / 'annotations/train')
    expected = [
        (video.name, frame, p)
        for video in videos
        for frame in video.frames
        if frame.is_labeled
        for p in range(len(frame.keypoints))
    ]
    for index, (video, frame, p) in enumerate(expected):
        sample = data[index]
        assert sample['video'] == video
        assert sample['img_id'] == frame.image_id
        assert sample['id'] == frame.ids[p]
        assert sample['track_id'] == frame.track_ids[p]
        assert sample['frame_number'] == frame.number
        assert sample['img_path'] == os.path.join(str(root), frame.file_name)
        assert sample['box_source'] == 'ground_truth'
        assert sample['bbox_score'].tolist() == [1]
        np.testing.assert_allclose(sample['keypoints'][0], frame.keypoints[p, :, :2], rtol=1e-6)
        assert sample['keypoints'].shape == (1, 15, 2)


def test_a_labeled_frame_that_is_not_marked_as_labeled_is_no_key_frame(root):
    rewrite(root, lambda content: content['images'][3].update(is_labeled=False))
    data = dataset(root)
    assert len(data) == 3 + 5
    assert {data[i]['frame_number'] for i in range(3)} == {1, 4}


def test_boxes_are_cut_to_the_image_and_absent_ones_follow_the_joints(root):
    def change(content):
        content['annotations'][0]['bbox'] = [-10, -10, 30, 200]

    rewrite(root, change)
    data = dataset(root)
    assert data[0]['bbox'].tolist() == [[0, 0, 20, HEIGHT - 1]]
    assert data[1]['bbox'].tolist() == [[8, 4, 48, 40]]
    joints = data[4]['keypoints'][0]
    low, high = joints.min(0), joints.max(0)
    extent = np.concatenate([low - 0.15 * (high - low), high + 0.15 * (high - low)])
    expected = np.clip(extent, 0, [WIDTH - 1, HEIGHT - 1] * 2)
    np.testing.assert_allclose(data[4]['bbox'][0], expected, rtol=1e-5)


def test_occluded_joints_are_labeled_and_absent_ones_are_not(tmp_path):
    keypoints = person(0, left_wrist=(20, 30, 0), right_wrist=(0, 0, 0), nose=(0, 0, 1))
    write_coco_video(tmp_path, 'train', 'v', [[keypoints]])
    visible = dataset(tmp_path)[0]['keypoints_visible']
    expected = np.ones((1, 15))
    expected[0, JOINT_NAMES.index('right_wrist')] = 0
    np.testing.assert_array_equal(visible, expected)


@pytest.mark.parametrize('write_video', [write_annolist_video, write_mat_video])
def test_posetrack17_annolist(tmp_path, write_video):
    for name in ('02276_mpii', '02277_mpii'):
        write_video(tmp_path, 'train', name, [[person(0), person(1)], [], [person(2)]])
    data = dataset(tmp_path, dataset_name='posetrack17')
    assert len(data) == 6
    assert [data[i]['id'] for i in range(6)] == list(range(6))  # it has no ids of its own
    assert len({data[i]['img_id'] for i in range(6)}) == 4
    videos = read_videos(tmp_path / 'annotations/train')
    assert data[2]['img_id'] == videos[0].frames[2].image_id
    assert names(data[2]) == ['00000002.jpg', '00000003.jpg', '00000003.jpg']
    np.testing.assert_allclose(data[2]['keypoints'][0], person(2)[:, :2])


@pytest.mark.slow
def test_merged_file(root, tmp_path):
    contents = [
        json.loads((root / f'annotations/train/{n}.json').read_text())
        for n in ('000001_a', '000002_b')
    ]
    merged = dict(contents[0])
    for key in ('images', 'annotations'):
        merged[key] = contents[0][key] + contents[1][key]
    save_json(root / 'annotations/merged_train.json', merged)
    folder, file = dataset(root), dataset(root, ann_file='annotations/merged_train.json')
    assert len(folder) == len(file)
    for a, b in zip(folder, file):
        assert a['img_id'] == b['img_id'] and a['video'] == b['video']
        assert a['frame_paths'] == b['frame_paths']
        np.testing.assert_array_equal(a['keypoints'], b['keypoints'])


@pytest.mark.slow
def test_sample_interval_and_indices(root):
    ids = [frame['img_id'] for frame in dataset(root)]
    every_second = [i for i in ids if i % 2 == 0]
    assert [s['img_id'] for s in dataset(root, sample_interval=2)] == every_second
    assert len(dataset(root, indices=3)) == 3


@pytest.mark.slow
def test_mmposes_image_id_order_and_boxes(real_data, tmp_path, monkeypatch):
    """Against MMPose's own PoseTrack18 dataset on its own sample file."""
    folder = (real_data / 'posetrack18_mini').absolute()
    monkeypatch.chdir(tmp_path)
    theirs = DATASETS.build(
        dict(
            type='PoseTrack18Dataset',
            ann_file='annotations/test_posetrack18_val.json',
            data_root=str(folder),
            test_mode=True,
        )
    )
    ours = dataset(folder, ann_file='annotations/test_posetrack18_val.json', test_mode=True)
    per_video = dataset(folder, ann_file='annotations/val', test_mode=True)
    by_id = {theirs[i]['id']: theirs[i] for i in range(len(theirs))}
    assert len(ours) == len(per_video) == len(theirs) == 14
    kept = [i for i in range(17) if i not in (3, 4)]
    for data in (ours, per_video):
        for sample in data:
            other = by_id[sample['id']]
            assert sample['img_id'] == other['img_id']
            assert sample['img_path'] == other['img_path']
            np.testing.assert_array_equal(sample['bbox'], other['bbox'])
            np.testing.assert_array_equal(sample['keypoints'], other['keypoints'][:, kept])
            np.testing.assert_array_equal(
                sample['keypoints_visible'], other['keypoints_visible'][:, kept]
            )


# ---- clips -------------------------------------------------------------------------------------


def test_neighbors_are_labeled_or_not_and_ends_repeat(root):
    data = dataset(root)
    assert names(data[0]) == ['000000.jpg', '000001.jpg', '000002.jpg']
    assert data[0]['frame_valid'].tolist() == [True, True, True]
    assert names(data[3]) == ['000003.jpg', '000004.jpg', '000004.jpg']
    assert data[3]['frame_valid'].tolist() == [True, True, False]
    assert data[3]['key_index'] == 1


@pytest.mark.parametrize(
    'kwargs, expected, key_index',
    [
        (dict(num_frames=1), [2], 0),
        (dict(num_frames=5), [0, 1, 2, 3, 4], 2),
        (dict(num_frames=3, stride=2), [0, 2, 4], 1),
        (dict(num_frames=3, causal=True), [0, 1, 2], 2),
        (dict(num_frames=2, causal=True, stride=2), [0, 2], 1),
        (dict(num_frames=4), [0, 1, 2, 3], 2),
    ],
)
def test_clip_shapes(root, kwargs, expected, key_index):
    sample = dataset(root, **kwargs)[6]  # video b, frame 2
    assert names(sample) == [f'{i:06d}.jpg' for i in expected]
    assert sample['key_index'] == key_index
    assert sample['frame_paths'][key_index] == sample['img_path']


def test_the_loaded_clip_is_the_named_frames_and_the_key_frame_is_the_labeled_one(root):
    pipeline = [dict(type='LoadClip')]
    for sample in dataset(root, num_frames=5, pipeline=pipeline):
        assert len(sample['img']) == 5
        key = int(os.path.basename(sample['img_path'])[:6])
        means = [frame.mean() for frame in sample['img']]
        expected = [20 + 5 * np.clip(key + o, 0, 4) for o in (-2, -1, 0, 1, 2)]
        np.testing.assert_allclose(means, expected, atol=1.5)  # noise and JPEG


def test_neighbors_on_disk_count_not_those_in_the_label_file(tmp_path):
    write_coco_video(tmp_path, 'train', 'v', [[person()]])
    write_image(tmp_path / 'images/train/v/000007.jpg')
    assert names(dataset(tmp_path)[0]) == ['000000.jpg', '000000.jpg', '000007.jpg']


def test_random_neighbors_change_with_the_epoch_and_stay_in_their_span(root):
    data = dataset(root, num_frames=3, stride=2, random_neighbors=True)
    seen = set()
    for epoch in range(40):
        data.set_epoch(epoch, seed=0)
        sample = data[6]
        seen.add(tuple(names(sample)))
        assert names(data[6]) == names(sample)
        assert sample['frame_paths'][1] == sample['img_path']
    assert seen == {
        (f'00000{a}.jpg', '000002.jpg', f'00000{b}.jpg') for a in (0, 1) for b in (3, 4)
    }


def test_the_old_spelling_of_random_neighbors(root):
    with pytest.warns(FutureWarning, match='random_neighbours is called random_neighbors now'):
        data = dataset(root, random_neighbours=True)
    assert data.random_neighbors


# ---- detections --------------------------------------------------------------------------------


def write_boxes(root, content):
    save_json(root / 'annotations/boxes.json', content)
    return dict(bbox_file='annotations/boxes.json', test_mode=True)


def detections_for(root):
    """Boxes for labeled and unlabeled frames, in COCO form."""
    videos = read_videos(root / 'annotations/train')
    return [
        dict(image_id=f.image_id, category_id=1, bbox=[5 + i, 6, 20, 30], score=0.1 + 0.2 * i)
        for video in videos
        for f in video.frames
        for i in range(2)
    ]


def test_detections_of_labeled_frames_become_samples(root):
    records = detections_for(root)
    data = dataset(root, pipeline=VAL_PIPELINE, **write_boxes(root, records))
    labeled = [f for v in read_videos(root / 'annotations/train') for f in v.frames if f.is_labeled]
    assert len(labeled) == 8 and len(data) == 16
    for index, sample in enumerate(data):
        meta = sample['data_samples'].metainfo
        assert meta['id'] == index
        assert meta['img_id'] == labeled[index // 2].image_id
        assert meta['track_id'] == -1
        assert meta['box_source'] == 'boxes.json'
        i = index % 2
        np.testing.assert_allclose(meta['bbox'], [[5 + i, 6, 25 + i, 36]])
        np.testing.assert_allclose(meta['bbox_score'], [0.1 + 0.2 * i], rtol=1e-6)
        assert meta['frame_paths'][1] == meta['img_path']


@pytest.mark.slow
def test_detections_in_the_three_formats_are_the_same_samples(root):
    records = detections_for(root)
    videos = read_videos(root / 'annotations/train')
    place = {f.image_id: (v.name, i, f) for v in videos for i, f in enumerate(v.frames)}
    named, by_video = [], {}
    for record in records:
        video, position, frame = place[record['image_id']]
        named.append(dict(record, image_id=-1, image_name=frame.file_name, nframes=5))
        x, y, w, h = record['bbox']
        rows = by_video.setdefault(video, {}).setdefault(str(position + 1), [])
        rows.append([x, y, x + w, y + h, record['score']])
    all_samples = []
    for content in (records, named, by_video):
        data = dataset(root, **write_boxes(root, content))
        all_samples.append(list(data))
    for samples in all_samples[1:]:
        assert len(samples) == len(all_samples[0])
        for a, b in zip(samples, all_samples[0]):
            assert (a['img_id'], a['id']) == (b['img_id'], b['id'])
            np.testing.assert_array_equal(a['bbox'], b['bbox'])
            np.testing.assert_array_equal(a['bbox_score'], b['bbox_score'])


def test_detections_below_the_score_threshold_are_dropped_and_logged(root, caplog):
    kwargs = write_boxes(root, detections_for(root))
    with logs(caplog):
        data = dataset(root, filter_cfg=dict(bbox_score_thr=0.2), **kwargs)
    assert len(data) == 8
    assert '8 of 16 samples dropped by filter_cfg' in caplog.text


@pytest.mark.parametrize('left_out', [['annotations'], ['annotations', 'is_labeled'], []])
def test_predictions_for_test_videos(tmp_path, left_out):
    """Their labels are kept back, so all frames with detected boxes are predicted and written."""
    write_coco_video(tmp_path, 'test', '000009_t', [[]] * 4)
    path = tmp_path / 'annotations/test/000009_t.json'
    content = json.loads(path.read_text())
    if 'annotations' in left_out:
        del content['annotations']
    for image in content['images']:
        assert image['is_labeled'] is False
        if 'is_labeled' in left_out:
            del image['is_labeled']
    save_json(path, content)
    ids = [image['id'] for image in content['images']]
    boxes = [dict(image_id=i, category_id=1, bbox=[5, 6, 20, 30], score=0.9) for i in ids[:3]]
    data = dataset(tmp_path, 'test', VAL_PIPELINE, **write_boxes(tmp_path, boxes))
    assert [sample['data_samples'].img_id for sample in data] == ids[:3]

    out = tmp_path / 'out'
    metric = METRICS.build(
        dict(
            type='PoseTrackMetric',
            ann_file=str(tmp_path / 'annotations/test'),
            format_only=True,
            outfile_prefix=str(out / 'test'),
        )
    )
    metric.dataset_meta = data.metainfo
    for sample in data:
        item = sample['data_samples'].to_dict()
        item['pred_instances'] = dict(
            keypoints=np.full((1, 15, 2), 7.5), keypoint_scores=np.full((1, 15), 0.5)
        )
        metric.process({}, [item])
    metric.evaluate(size=len(data))
    (video,) = read_videos(out)
    assert [(f.image_id, len(f.keypoints)) for f in video.frames] == list(zip(ids, [1, 1, 1, 0]))
    assert (video.frames[2].keypoints[0] == (7.5, 7.5, 1)).all()


def test_a_file_without_annotations_is_an_error_where_labels_are_needed(root):
    rewrite(root, lambda content: content.pop('annotations'))
    with pytest.raises(AnnotationError, match='000001_a.json: expected "annotations" to be a list'):
        dataset(root)


def test_videos_of_which_some_frames_are_labeled_give_those_alone(root):
    """Also where another video of the set has no labeled frame."""

    def unlabel(content):
        content['annotations'] = []
        for image in content['images']:
            image['is_labeled'] = False

    rewrite(root, unlabel, name='000002_b')
    data = dataset(root, **write_boxes(root, detections_for(root)))
    assert [(s['video'], s['frame_number']) for s in list(data)[::2]] == [
        *(('000001_a', number) for number in (1, 3, 4)),
        *(('000002_b', number) for number in range(5)),
    ]


def test_real_detections(real_data):
    folder = real_data / 'posetrack18_mini'
    data = dataset(
        folder,
        ann_file='annotations/val',
        bbox_file='annotations/test_posetrack18_human_detections.json',
        test_mode=True,
        pipeline=VAL_PIPELINE,
    )
    assert len(data) == 278
    sample = data[0]
    assert sample['inputs'].shape == (3, 3, 64, 48)
    assert sample['data_samples'].frame_valid.tolist() == [False, True, False]


# ---- determinism -------------------------------------------------------------------------------


def fingerprints(data, num_workers, epochs=(0, 1), reverse=False, persistent=True):
    """All samples of some epochs through a data loader: {(epoch, id): (pixels, seed, joints)}."""
    order = list(reversed(range(len(data)))) if reverse else list(range(len(data)))
    loader = DataLoader(
        data,
        batch_size=2,
        sampler=order,
        num_workers=num_workers,
        persistent_workers=persistent and num_workers > 0,
        collate_fn=pseudo_collate,
        worker_init_fn=lambda i: worker_init_fn(i, num_workers=num_workers, rank=0, seed=7),
    )
    found = {}
    for epoch in epochs:
        data.set_epoch(epoch, seed=11)
        for batch in loader:
            for inputs, sample in zip(batch['inputs'], batch['data_samples']):
                key = (epoch, sample.metainfo['id'])
                found[key] = (
                    inputs.numpy().tobytes(),
                    sample.metainfo['clip_seed'],
                    tuple(sample.metainfo['frame_paths']),
                    sample.gt_fields.heatmaps.numpy().tobytes(),
                )
    return found


@pytest.fixture
def train_data(root):
    return dataset(root, stride=2, random_neighbors=True, pipeline=TRAIN_PIPELINE)


@pytest.mark.slow
def test_samples_do_not_depend_on_workers_order_or_earlier_draws(train_data):
    alone = fingerprints(train_data, 0)
    np.random.rand(17)
    random.random()
    assert fingerprints(train_data, 1) == alone
    assert fingerprints(train_data, 2, reverse=True) == alone
    assert fingerprints(train_data, 2, persistent=False) == alone
    assert fingerprints(train_data, 0, epochs=(1, 0), reverse=True) == alone


def test_epochs_and_seeds_and_indices_differ(train_data):
    found = fingerprints(train_data, 1, epochs=(0, 1, 2))
    pixels = {value[0] for value in found.values()}
    seeds = {value[1] for value in found.values()}
    assert len(pixels) == len(seeds) == len(found) == 3 * 9
    train_data.set_epoch(0, seed=12)
    assert train_data[0]['data_samples'].clip_seed not in seeds
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_new_epoch_reaches_persistent_workers(train_data):
    """If it did not, the second epoch would repeat the first."""
    found = fingerprints(train_data, 2, epochs=(0, 1))
    for (epoch, sample_id), value in found.items():
        if epoch == 1:
            assert value != found[0, sample_id]


def test_transforms_may_draw_from_python_and_numpy(root):
    def draw(results):
        return random.random(), np.random.rand()

    data = dataset(root, pipeline=[draw])
    draws = {}
    for epoch in (0, 1, 0):
        data.set_epoch(epoch, seed=3)
        for index in range(len(data)):
            draws.setdefault((epoch, index), set()).add(data[index])
    assert all(len(values) == 1 for values in draws.values())  # the same whenever asked
    python, numpy = zip(*(next(iter(values)) for values in draws.values()))
    assert len(set(python)) == len(set(numpy)) == len(draws) == 18  # and all different
    assert not set(python) & set(numpy)


@pytest.mark.slow
def test_the_first_epoch_reaches_workers_that_run_already(train_data):
    loader = DataLoader(train_data, num_workers=1, persistent_workers=True, collate_fn=list)
    list(loader)
    train_data.set_epoch(0, seed=11)
    for index, (sample,) in enumerate(loader):
        assert (sample['inputs'] == train_data[index]['inputs']).all()


@pytest.mark.parametrize('kind', ['subset', 'pickle'])
@pytest.mark.slow
def test_copies_of_the_dataset_keep_up_too(train_data, kind):
    if kind == 'subset':
        data = train_data.get_subset(list(range(len(train_data))))
    else:
        data = pickle.loads(pickle.dumps(train_data))
    expected = fingerprints(train_data, 0)
    assert fingerprints(data, 1) == expected


def test_the_process_own_random_state_is_untouched(train_data):
    train_data.set_epoch(3, seed=5)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    train_data[0]
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_the_random_state_is_given_back_after_an_error_too(root):
    data = dataset(root, pipeline=[dict(type='LoadClip')])
    data.set_epoch(0, 0)
    os.remove(data[0]['img_path'])
    np.random.seed(1)
    expected = np.random.rand()
    np.random.seed(1)
    with pytest.raises(OSError):
        data[0]
    assert np.random.rand() == expected


def test_without_set_epoch_training_draws_from_the_process_and_testing_is_fixed(root):
    data = dataset(root, pipeline=TRAIN_PIPELINE)
    np.random.seed(0)
    first, second = data[0]['inputs'], data[0]['inputs']
    assert (first != second).any()
    np.random.seed(0)
    assert (data[0]['inputs'] == first).all()
    test_data = dataset(root, pipeline=VAL_PIPELINE, test_mode=True)
    assert test_data[0]['data_samples'].clip_seed == test_data[0]['data_samples'].clip_seed
    assert test_data[0]['data_samples'].clip_seed != test_data[1]['data_samples'].clip_seed


def test_negative_indices_are_the_same_samples(train_data):
    train_data.set_epoch(0, 0)
    a, b = train_data[-1], train_data[len(train_data) - 1]
    assert (a['inputs'] == b['inputs']).all()
    assert a['data_samples'].clip_seed == b['data_samples'].clip_seed


def test_any_seed_and_only_real_epochs(train_data):
    train_data.set_epoch(0, seed=-5)
    train_data.set_epoch(10**6, seed=2**63 - 1)
    train_data[0]
    with pytest.raises(ValueError, match='epoch must be >= 0'):
        train_data.set_epoch(-1, 0)


# ---- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(dataset_name='posetrack19'), 'dataset_name must be one of'),
        (dict(data_mode='bottomup'), 'data_mode must be "topdown"'),
        (dict(random_neighbors=True, test_mode=True), 'random_neighbors is for training'),
        (dict(num_frames=0), 'num_frames >= 1'),
        (dict(stride=0), 'stride >= 1'),
        (dict(bbox_file='x.json'), '"bbox_file" is only'),
    ],
)
def test_wrong_arguments(root, kwargs, message):
    with pytest.raises(ValueError, match=message):
        dataset(root, **kwargs)


# ---- bad input ---------------------------------------------------------------------------------


class logs:
    """MMEngine's logger through pytest's caplog."""

    def __init__(self, caplog):
        self.caplog = caplog

    def __enter__(self):
        from mmengine.logging import MMLogger

        self.logger = MMLogger.get_current_instance()
        self.logger.addHandler(self.caplog.handler)
        self.caplog.set_level(logging.INFO)

    def __exit__(self, *_):
        self.logger.removeHandler(self.caplog.handler)


def set_first(key, value):
    return lambda content: content['annotations'][0].update({key: value})


DROPS = {
    'a box of zero or negative size': set_first('bbox', [5, 5, 0, 10]),
    'a box of zero or negative size ': set_first('bbox', [5, 5, 10, -3]),
    'a box outside the image': set_first('bbox', [WIDTH + 5, 5, 10, 10]),
    'a box outside the image ': set_first('bbox', [-50, 5, 10, 10]),
    'no labeled joint': set_first('keypoints', [0] * 51),
    '"bbox" is': set_first('bbox', [5, 5, 10]),
    '"keypoints" is': set_first('keypoints', [1] * 45),
}


@pytest.mark.parametrize('reason', DROPS)
def test_persons_that_can_not_be_used_are_counted_and_logged_once(root, caplog, reason):
    rewrite(root, DROPS[reason])
    with logs(caplog):
        data = dataset(root)
    assert len(data) == 8
    records = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(records) == 1
    assert reason.strip() in records[0]
    assert '1 persons with' in records[0] or '1 annotations can not be read' in records[0]
    assert '000001_a.json' in records[0]  # the file


def test_the_summary_counts_what_was_found(root, caplog):
    with logs(caplog):
        dataset(root)
    (record,) = caplog.records
    assert '2 videos, 10 frames, 8 key frames, 9 samples with boxes from ground truth' in (
        record.getMessage()
    )


@pytest.mark.parametrize('numbered', ['by file', 'by frame', 'all the same'])
def test_annotation_ids_may_repeat(root, caplog, numbered):
    """As in predictions that serve as labels: nobody is dropped, and samples are told apart."""

    def renumber(content):
        counts = {}
        for index, annotation in enumerate(content['annotations']):
            in_frame = counts[annotation['image_id']] = counts.get(annotation['image_id'], -1) + 1
            annotation['id'] = {'by file': index, 'by frame': in_frame, 'all the same': 7}[numbered]

    for name in ('000001_a', '000002_b'):
        rewrite(root, renumber, name=name)
    with logs(caplog):
        data = dataset(root)
    assert [sample['id'] for sample in data] == list(range(9))
    (record,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    count, first = {
        'by file': (4, '000002_b.json: images/train/000002_b/000000.jpg, annotation 0'),
        'by frame': (7, '000001_a.json: images/train/000001_a/000003.jpg, annotation 0'),
        'all the same': (8, '000001_a.json: images/train/000001_a/000001.jpg, annotation 7'),
    }[numbered]
    assert f'{count} persons have an annotation id that was there before (first: ' in record
    assert first in record and 'dropped' not in record


def test_repeated_annotation_ids_do_not_matter_with_detected_boxes(root, caplog):
    rewrite(root, set_first('id', 7))
    rewrite(root, set_first('id', 7), name='000002_b')
    with logs(caplog):
        assert len(dataset(root, **write_boxes(root, detections_for(root)))) == 16
    assert 'annotation id' not in caplog.text


def test_one_image_id_in_two_files_is_an_error(root):
    shutil.copy(root / 'annotations/train/000001_a.json', root / 'annotations/train/000003_c.json')
    with pytest.raises(AnnotationError, match='expected unique image ids'):
        dataset(root)


def test_key_frame_not_on_disk(root):
    os.remove(root / 'images/train/000001_a/000003.jpg')
    with pytest.raises(FileNotFoundError) as error:
        dataset(root)
    assert '1 of 8 key frames are not on disk' in str(error.value)
    assert '000001_a/000003.jpg (video 000001_a)' in str(error.value)
    assert 'tools/check_posetrack.py' in str(error.value)


def test_unlabeled_frame_not_on_disk_is_no_problem(root):
    os.remove(root / 'images/train/000001_a/000002.jpg')
    assert names(dataset(root)[0]) == ['000000.jpg', '000001.jpg', '000003.jpg']


@pytest.mark.parametrize('left', ['empty', 'nothing'])
def test_video_folder_empty_or_missing(root, left):
    shutil.rmtree(root / 'images/train/000002_b')
    if left == 'empty':
        (root / 'images/train/000002_b').mkdir()
    with pytest.raises(FileNotFoundError, match=r'5 of 8 key frames .*\(video 000002_b\)'):
        dataset(root)


def test_first_image_without_a_header(root):
    (root / 'images/train/000002_b/000000.jpg').write_bytes(b'no image')
    with pytest.raises(OSError, match=r'000002_b/000000\.jpg'):
        dataset(root)


def test_a_size_in_the_label_is_taken_from_there(root):
    """No header is read then, and boxes are cut to that size."""

    def change(content):
        for image in content['images']:
            image.update(width=30, height=20)

    rewrite(root, change)
    (root / 'images/train/000001_a/000000.jpg').write_bytes(b'no image')
    assert dataset(root)[0]['bbox'].tolist() == [[8, 4, 29, 19]]


def test_boxes_are_cut_to_the_upright_picture(tmp_path):
    """A phone's photo: stored lying, with the EXIF orientation that turns it."""
    write_coco_video(tmp_path, 'train', 'v', [[person()]], images=False)
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / 'images/train/v').mkdir(parents=True)
    image = Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    image.save(tmp_path / 'images/train/v/000000.jpg', exif=exif)

    def change(content):
        content['annotations'][0]['bbox'] = [-5, 20, 200, 200]

    rewrite(tmp_path, change, name='v')
    (sample,) = dataset(tmp_path, pipeline=[dict(type='LoadClip')])
    assert sample['img_shape'] == sample['img'][0].shape[:2] == (WIDTH, HEIGHT)
    assert sample['bbox'].tolist() == [[0, 20, HEIGHT - 1, WIDTH - 1]]


def test_wrong_image_prefix_says_where_it_looked(root):
    with pytest.raises(FileNotFoundError, match='8 of 8 key frames .* data_prefix img=.*elsewhere'):
        dataset(root, data_prefix=dict(img='elsewhere'))


@pytest.mark.parametrize('content', [b'', b'{"images": [', b'\xff\xfe'])
def test_unreadable_json(root, content):
    (root / 'annotations/train/000001_a.json').write_bytes(content)
    with pytest.raises(AnnotationError, match=r'000001_a\.json'):
        dataset(root)


def test_label_path_that_does_not_exist(root):
    with pytest.raises(AnnotationError, match='annotations/nowhere: not found'):
        dataset(root, ann_file='annotations/nowhere')


def test_nothing_labeled(tmp_path):
    write_coco_video(tmp_path, 'train', 'v', [[], []])
    with pytest.raises(ValueError, match='annotations/train: no sample left'):
        dataset(tmp_path)


def test_no_detection_passes(root):
    kwargs = write_boxes(root, detections_for(root))
    with pytest.raises(ValueError, match=r'no sample left; .* detections in .*boxes\.json'):
        dataset(root, filter_cfg=dict(bbox_score_thr=2.0), **kwargs)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_truncated_image_stops_the_loader_with_file_and_video(root, num_workers):
    """And without trying a thousand other samples; also from a worker process."""
    path = root / 'images/train/000001_a/000002.jpg'
    path.write_bytes(path.read_bytes()[:-200])
    data = dataset(root, pipeline=TRAIN_PIPELINE)
    loader = DataLoader(data, num_workers=num_workers, collate_fn=pseudo_collate)
    with pytest.raises(OSError, match=r'000002\.jpg \(video 000001_a\): image is truncated'):
        next(iter(loader))


@pytest.mark.slow
def test_frame_deleted_after_start(root):
    data = dataset(root, pipeline=TRAIN_PIPELINE)
    os.remove(root / 'images/train/000001_a/000002.jpg')
    with pytest.raises(OSError, match=r'000002\.jpg \(video 000001_a\): image can not be read'):
        data[0]


@pytest.mark.slow
def test_a_pipeline_that_returns_none_is_an_error_not_a_thousand_tries(root):
    calls = []

    @TRANSFORMS.register_module(name='ReturnsNoneForTest', force=True)
    class ReturnsNone:
        def __call__(self, results):
            calls.append(1)

    data = dataset(root, pipeline=[dict(type='ReturnsNoneForTest')])
    with pytest.raises(
        ValueError, match=r'returned None for sample 3, .*000004\.jpg \(video 000001'
    ):
        data[3]
    assert len(calls) == 1


# ---- real frames -------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_clip(real_data):
    folder = real_data / 'posetrack_clip'
    train = dataset(folder, pipeline=TRAIN_PIPELINE)
    val = dataset(folder, split='val', pipeline=VAL_PIPELINE, test_mode=True)
    assert (len(train), len(val)) == (120, 44)
    train.set_epoch(0, 0)
    for data, split in ((train, range(30)), (val, range(30, 41))):
        for index in range(0, len(data), 10):
            sample = data[index]
            assert sample['inputs'].shape == (3, 3, 64, 48)
            meta = sample['data_samples'].metainfo
            assert meta['frame_number'] in split
            expected = [np.clip(meta['frame_number'] + o, 0, 40) for o in (-1, 0, 1)]
            assert [int(name[:6]) for name in names(meta)] == expected
    plain = dataset(folder)
    labeled = np.array([plain[i]['keypoints_visible'][0] for i in range(120)])
    assert labeled.sum() == 120 * 14 and not labeled[:, 0].any()  # no nose in this clip
    # Frames from 30 on serve as neighbors of frame 29, though the training labels don't have them.
    last = train[119]['data_samples'].metainfo
    assert names(last) == ['000028.jpg', '000029.jpg', '000030.jpg']


# ---- poses of the neighbors --------------------------------------------------------------------


@pytest.fixture
def tracked_root(tmp_path):
    """Two people who change places in the label files: only their track ids tell them apart."""
    frames = [
        [person(0), person(1)],
        [person(1), person(0)],
        [person(0)],
        [person(0), person(1)],
    ]
    write_coco_video(tmp_path, 'train', 'v', frames)

    def set_tracks(content):
        by_image = {}
        for annotation in content['annotations']:
            place = by_image.setdefault(annotation['image_id'], [])
            place.append(annotation)
        for number, persons in enumerate(by_image.values()):
            tracks = [[4, 9], [9, 4], [4], [4, 9]][number]
            for annotation, track in zip(persons, tracks):
                annotation['track_id'] = track

    rewrite(tmp_path, set_tracks, name='v')
    return tmp_path


def labeled_pose(root, image, track):
    content = json.loads((root / 'annotations/train/v.json').read_text())
    ids = [entry['id'] for entry in content['images']]
    (annotation,) = [
        a for a in content['annotations'] if a['image_id'] == ids[image] and a['track_id'] == track
    ]
    values = np.array(annotation['keypoints'], np.float32).reshape(17, 3)
    return np.delete(values, [3, 4], axis=0)  # without the ears


@pytest.mark.slow
def test_poses_of_the_neighbors_go_by_track_id(tracked_root):
    data = dataset(tracked_root, neighbor_poses=True)
    checked = 0
    for index in range(len(data)):
        sample = data[index]
        track = sample['track_id']
        key = int(os.path.basename(sample['img_path'])[:-4])
        for t, path in enumerate(sample['frame_paths']):
            number = int(os.path.basename(path)[:-4])
            points, visible = sample['neighbor_keypoints'][t], sample['neighbor_visible'][t]
            if number == key or (number == 2 and track == 9):
                assert not visible.any() and not points.any()  # its own labels, or no such person
                continue
            expected = labeled_pose(tracked_root, number, track)
            np.testing.assert_array_equal(points, expected[:, :2])
            np.testing.assert_array_equal(visible, (expected != 0).any(axis=1))
            checked += 1
    assert checked >= 6


def test_a_track_id_that_a_neighbor_has_twice_belongs_to_nobody(tracked_root):
    def repeat(content):  # in frame 0
        for annotation in content['annotations'][:2]:
            annotation['track_id'] = 4

    rewrite(tracked_root, repeat, name='v')
    data = dataset(tracked_root, neighbor_poses=True)
    of_frame_1 = [data[i] for i in range(len(data)) if data[i]['img_path'].endswith('1.jpg')]
    (sample,) = [sample for sample in of_frame_1 if sample['track_id'] == 4]
    before, _, after = sample['neighbor_visible']
    assert not before.any() and after.any()


def test_persons_without_a_track_get_no_poses_and_are_counted(tracked_root, caplog):
    rewrite(tracked_root, lambda c: c['annotations'][0].pop('track_id'), name='v')
    with logs(caplog):
        data = dataset(tracked_root, neighbor_poses=True)
        (sample,) = [data[i] for i in range(len(data)) if data[i]['track_id'] < 0]
    assert not sample['neighbor_visible'].any()
    assert 'the neighbor poses of 1 persons without a track id' in caplog.text


@pytest.mark.parametrize('udp', [True, False])
def test_poses_of_the_neighbors_follow_the_crop(tracked_root, udp):
    """Through flip, rotation and affine, joint by joint as MMPose moves the key frame's own."""
    pipeline = [
        dict(type='LoadClip'),
        dict(type='GetBBoxCenterScale', padding=1.25),
        dict(type='ClipRandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform', scale_factor=(0.65, 1.35), rotate_factor=45),
        dict(type='ClipTopdownAffine', input_size=(48, 64), use_udp=udp),
        dict(type='GenerateTarget', encoder=CODEC),
    ]
    data = dataset(tracked_root, pipeline=pipeline, neighbor_poses=True)
    pack = TRANSFORMS.build(dict(type='PackClipInputs'))
    flips = set()
    for epoch in range(6):
        data.set_epoch(epoch, seed=1)
        sample = data[0]  # frame 0, track 4; its right neighbor has the same person
        key = data.get_data_info(0)
        assert key['track_id'] == 4
        flips.add(sample['flip'])
        # What MMPose does with the key frame's joints tells the whole map from image to crop.
        source = np.concatenate([key['keypoints'][0], np.ones((15, 1))], axis=1)
        order = sample['flip_indices'] if sample['flip'] else list(range(15))
        matrix, *_ = np.linalg.lstsq(source[order], sample['transformed_keypoints'][0], rcond=None)
        neighbor = labeled_pose(tracked_root, 1, 4)
        expected = np.concatenate([neighbor[:, :2], np.ones((15, 1))], axis=1)[order] @ matrix
        poses = pack(dict(sample))['data_samples'].metainfo['neighbor_poses']
        assert poses.shape == (3, 15, 3) and poses.dtype == np.float32
        given = (neighbor != 0).any(axis=1)[order]
        np.testing.assert_array_equal(poses[2, :, 2], given)
        np.testing.assert_allclose(poses[2, given, :2], expected[given], atol=1e-2)
        assert not poses[2, ~given].any() and not poses[1].any()
    assert flips == {True, False}


def test_poses_that_were_not_moved_into_the_crop_are_refused(tracked_root):
    data = dataset(tracked_root, pipeline=VAL_PIPELINE, neighbor_poses=True)
    with pytest.raises(ValueError, match='expected ClipTopdownAffine in place of TopdownAffine'):
        data[0]


def test_poses_that_were_not_mirrored_with_the_clip_are_refused(tracked_root):
    pipeline = [
        dict(type='LoadClip'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip', prob=1.0),
        dict(type='ClipTopdownAffine', input_size=(48, 64)),
        dict(type='PackClipInputs'),
    ]
    with pytest.raises(ValueError, match='expected ClipRandomFlip in place of RandomFlip'):
        dataset(tracked_root, pipeline=pipeline, neighbor_poses=True)[0]
    pipeline[2].update(prob=0.0)
    assert dataset(tracked_root, pipeline=pipeline, neighbor_poses=True)[0]


def test_poses_of_the_neighbors_need_labels(root):
    with pytest.raises(ValueError, match='neighbor_poses needs labeled boxes'):
        dataset(root, neighbor_poses=True, bbox_file='boxes.json', test_mode=True)


def test_offsets_of_the_frames_are_packed(root):
    data = dataset(root, pipeline=VAL_PIPELINE, num_frames=5, stride=2)
    meta = data[0]['data_samples'].metainfo
    assert meta['frame_offsets'].tolist() == [-4, -2, 0, 2, 4] and meta['key_index'] == 2


def test_clips_without_a_model_have_three_frames(root):
    data = dataset(root)
    assert data.num_frames is None and len(data[0]['frame_paths']) == 3
    data.set_num_frames(5)
    assert len(data[0]['frame_paths']) == 5 and data.key_index == 2


def test_persons_of_frames_that_are_not_marked_as_labeled_are_told(tmp_path, caplog):
    write_coco_video(tmp_path, 'train', '000001_a', [[person(0)], [person(1), person(2)]])
    file = tmp_path / 'annotations' / 'train' / '000001_a.json'
    content = json.loads(file.read_text())
    content['images'][1]['is_labeled'] = False
    save_json(file, content)
    with logs(caplog):
        assert len(dataset(tmp_path)) == 1
    assert '2 persons of frames that are not marked as labeled' in caplog.text


def test_two_videos_in_one_folder_are_told(tmp_path, caplog):
    """Their clips show each other's frames."""
    for name in ('A', 'B'):
        write_coco_video(tmp_path, 'train', name, [[person(0)]] * 2)
        file = tmp_path / 'annotations' / 'train' / f'{name}.json'
        content = json.loads(file.read_text())
        for image in content['images']:
            old, image['file_name'] = image['file_name'], f'flat/{name}{image["id"]}.jpg'
            (tmp_path / 'flat').mkdir(exist_ok=True)
            os.rename(tmp_path / old, tmp_path / image['file_name'])
        save_json(file, content)
    with logs(caplog):
        dataset(tmp_path)
    expected = 'flat: holds the frames of 2 videos (A, B), expected a folder for each'
    assert caplog.text.count(expected) == 1
