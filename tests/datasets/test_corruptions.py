"""Corrupted clips: a frame looks the same in each clip, for each person, in any order."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, TRANSFORMS
from torch.utils.data import DataLoader

from cmpose_mm.corruptions import IMAGE_CORRUPTIONS, corrupt_frame, is_lost

LOAD = [dict(type='LoadClip')]
CROP = [
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
    dict(type='PackClipInputs'),
]


def corrupt(**kwargs):
    return dict(type='CorruptClip', **{'corruption': 'gaussian_noise', 'severity': 3, **kwargs})


def build(root, pipeline, split='val'):
    init_default_scope('mmpose')
    return DATASETS.build(
        dict(
            type='PoseTrackVideoDataset',
            data_root=root,
            ann_file=f'annotations/{split}',
            data_prefix=dict(img=''),
            num_frames=3,
            test_mode=True,
            pipeline=pipeline,
        )
    )


def expected(path, corruption='gaussian_noise', severity=3, seed=0):
    path = Path(path)
    where = dict(seed=seed, sequence=path.parent.name, frame_number=int(path.stem))
    return corrupt_frame(cv2.imread(str(path)), corruption, severity, **where)


def test_persistent_corrupts_each_frame_by_its_own_number(synthetic_root):
    seen = {}
    for corruption in ('gaussian_noise', 'moving_occluders'):
        dataset = build(
            synthetic_root, LOAD + [corrupt(corruption=corruption, mode='persistent', seed=5)]
        )
        for index in range(len(dataset)):
            sample = dataset[index]
            assert len(sample['img']) == 3
            for path, frame in zip(sample['frame_paths'], sample['img']):
                assert np.array_equal(frame, expected(path, corruption, seed=5))
                seen.setdefault((corruption, path), []).append(sample['img_path'])
    # The comparison is about frames of several clips, as key frames and as neighbors.
    assert any(len(set(keys)) > 1 for keys in seen.values())


def test_key_corrupts_the_key_frame_only(synthetic_root):
    dataset = build(synthetic_root, LOAD + [corrupt(mode='key')])
    copies = 0
    for index in range(len(dataset)):
        sample = dataset[index]
        for path, frame in zip(sample['frame_paths'], sample['img']):
            is_key = path == sample['img_path']
            wanted = expected(path) if is_key else cv2.imread(path)
            assert np.array_equal(frame, wanted)
            copies += is_key
    # At both ends of the video the key frame stands in for a neighbor that is not there.
    assert copies > len(dataset)


@pytest.mark.slow
@pytest.mark.parametrize('corruption', IMAGE_CORRUPTIONS)
def test_single_images_look_like_the_key_frames_of_clips(synthetic_root, corruption):
    image = build(synthetic_root, [dict(type='LoadImage'), corrupt(corruption=corruption)])[0]
    clip = build(synthetic_root, LOAD + [corrupt(corruption=corruption)])[0]
    assert image['img'].ndim == 3
    assert np.array_equal(image['img'], clip['img'][clip['key_index']])
    assert np.array_equal(image['img'], expected(image['img_path'], corruption))


@pytest.mark.parametrize('mode', ['key', 'persistent'])
def test_workers_and_order_change_nothing(synthetic_root, mode):
    pipeline = LOAD + [corrupt(corruption='shot_noise', mode=mode)] + CROP
    dataset = build(synthetic_root, pipeline)
    straight = [dataset[index]['inputs'] for index in range(len(dataset))]
    backwards = [dataset[index]['inputs'] for index in reversed(range(len(dataset)))]
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    by_workers = [sample['inputs'] for sample in loader]
    for a, b, c in zip(straight, reversed(backwards), by_workers):
        assert np.array_equal(a, b) and np.array_equal(a, c)


def test_persons_of_a_frame_share_it(synthetic_root):
    dataset = build(synthetic_root, LOAD + [corrupt()], split='train')
    by_frame = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        by_frame.setdefault(sample['img_path'], []).append(sample['img'][1])
    shared = [frames for frames in by_frame.values() if len(frames) > 1]
    assert shared
    for frames in shared:
        assert all(np.array_equal(frames[0], frame) for frame in frames)


def test_shared_frames_can_not_be_written_to(synthetic_root):
    sample = build(synthetic_root, LOAD + [corrupt()])[0]
    with pytest.raises(ValueError, match='read-only'):
        sample['img'][sample['key_index']][:] = 0


@pytest.mark.parametrize('megabytes', [0, 0.06, 64])
def test_each_frame_is_corrupted_once_if_memory_allows(synthetic_root, megabytes, monkeypatch):
    calls = []

    def counted(image, corruption, severity, **where):
        calls.append((where['sequence'], where['frame_number']))
        return corrupt_frame(image, corruption, severity, **where)

    monkeypatch.setattr('cmpose_mm.datasets.transforms.corruptions.corrupt_frame', counted)
    cfg = corrupt(mode='persistent', cache_size_mb=megabytes)
    dataset = build(synthetic_root, LOAD + [cfg], split='train')
    for index in range(len(dataset)):
        sample = dataset[index]
        for path, frame in zip(sample['frame_paths'], sample['img']):
            assert np.array_equal(frame, expected(path))
    assert dataset.pipeline.transforms[1].cache.num_bytes <= megabytes * 1e6
    if megabytes == 64:
        assert len(calls) == len(set(calls))
    else:  # a frame of 120 x 160 pixels takes 0.0576 MB
        assert len(calls) > len(set(calls))


def clip_results(root, number, offsets):
    """A clip whose frames are not loaded: paths, and what the dataset says of them."""
    folder = sorted(Path(root, 'images', 'val').iterdir())[0]
    numbers = [min(max(number + offset, 0), 4) for offset in offsets]
    return dict(
        frame_paths=[str(folder / f'{n:06d}.jpg') for n in numbers],
        frame_valid=np.array([n == number + o for n, o in zip(numbers, offsets)]),
        key_index=offsets.index(0),
    )


def numbers_of(results):
    return [int(Path(path).stem) for path in results['frame_paths']]


def test_repeated_key_frame(synthetic_root):
    transform = TRANSFORMS.build(dict(type='RepeatKeyFrame'))
    results = transform(clip_results(synthetic_root, 2, [-2, -1, 0]))
    assert numbers_of(results) == [2, 2, 2]
    assert results['frame_valid'].tolist() == [False, False, True]


@pytest.mark.parametrize('severity', range(1, 6))
def test_dropped_frames_are_those_of_the_sequence(synthetic_root, severity):
    config = dict(type='CorruptNeighbors', corruption='frame_drop', severity=severity, seed=1)
    transform = TRANSFORMS.build(config)
    sequence = sorted(Path(synthetic_root, 'images', 'val').iterdir())[0].name
    for key in range(5):
        clip = clip_results(synthetic_root, key, [-2, -1, 0, 1, 2])
        wanted = []
        for number in numbers_of(clip):
            while number != key and is_lost(1, severity, sequence, number):
                number += 1 if number < key else -1
            wanted.append(number)
        valid = clip['frame_valid'] & (np.array(wanted) == numbers_of(clip))
        results = transform(clip)
        assert numbers_of(results) == wanted
        assert results['frame_valid'].tolist() == valid.tolist()


@pytest.mark.slow
def test_dropping_all_frames_repeats_the_key_frame(synthetic_root):
    drop = dict(type='CorruptNeighbors', corruption='frame_drop', severity=5)
    dropped = build(synthetic_root, [drop] + LOAD + CROP)
    repeated = build(synthetic_root, [dict(type='RepeatKeyFrame')] + LOAD + CROP)
    clean = build(synthetic_root, LOAD + CROP)
    for index in range(len(clean)):
        assert np.array_equal(dropped[index]['inputs'], repeated[index]['inputs'])
        assert np.array_equal(repeated[index]['inputs'][1], clean[index]['inputs'][1])
    assert not np.array_equal(repeated[0]['inputs'], clean[0]['inputs'])


def test_frozen_neighbors_show_earlier_frames(synthetic_root):
    freeze = TRANSFORMS.build(dict(type='CorruptNeighbors', corruption='frame_freeze', severity=2))
    results = freeze(clip_results(synthetic_root, 3, [-1, 0, 1]))
    assert numbers_of(results) == [0, 3, 2]
    assert results['frame_valid'].all()
    assert numbers_of(freeze(clip_results(synthetic_root, 4, [-1, 0, 1]))) == [1, 4, 4]


@pytest.mark.parametrize(
    ('transform', 'gone'),
    [
        (dict(type='RepeatKeyFrame'), [0, 2]),
        (dict(type='CorruptNeighbors', corruption='frame_drop', severity=5), [0, 2]),
        (dict(type='CorruptNeighbors', corruption='frame_freeze', severity=1), [0, 2]),
        (dict(type='CorruptNeighbors', corruption='frame_freeze', severity=1), [2]),
    ],
)
def test_frames_that_are_gone_have_no_poses(synthetic_root, transform, gone):
    key = 3 if 0 in gone else 1  # at the start a frame from before is the same
    clip = clip_results(synthetic_root, key, [-1, 0, 1])
    poses = np.random.default_rng(0).uniform(1, 99, (3, 15, 2)).astype(np.float32)
    clip.update(neighbor_keypoints=poses, neighbor_visible=np.ones((3, 15), np.float32))
    results = TRANSFORMS.build(transform)(dict(clip))
    kept = np.delete(np.arange(3), gone)
    assert not results['neighbor_visible'][gone].any()
    assert not results['neighbor_keypoints'][gone].any()
    assert results['neighbor_visible'][kept].all() and clip['neighbor_visible'].all()
    assert np.array_equal(results['neighbor_keypoints'][kept], poses[kept])


def test_repeated_and_corrupted_key_frame(synthetic_root):
    # What the temporal gain under a corruption compares with: the corrupted frame, three times.
    for mode in ('key', 'persistent'):
        pipeline = [dict(type='RepeatKeyFrame')] + LOAD + [corrupt(mode=mode)]
        sample = build(synthetic_root, pipeline)[1]
        for frame in sample['img']:
            assert np.array_equal(frame, expected(sample['img_path']))


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (corrupt(corruption='fog'), "corruption is 'fog', expected one of gaussian_noise"),
        (corrupt(corruption='frame_drop'), "'frame_drop', expected one of gaussian_noise"),
        (corrupt(severity=0), 'severity is 0, expected a whole number from 1 to 5'),
        (corrupt(mode='all'), "mode is 'all', expected one of key, persistent"),
        (
            dict(type='CorruptNeighbors', corruption='shot_noise', severity=1),
            "'shot_noise', expected one of frame_drop, frame_freeze",
        ),
    ],
)
def test_wrong_arguments(config, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(config)


def test_frames_without_paths():
    transform = TRANSFORMS.build(corrupt())
    with pytest.raises(ValueError, match='a frame has no path'):
        transform(dict(img=np.zeros((8, 8, 3), np.uint8), img_path=None))
    with pytest.raises(ValueError, match='a frame has no path'):
        transform(dict(img=[np.zeros((8, 8, 3), np.uint8)], key_index=0))


@pytest.mark.parametrize(
    'config',
    [
        dict(type='RepeatKeyFrame'),
        dict(type='CorruptNeighbors', corruption='frame_freeze', severity=1),
    ],
)
def test_not_a_clip(config):
    transform = TRANSFORMS.build(config)
    with pytest.raises(ValueError, match='expected a clip whose frames are not loaded yet'):
        transform(dict(img_path='images/a/000001.jpg'))
