"""Clip transforms, and MMPose's own transforms on clips: one draw, one warp for all frames."""

from __future__ import annotations

import copy
import random

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope, init_default_scope
from mmpose.registry import TRANSFORMS
from posetrack_samples import HEIGHT, WIDTH, person, write_image

from cmpose_mm.datasets import (
    ClipColorTransform,
    LoadClip,
    PackClipInputs,
    posetrack_metainfo,
)
from cmpose_mm.posetrack.joints import JOINT_NAMES

init_default_scope('mmpose')

T = 3


@pytest.fixture(autouse=True)
def mmpose_scope():
    """Configs without a scope mean MMPose's registry, as in its runner."""
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


def build(*transforms):
    return Compose([TRANSFORMS.build(transform) for transform in transforms])


def write_clip(folder, count=T):
    paths = [folder / f'{i:06d}.jpg' for i in range(count)]
    for i, path in enumerate(paths):
        write_image(path, value=40 + 60 * i)
    return [str(path) for path in paths]


def random_frames(count=T, height=HEIGHT, width=WIDTH, seed=0):
    rng = np.random.RandomState(seed)
    return [rng.randint(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(count)]


def person_results(frames, seed=0):
    """Results as the dataset hands them to the pipeline, after loading."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    keypoints = person(seed)
    results = parse_pose_metainfo(posetrack_metainfo('posetrack18'))
    results.update(
        img=frames,
        img_path='key.jpg',
        img_shape=frames[0].shape[:2],
        ori_shape=frames[0].shape[:2],
        bbox=np.array([[8, 4, 48, 40]], np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=keypoints[None, :, :2].astype(np.float32),
        keypoints_visible=np.ones((1, 15), np.float32),
    )
    return results


class TestLoadClip:
    def test_paths(self, tmp_path):
        paths = write_clip(tmp_path)
        results = LoadClip()(dict(frame_paths=paths, img_path=paths[1]))
        for frame, path in zip(results['img'], paths):
            np.testing.assert_array_equal(frame, cv2.imread(path))
        assert results['ori_shape'] == results['img_shape'] == (HEIGHT, WIDTH)

    def test_a_repeated_frame_is_decoded_once(self, tmp_path, monkeypatch):
        paths = write_clip(tmp_path)
        decoded = []
        monkeypatch.setattr(
            mmcv, 'imfrombytes', lambda *a, f=mmcv.imfrombytes, **k: decoded.append(1) or f(*a, **k)
        )
        results = LoadClip()(dict(frame_paths=[paths[0], paths[0], paths[1]]))
        assert len(decoded) == 2
        np.testing.assert_array_equal(results['img'][0], results['img'][1])
        assert (results['img'][0] != results['img'][2]).any()

    def test_arrays_are_taken_as_they_are(self):
        frames = random_frames()
        results = LoadClip()(dict(img=list(frames)))
        assert all(got is frame for got, frame in zip(results['img'], frames))
        assert results['img_shape'] == (HEIGHT, WIDTH)
        assert results['img_path'] is None

    @pytest.mark.parametrize('num_frames, key_index', [(1, 0), (3, 1), (4, 2), (5, 2)])
    def test_one_image_is_tiled(self, tmp_path, num_frames, key_index):
        path = write_clip(tmp_path, 1)[0]
        image = cv2.imread(path)
        from_path = LoadClip(num_frames)(dict(img_path=path))
        from_array = LoadClip(num_frames)(dict(img=image, img_path='00000000.jpg'))
        for results in (from_path, from_array):
            assert len(results['img']) == num_frames
            assert all((frame == image).all() for frame in results['img'])
            assert results['key_index'] == key_index
            assert results['frame_valid'].tolist() == [i == key_index for i in range(num_frames)]
        assert from_path['frame_paths'] == [path] * num_frames

    def test_one_image_stays_single_without_num_frames(self, tmp_path):
        path = write_clip(tmp_path, 1)[0]
        results = LoadClip()(dict(img_path=path))
        assert results['img'].shape == (HEIGHT, WIDTH, 3)
        assert results['img_shape'] == (HEIGHT, WIDTH)

    def test_missing_frame_names_file_and_video(self, tmp_path):
        paths = [*write_clip(tmp_path), str(tmp_path / '000009.jpg')]
        with pytest.raises(OSError, match=r'000009\.jpg \(video v7\): image can not be read'):
            LoadClip()(dict(frame_paths=paths, video='v7'))

    @pytest.mark.parametrize('keep', [0, 0.3, 0.7, 0.99])
    def test_truncated_frame_names_file_and_video(self, tmp_path, keep):
        paths = write_clip(tmp_path)
        content = open(paths[1], 'rb').read()
        with open(paths[1], 'wb') as file:
            file.write(content[: int(keep * len(content))])
        with pytest.raises(
            OSError, match=r'000001\.jpg \(video v7\): image is truncated or broken'
        ):
            LoadClip()(dict(frame_paths=paths, video='v7'))

    def test_frames_of_two_sizes(self, tmp_path):
        paths = write_clip(tmp_path)
        write_image(tmp_path / 'odd.jpg', width=WIDTH + 2)
        with pytest.raises(ValueError, match=r'must have one size.*video v7'):
            LoadClip()(dict(frame_paths=[*paths, str(tmp_path / 'odd.jpg')], video='v7'))

    def test_cached_frames_are_the_same_and_protected(self, tmp_path):
        paths = write_clip(tmp_path, 5)
        load = LoadClip(cache_size_mb=3 * HEIGHT * WIDTH * 3 / 1e6)
        for first in (0, 1, 2, 0):
            clip = paths[first : first + T]
            for frame, path in zip(load(dict(frame_paths=clip))['img'], clip):
                np.testing.assert_array_equal(frame, cv2.imread(path))
                with pytest.raises(ValueError, match='read-only'):
                    frame += 1
            assert len(load.cache) == 3

    def test_cached_frames_are_decoded_once(self, tmp_path, monkeypatch):
        paths = write_clip(tmp_path, 5)
        decoded = []
        monkeypatch.setattr(
            mmcv, 'imfrombytes', lambda *a, f=mmcv.imfrombytes, **k: decoded.append(1) or f(*a, **k)
        )
        for load, count in ((LoadClip(), 12), (LoadClip(cache_size_mb=1), 5)):
            decoded.clear()
            for first in (0, 0, 1, 2):
                load(dict(frame_paths=paths[first : first + T]))
            assert len(decoded) == count

    @pytest.mark.parametrize('num_frames, stride', [(3, 1), (5, 1), (5, 2)])
    def test_the_cache_grows_with_the_clips(self, tmp_path, monkeypatch, num_frames, stride):
        """Two videos are read in turn: no frame is decoded twice but those of the first clip."""
        videos = []
        for name in 'ab':
            (tmp_path / name).mkdir()
            videos.append(write_clip(tmp_path / name, 12))
        decoded = []
        monkeypatch.setattr(
            mmcv, 'imfrombytes', lambda *a, f=mmcv.imfrombytes, **k: decoded.append(1) or f(*a, **k)
        )
        load = LoadClip(cache_clips=2)
        offsets = (np.arange(num_frames) - num_frames // 2) * stride
        for key in range(12):
            for paths in videos:
                clip = [paths[position] for position in np.clip(key + offsets, 0, 11)]
                load(dict(frame_paths=clip, frame_offsets=offsets))
        first = len(set(np.clip(offsets, 0, 11)))  # before the frames' size is known
        assert 24 <= len(decoded) <= 24 + first
        room = 2 * ((num_frames - 1) * stride + 2)
        assert load.cache.max_bytes == room * HEIGHT * WIDTH * 3


class TestClipRandomFlip:
    @pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
    @pytest.mark.parametrize('single', [True, False])
    @pytest.mark.parametrize('seed', range(4))
    def test_is_mmposes_flip_in_memory_of_its_own(self, direction, single, seed):
        def run(kind):
            frames = random_frames()
            results = person_results(frames)
            if single:
                results['img'] = frames[0]
            np.random.seed(seed)
            return build(dict(type=kind, direction=direction))(results)

        ours, theirs = run('ClipRandomFlip'), run('RandomFlip')
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_equal(ours[key], theirs[key])
        frames = [ours['img']] if single else ours['img']
        assert all(frame.flags.c_contiguous for frame in frames)

    def test_leaves_its_input_alone_and_does_not_always_flip(self):
        frames = random_frames()
        for frame in frames:
            frame.flags.writeable = False
        flips = set()
        for seed in range(8):
            np.random.seed(seed)
            out = build(dict(type='ClipRandomFlip'))(person_results(frames))
            flips.add(out['flip'])
            for got, frame in zip(out['img'], frames):
                np.testing.assert_array_equal(got, frame[:, ::-1] if out['flip'] else frame)
        assert flips == {True, False}


COLOR_TRANSFORMS = [dict(type='PhotometricDistortion'), dict(type='YOLOXHSVRandomAug')]


class TestClipColorTransform:
    @pytest.mark.parametrize('config', COLOR_TRANSFORMS, ids=lambda config: config['type'])
    @pytest.mark.parametrize('seed', range(8))
    def test_equals_the_single_image_transform_on_each_frame_with_one_draw(self, config, seed):
        frames = random_frames()
        single = TRANSFORMS.build(config)
        expected = []
        for frame in frames:
            np.random.seed(seed)
            expected.append(single(dict(img=frame.copy()))['img'])
        np.random.seed(seed)
        got = ClipColorTransform(config)(dict(img=[frame.copy() for frame in frames]))['img']
        assert len(got) == T
        for one, other in zip(got, expected):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize('config', COLOR_TRANSFORMS, ids=lambda config: config['type'])
    def test_changes_something_but_not_its_input(self, config):
        frames = random_frames()
        before = copy.deepcopy(frames)
        changed = 0
        for seed in range(5):
            np.random.seed(seed)
            got = ClipColorTransform(config)(dict(img=frames))['img']
            changed += any((a != b).any() for a, b in zip(got, frames))
        assert changed >= 3
        for frame, original in zip(frames, before):
            np.testing.assert_array_equal(frame, original)

    def test_a_repeated_frame_stays_repeated(self):
        frame = random_frames(1)[0]
        got = ClipColorTransform(COLOR_TRANSFORMS[0])(dict(img=[frame] * T))['img']
        for other in got[1:]:
            np.testing.assert_array_equal(got[0], other)

    def test_single_image(self):
        frame = random_frames(1)[0]
        np.random.seed(3)
        expected = TRANSFORMS.build(COLOR_TRANSFORMS[0])(dict(img=frame.copy()))['img']
        np.random.seed(3)
        got = ClipColorTransform(COLOR_TRANSFORMS[0])(dict(img=frame))['img']
        np.testing.assert_array_equal(got, expected)

    def test_frames_of_two_sizes(self):
        frames = [*random_frames(2), *random_frames(1, height=HEIGHT + 1)]
        with pytest.raises(ValueError, match='must have one size'):
            ClipColorTransform(COLOR_TRANSFORMS[0])(dict(img=frames))

    def test_a_transform_that_resizes_is_refused(self):
        config = dict(type='mmcv.Resize', scale=(32, 24))
        with pytest.raises(ValueError, match='only pixelwise transforms work on clips'):
            ClipColorTransform(config)(dict(img=random_frames()))


CODEC = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)
GEOMETRY = [
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=0.5),
    dict(type='RandomBBoxTransform', scale_factor=(0.65, 1.35), rotate_factor=45),
    dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
    dict(type='GenerateTarget', encoder=CODEC),
]


class TestMMPoseTransformsOnClips:
    @pytest.mark.parametrize('seed', range(12))
    def test_all_frames_get_the_warp_that_a_single_image_gets(self, seed):
        """A clip of different frames against each frame on its own, with the same random state."""
        frames = random_frames()

        def run(img):
            random.seed(seed)
            np.random.seed(seed)
            return build(*GEOMETRY)(dict(person_results(frames), img=img))

        clip = run(copy.deepcopy(frames))
        assert len(clip['img']) == T
        for t in range(T):
            alone = run(frames[t].copy())
            np.testing.assert_array_equal(clip['img'][t], alone['img'])
            for key in ('transformed_keypoints', 'heatmaps', 'keypoint_weights', 'bbox_center'):
                np.testing.assert_array_equal(clip[key], alone[key])

    def test_targets_peak_where_the_drawn_joint_is(self):
        """A white dot at a joint comes out where keypoint and target say, also flipped."""
        flips = set()
        for seed in range(20):
            frames = [np.zeros((HEIGHT, WIDTH, 3), np.uint8) for _ in range(T)]
            results = person_results(frames, seed)
            joint = seed % 15
            x, y = results['keypoints'][0, joint].round()
            results['keypoints'][0, joint] = x, y
            for frame in frames:
                frame[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 255
            np.random.seed(seed)
            out = build(*GEOMETRY[:1], *GEOMETRY[1:2], *GEOMETRY[3:])(results)
            flips.add(out['flip'])
            name = JOINT_NAMES[joint]
            if out['flip'] and name.split('_')[0] in ('left', 'right'):
                side = 'right_' if name.startswith('left') else 'left_'
                joint = JOINT_NAMES.index(side + name.split('_')[1])
            expected = out['transformed_keypoints'][0, joint]
            if not ((3 < expected) & (expected < np.array([44, 60]))).all():
                continue  # the augmentation moved it out of the crop
            for frame in out['img']:
                weight = frame[..., 0].astype(float)
                ys, xs = np.mgrid[: frame.shape[0], : frame.shape[1]]
                center = [(xs * weight).sum(), (ys * weight).sum()] / weight.sum()
                np.testing.assert_allclose(center, expected, atol=0.6)
            peak = np.unravel_index(out['heatmaps'][joint].argmax(), out['heatmaps'][joint].shape)
            feat_stride = (np.array([48, 64]) - 1) / (np.array([12, 16]) - 1)
            np.testing.assert_allclose(peak[::-1], expected / feat_stride, atol=0.51)
        assert flips == {False, True}

    def test_flip_maps_joints_by_name(self):
        frames = random_frames()
        results = person_results(frames)
        before = results['keypoints'].copy()
        out = build(dict(type='RandomFlip', prob=1.0))(results)
        for index, name in enumerate(JOINT_NAMES):
            side, _, part = name.partition('_')
            mirror = dict(left=f'right_{part}', right=f'left_{part}').get(side, name)
            x, y = before[0, JOINT_NAMES.index(mirror)]
            np.testing.assert_allclose(out['keypoints'][0, index], [WIDTH - 1 - x, y])
        for frame, original in zip(out['img'], frames):
            np.testing.assert_array_equal(frame, original[:, ::-1])

    def test_half_body_keeps_upper_or_lower_joints(self):
        """The ids come from the dataset's metainfo; both halves occur and enclose their joints."""
        seen = set()
        for seed in range(40):
            results = person_results(random_frames())
            upper = [i for i, name in enumerate(JOINT_NAMES) if not name.endswith(LOWER)]
            lower = [i for i, name in enumerate(JOINT_NAMES) if name.endswith(LOWER)]
            assert (results['upper_body_ids'], results['lower_body_ids']) == (upper, lower)
            np.random.seed(seed)
            out = build(*GEOMETRY[:1], dict(type='RandomHalfBody', prob=1.0))(results)
            for half, ids in dict(upper=upper, lower=lower).items():
                joints = results['keypoints'][0, ids]
                if np.allclose(out['bbox_center'][0], joints.mean(axis=0)):
                    seen.add(half)
                    extent = joints.max(axis=0) - joints.min(axis=0)
                    np.testing.assert_allclose(out['bbox_scale'][0], 1.5 * extent, rtol=1e-5)
        assert seen == {'upper', 'lower'}

    def test_unlabeled_joints_get_no_weight_and_no_target(self):
        results = person_results(random_frames())
        results['keypoints'][0, :2] = 0
        results['keypoints_visible'][0, :2] = 0
        out = build(*GEOMETRY[:1], *GEOMETRY[4:])(results)
        assert out['keypoint_weights'][0].tolist() == [0, 0] + [1] * 13
        assert not out['heatmaps'][:2].any()
        assert all(out['heatmaps'][k].max() > 0.9 for k in range(2, 15))


LOWER = ('_hip', '_knee', '_ankle')


class TestPackClipInputs:
    CLIP = dict(
        id=5,
        img_id=7,
        img_path='b.jpg',
        ori_shape=(HEIGHT, WIDTH),
        video='v',
        frame_number=4,
        frame_paths=['a.jpg', 'b.jpg', 'b.jpg'],
        frame_valid=np.array([True, True, False]),
        key_index=1,
        track_id=2,
        bbox=np.array([[1, 2, 3, 4]], np.float32),
        bbox_score=np.array([0.5], np.float32),
        box_source='boxes.json',
        clip_seed=2**62 + 1,
    )

    def test_inputs_and_metainfo(self):
        frames = random_frames()
        packed = PackClipInputs()(dict(self.CLIP, img=frames))
        inputs = packed['inputs']
        assert inputs.dtype == torch.uint8 and inputs.shape == (T, 3, HEIGHT, WIDTH)
        for t, frame in enumerate(frames):
            for channel in range(3):
                np.testing.assert_array_equal(inputs[t, channel].numpy(), frame[..., channel])
        metainfo = packed['data_samples'].metainfo
        assert set(metainfo) == set(self.CLIP)
        for key, value in self.CLIP.items():
            np.testing.assert_array_equal(metainfo[key], value)
        np.testing.assert_array_equal(packed['data_samples'].gt_instances.bboxes, self.CLIP['bbox'])
        assert packed['data_samples'].gt_instances.bbox_scores == [0.5]

    def test_meta_keys_can_be_chosen(self):
        packed = PackClipInputs(meta_keys=('id', 'video'))(dict(self.CLIP, img=random_frames()))
        assert set(packed['data_samples'].metainfo) == {'id', 'video'}

    def test_single_image(self):
        packed = PackClipInputs()(dict(self.CLIP, img=random_frames(1)[0]))
        assert packed['inputs'].shape == (3, HEIGHT, WIDTH)

    def test_frames_of_two_sizes(self):
        frames = [*random_frames(2), *random_frames(1, width=WIDTH + 1)]
        with pytest.raises(ValueError, match=r'must have one size.*key frame b\.jpg, video v'):
            PackClipInputs()(dict(self.CLIP, img=frames))


def test_transforms_print_their_arguments():
    for transform in (LoadClip(5, 7), ClipColorTransform(COLOR_TRANSFORMS[0]), PackClipInputs()):
        assert repr(transform).startswith(type(transform).__name__ + '(')
    assert 'num_frames=5, cache_size_mb=7,' in repr(LoadClip(5, 7))


def test_a_cache_for_clips_without_offsets(tmp_path):
    """Other datasets may give paths alone: their frames count as neighbors."""
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f'{number}.png'))
        cv2.imwrite(paths[-1], np.full((4, 6, 3), number, np.uint8))
    load = LoadClip(cache_clips=2)
    results = load(dict(frame_paths=paths))
    assert [frame[0, 0, 0] for frame in results['img']] == [0, 1, 2]
    assert load.cache.max_bytes == 2 * 4 * 4 * 6 * 3
