"""Batches that pass cheaply between processes hold what MMEngine's batches hold."""

from __future__ import annotations

import copy
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample
from torch.utils.data import DataLoader

from cmpose_mm.datasets import collate_clips
from cmpose_mm.models import ClipDataPreprocessor


def sample(seed: int, with_targets: bool = True, shape=(3, 3, 16, 12)) -> dict:
    """What PackClipInputs gives."""
    rng = np.random.RandomState(seed)
    data_sample = PoseDataSample(metainfo=dict(id=seed, frame_paths=['a', 'b'], clip_seed=2**62))
    data_sample.gt_instances = InstanceData(
        bboxes=rng.rand(1, 4).astype(np.float32), keypoints=rng.rand(1, 15, 2)
    )
    if with_targets:
        data_sample.gt_fields = PixelData(heatmaps=torch.from_numpy(rng.rand(15, 4, 3)))
        data_sample.gt_instance_labels = InstanceData(
            keypoint_weights=torch.from_numpy(rng.rand(1, 15))
        )
    inputs = torch.from_numpy(rng.randint(0, 256, shape).astype(np.uint8))
    return dict(inputs=inputs, data_samples=data_sample)


class Samples:
    def __init__(self, **kwargs):
        self.kwargs = kwargs

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return sample(index, **self.kwargs)


def assert_same(one: PoseDataSample, other: PoseDataSample) -> None:
    """Equal in type and content, metainfo included."""
    assert type(one) is type(other)
    assert set(one.all_keys()) == set(other.all_keys())
    for key in one.all_keys():
        a, b = one.get(key), other.get(key)
        if isinstance(a, (InstanceData, PixelData)):
            assert type(a) is type(b) and set(a.keys()) == set(b.keys())
            for name in a.keys():  # noqa: SIM118
                assert type(a.get(name)) is type(b.get(name))
                np.testing.assert_array_equal(a.get(name), b.get(name))
                assert a.get(name).dtype == b.get(name).dtype
        else:
            assert a == b


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('with_targets', [True, False])
def test_equals_pseudo_collate_also_from_workers(num_workers, with_targets):
    data = Samples(with_targets=with_targets)
    got = DataLoader(data, batch_size=4, num_workers=num_workers, collate_fn=collate_clips)
    expected = DataLoader(data, batch_size=4, collate_fn=pseudo_collate)
    for batch, other in zip(got, expected):
        assert isinstance(batch['inputs'], torch.Tensor)
        assert torch.equal(batch['inputs'], torch.stack(other['inputs']))
        assert isinstance(batch['data_samples'], list)
        assert len(batch['data_samples']) == len(other['data_samples'])
        for one, another in zip(batch['data_samples'], other['data_samples']):
            assert_same(one, another)


def test_no_tensor_of_a_data_sample_travels_by_itself():
    samples = [sample(i) for i in range(4)]
    batch = collate_clips(samples)['data_samples']
    for data_samples, alone in ((batch, False), (list(batch), True)):
        message = bytes(ForkingPickler.dumps(data_samples))
        assert (b'rebuild_tensor' in message) == alone
    for index, left in enumerate(batch):  # as they were
        assert_same(left, sample(index)['data_samples'])


def test_copies():
    batch = collate_clips([sample(0), sample(1)])['data_samples']
    for other in (copy.copy(batch), copy.deepcopy(batch)):
        assert type(other) is type(batch)
        for one, another in zip(batch, other):
            assert_same(one, another)


@pytest.mark.parametrize('shape', [(3, 3, 16, 12), (3, 16, 12)])
def test_the_model_sees_the_same(shape):
    preprocessor = ClipDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    )
    samples = [sample(i, shape=shape) for i in range(3)]
    got, expected = (
        preprocessor(collate(copy.deepcopy(samples)), True)
        for collate in (collate_clips, pseudo_collate)
    )
    assert torch.equal(got['inputs'], expected['inputs'])
    for one, another in zip(got['data_samples'], expected['data_samples']):
        assert_same(one, another)


def test_clips_of_different_shapes_are_left_for_the_model_to_refuse():
    samples = [sample(0), sample(1, shape=(2, 3, 16, 12))]
    batch = collate_clips(samples)
    assert [tuple(clip.shape) for clip in batch['inputs']] == [(3, 3, 16, 12), (2, 3, 16, 12)]
    with pytest.raises(ValueError, match='clips of a batch must have one shape'):
        ClipDataPreprocessor()(batch)


def test_configs_find_it_by_name():
    assert FUNCTIONS.get('collate_clips') is collate_clips
