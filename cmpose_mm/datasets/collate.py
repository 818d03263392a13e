"""Collates a batch so that it passes cheaply from a data worker to the training process."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS
from mmpose.structures import PoseDataSample


class DataSamples(list):
    """The data samples of a batch, whose training targets are sent between processes as arrays.

    PyTorch sends every tensor through a file of its own, which costs the receiver more time than
    copying. Arrays are part of the message itself; the receiver turns them back into tensors.
    """

    def __reduce__(self) -> tuple:
        return _received, ([_with_arrays(sample) for sample in self],)


@FUNCTIONS.register_module()
def collate_clips(samples: Sequence[dict]) -> dict:
    """MMEngine's ``pseudo_collate``, with clips in one tensor and data samples as `DataSamples`.

    The model gets the same batch, but receiving it takes the training process, which also launches
    the GPU's work, less than half the time. For training only: MMEngine's inferencers cannot read a
    ``collate_fn`` from ``test_dataloader``.

    Args:
        samples: the pipeline's output: ``inputs`` (T, 3, H, W) and ``data_samples``.

    Returns:
        ``inputs`` (B, T, 3, H, W), or a list where shapes differ, and ``data_samples``.
    """
    batch = pseudo_collate(samples)
    if len({clip.shape for clip in batch['inputs']}) == 1:
        batch['inputs'] = torch.stack(batch['inputs'])
    return dict(batch, data_samples=DataSamples(batch['data_samples']))


def _targets(sample: PoseDataSample) -> list[str]:
    """Names of the fields that PackPoseInputs packs as tensors."""
    return [name for name in ('gt_fields', 'gt_instance_labels') if name in sample]


def _with_arrays(sample: PoseDataSample) -> PoseDataSample:
    """A copy whose targets are arrays."""
    copy = sample.new()
    for name in _targets(copy):
        setattr(copy, name, getattr(copy, name).numpy())
    return copy


def _received(samples: list[PoseDataSample]) -> DataSamples:
    for sample in samples:
        for name in _targets(sample):
            setattr(sample, name, getattr(sample, name).to_tensor())
    return DataSamples(samples)
