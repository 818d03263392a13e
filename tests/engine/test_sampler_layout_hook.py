"""The training sampler learns batch size and workers from the data loader, in the real runner."""

from __future__ import annotations

import pytest
import torch
from mmengine import Config
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

from cmpose_mm.datasets import GroupedFrameSampler
from cmpose_mm.engine import SamplerLayoutHook


class FakeRunner:
    def __init__(self, loader):
        self.train_dataloader = loader


@pytest.mark.slow
@pytest.mark.parametrize('batch_size, num_workers', [(3, 0), (1, 2)])
def test_runner_fits_the_sampler_to_the_loader(
    tiny_config, synthetic_root, batch_size, num_workers
):
    extra = (
        f'train_dataloader.update(batch_size={batch_size}, num_workers={num_workers}, '
        f'persistent_workers={num_workers > 0})\n'
        "train_dataloader['dataset']['indices'] = 4\n"
    )
    config = Config.fromfile(tiny_config(synthetic_root, extra=extra))
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    config.default_hooks.checkpoint = dict(type='CheckpointHook', interval=10)
    runner = Runner.from_cfg(config)
    runner.train()
    sampler = runner.train_dataloader.sampler
    assert isinstance(sampler, GroupedFrameSampler)
    assert (sampler.batch_size, sampler.num_workers) == (batch_size, num_workers)


def test_other_samplers_are_left_alone():
    data = list(range(5))
    for loader in (
        torch.utils.data.DataLoader(data),
        torch.utils.data.DataLoader(data, sampler=DefaultSampler(data, seed=0)),
        torch.utils.data.DataLoader(data, batch_size=None),
    ):
        before = list(loader)
        SamplerLayoutHook().before_train_epoch(FakeRunner(loader))
        assert list(loader) == before
