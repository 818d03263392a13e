"""EpochSeedHook: what is random in an epoch follows from seed, epoch and rank alone."""

import random

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from cmpose_mm.engine import EpochSeedHook
from cmpose_mm.engine.epoch_seed_hook import epoch_seed, leaf_datasets


class Recorder(BaseDataset):
    """Three samples; remembers what it was told."""

    epoch = None

    def load_data_list(self) -> list[dict]:
        return [{}, {}, {}]

    def set_epoch(self, epoch: int, seed: int) -> None:
        self.epoch = (epoch, seed)


class FakeRunner:
    def __init__(self, dataset, seed, epoch):
        self.train_dataloader = torch.utils.data.DataLoader(dataset)
        self.seed, self.epoch = seed, epoch


def draws(seed: int, epoch: int) -> tuple:
    EpochSeedHook().before_train_epoch(FakeRunner(Recorder(), seed, epoch))
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.slow
def test_draws_depend_on_seed_and_epoch_only():
    first = draws(0, 3)
    torch.rand(100)
    assert draws(0, 3) == first
    for other in (draws(0, 4), draws(1, 3)):
        assert all(a != b for a, b in zip(first, other))


def test_seeds_are_valid_and_distinct():
    seeds = {epoch_seed(seed, epoch) for seed in range(50) for epoch in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert 0 <= epoch_seed(2**31 - 1, 10**6) < 2**31


@pytest.mark.slow
def test_wrapped_datasets_learn_the_epoch():
    leaves = [Recorder(), Recorder(), Recorder()]
    wrapped = torch.utils.data.ConcatDataset(
        [RepeatDataset(leaves[0], times=2), ConcatDataset(leaves[1:])]
    )
    assert list(leaf_datasets(wrapped)) == leaves
    EpochSeedHook().before_train_epoch(FakeRunner(wrapped, 5, 2))
    assert [leaf.epoch for leaf in leaves] == [(2, 5)] * 3


@pytest.mark.slow
def test_runner_gives_every_epoch_other_samples(tiny_config, synthetic_root):
    """In the real runner, with a persistent worker: epochs differ, a second run repeats them."""

    def epochs() -> list[list[torch.Tensor]]:
        config = Config.fromfile(
            tiny_config(synthetic_root, extra='train_cfg = dict(max_epochs=2)')
        )
        config.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=False)
        with DefaultScope.overwrite_default_scope('mmpose'):
            loader = Runner.build_dataloader(config.train_dataloader, seed=0)
        clips = []
        for epoch in range(2):
            EpochSeedHook().before_train_epoch(FakeRunner(loader.dataset, 0, epoch))
            clips.append([clip for batch in loader for clip in batch['inputs']])
        return clips

    (first, second), repeated = epochs(), epochs()
    assert all(torch.equal(a, b) for a, b in zip(first + second, repeated[0] + repeated[1]))
    different = [not torch.equal(a, b) for a, b in zip(first, second)]
    assert all(different)
