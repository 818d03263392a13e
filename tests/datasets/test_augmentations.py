"""Augmentations of crops against slow references with the same draws."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from cmpose_mm import config_path
from cmpose_mm.datasets import posetrack_metainfo
from cmpose_mm.datasets.transforms import RandomBlur, RandomColors, RandomPatches, RandomWideBox
from cmpose_mm.posetrack.joints import JOINT_NAMES


@pytest.fixture
def clip() -> list[np.ndarray]:
    """Three frames as `LoadClip` hands them out; the last is the first once more."""
    frames = [np.random.default_rng(n).integers(0, 256, (24, 18, 3), np.uint8) for n in range(2)]
    for frame in frames:
        frame.flags.writeable = False
    return [*frames, frames[0]]


def applied(transform, frames, seed: int):
    np.random.seed(seed)
    return transform(dict(img=frames))['img']


@pytest.mark.parametrize('seed', range(5))
def test_wide_boxes_lie_between_the_enlarged_box_and_the_frame(seed):
    results = dict(
        bbox=np.array([[30, 40, 50, 100]], np.float32), img_shape=(240, 320),
        bbox_center=np.zeros((1, 2), np.float32), bbox_scale=np.ones((1, 2), np.float32),
    )  # fmt: skip
    np.random.seed(seed)
    out = RandomWideBox(prob=1, padding=1.25, min_factor=1.5)(dict(results))
    np.random.seed(seed)
    _, share = np.random.rand(), np.random.rand()
    for axis, (low, high, size) in enumerate(((30, 50, 320), (40, 100, 240))):
        first, last = 1.5 * (high - low), size
        expected = 1.25 * (first + share * (last - first))
        assert out['bbox_scale'][0, axis] == pytest.approx(expected, rel=1e-6)
        middle = (low + high) / 2
        expected = middle + share * (size / 2 - middle)
        assert out['bbox_center'][0, axis] == pytest.approx(expected, rel=1e-6)
    assert RandomWideBox(prob=0)(dict(results))['bbox_scale'].tolist() == [[1, 1]]


def test_share_of_wide_boxes():
    np.random.seed(0)
    transform = RandomWideBox(prob=0.2)
    changed = 0
    for _ in range(500):
        results = dict(
            bbox=np.array([[1, 1, 9, 9]], np.float32), img_shape=(99, 99), bbox_scale=None
        )
        changed += transform(results)['bbox_scale'] is not None
    assert 70 <= changed <= 130


@pytest.mark.parametrize('seed', range(4))
def test_colors_of_every_pixel(clip, seed):
    out = applied(RandomColors(prob=1), clip, seed)
    np.random.seed(seed)
    np.random.rand()
    contrast, blue, green, red, saturation, brightness = np.random.uniform(-1, 1, 6)
    for frame, changed in zip(clip, out):
        for pixel, result in zip(frame.reshape(-1, 3)[::7], changed.reshape(-1, 3)[::7]):
            gray = 0.114 * pixel[0] + 0.587 * pixel[1] + 0.299 * pixel[2]
            for value, found, light in zip(pixel, result, (blue, green, red)):
                gain = (1 + 0.4 * contrast) * (1 + 0.15 * light)
                value = gray + (1 + 0.6 * saturation) * (value - gray)
                value = gain * (value - 128) + 128 + 40 * brightness
                assert (
                    abs(float(found) - min(max(value, 0), 255)) < 1
                )  # OpenCV rounds the matrix, too
    assert all(np.array_equal(a, b) for a, b in zip(applied(RandomColors(prob=0), clip, 0), clip))


def test_blur_takes_detail_from_all_frames_alike(clip):
    single = np.ascontiguousarray(clip[0])
    kinds = set()
    for seed in range(8):
        out = applied(RandomBlur(prob=1), clip, seed)
        assert [frame.shape for frame in out] == [frame.shape for frame in clip]
        np.testing.assert_array_equal(out[0], out[2])
        np.testing.assert_array_equal(out[0], applied(RandomBlur(prob=1), single, seed))
        assert out[1].std() <= clip[1].std()
        np.random.seed(seed)
        kind, amount = np.random.rand(2)
        kinds.add(kind < 0.5)
        if kind < 0.5:
            expected = cv2.GaussianBlur(clip[0], (0, 0), max(0.2, 2 * amount))
        else:
            factor = 1 + 3 * amount
            small = cv2.resize(
                clip[0], (round(18 / factor), round(24 / factor)), interpolation=cv2.INTER_AREA
            )
            expected = cv2.resize(small, (18, 24))
        np.testing.assert_array_equal(out[0], expected)
    assert kinds == {True, False}
    assert applied(RandomBlur(prob=0), clip, 0)[0] is clip[0]


def test_patches_cover_one_place_in_all_frames(clip):
    colored = copied = 0
    for seed in range(12):
        out = applied(RandomPatches(prob=1, max_patches=1), clip, seed)
        changed = np.stack([(a != b).any(axis=-1) for a, b in zip(clip, out)])
        rows, columns = np.where(changed.any(axis=0))
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        assert 1 <= bottom - top <= 10 and 1 <= right - left <= 8  # 0.4 of each side at most
        patches = [frame[top:bottom, left:right] for frame in out]
        if all((patch == patch[0, 0]).all() for patch in patches):
            colored += 1
            continue
        copied += 1
        height, width = patches[0].shape[:2]
        assert any(
            all(
                np.array_equal(frame[y : y + height, x : x + width], patch)
                for frame, patch in zip(clip, patches)
            )
            for y in range(24 - height + 1)
            for x in range(18 - width + 1)
        )
    assert colored and copied
    assert applied(RandomPatches(prob=0), clip, 0)[0] is clip[0]


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: RandomWideBox(prob=2), 'prob is 2, expected 0 to 1'),
        (lambda: RandomWideBox(prob=0.5, padding=0), 'padding is 0'),
        (lambda: RandomColors(light=-1), 'light is -1'),
        (lambda: RandomColors(brightness=-1), 'brightness is -1'),
        (lambda: RandomBlur(max_factor=0.5), 'max_factor 0.5'),
        (lambda: RandomPatches(sides=(0.4, 0.1)), 'smallest before largest'),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_absent_joints_do_not_count_in_the_loss():
    """JHMDB labels no top of the head: with rendered persons in one batch, that must stay so."""
    config = Config.fromfile(config_path('shipped/shipped_cmpose.py'))
    with DefaultScope.overwrite_default_scope('mmpose'):
        pipeline = Compose(config.train_dataloader.dataset.datasets[0].pipeline)
    keypoints = np.random.default_rng(0).uniform(30, 90, (1, 15, 2)).astype(np.float32)
    absent = JOINT_NAMES.index('head_top')
    keypoints[0, absent] = 0
    visible = np.ones((1, 15), np.float32)
    visible[0, absent] = 0
    image = np.zeros((120, 120, 3), np.uint8)
    meta = parse_pose_metainfo(posetrack_metainfo('posetrack18'))
    for seed in range(20):
        np.random.seed(seed)
        sample = pipeline(
            dict(
                meta, img=[image] * 3, img_path=None, id=0, img_id=0,
                bbox=np.array([[20, 20, 100, 100]], np.float32),
                bbox_score=np.ones(1, np.float32), keypoints=keypoints, keypoints_visible=visible,
            )
        )['data_samples']  # fmt: skip
        assert sample.gt_instance_labels.keypoint_weights[0, absent] == 0
        assert sample.gt_fields.heatmaps[absent].abs().max() == 0
        assert sample.gt_instance_labels.keypoint_weights.sum() > 0
