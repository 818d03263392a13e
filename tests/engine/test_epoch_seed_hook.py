"""EpochSeedHook: what is random in an epoch follows from seed, epoch and rank alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import (
    BaseDataset,
    ConcatDataset,
    DefaultSampler,
    InfiniteSampler,
    RepeatDataset,
)
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from cmpose_mm.engine import EpochSeedHook, epoch_seed_hook
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


class SampleRecorder(Hook):
    """Keeps the seeds of all training samples, and a draw of the process before each batch."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.batches, self.draws = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.batches.append([sample.clip_seed for sample in data_batch['data_samples']])
        self.draws.append(torch.rand(1).item())


@pytest.mark.slow
@pytest.mark.parametrize('num_workers', [0, 2])
def test_passes_of_iteration_based_training_are_epochs(tiny_config, synthetic_root, num_workers):
    """Three passes have the samples of three epochs; so has a run that goes on in the second."""
    settings = f"""
train_dataloader.update(num_workers={num_workers}, persistent_workers={num_workers > 0})
val_cfg = val_dataloader = val_evaluator = test_cfg = test_dataloader = test_evaluator = None
default_hooks['checkpoint'] = dict(save_best=None, max_keep_ckpts=-1)
"""
    by_iter = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters={})
default_hooks['checkpoint'].update(by_epoch=False, interval={})
log_processor = dict(by_epoch=False)
"""

    def train(name: str, extra: str, resume_from: str | None = None) -> SampleRecorder:
        config = Config.fromfile(tiny_config(synthetic_root, name, settings + extra))
        config.load_from, config.resume = resume_from, resume_from is not None
        runner, recorder = Runner.from_cfg(config), SampleRecorder()
        runner.register_hook(recorder)
        runner.train()
        recorder.per_pass = len(runner.train_dataloader)
        recorder.work_dir = config.work_dir
        return recorder

    epochs = train('epochs', 'train_cfg = dict(max_epochs=3)')
    length, per_pass = len(epochs.draws), epochs.per_pass
    assert length == 3 * per_pass
    assert per_pass > 2
    samples = sum(epochs.batches, [])
    assert len(set(samples)) == len(samples)

    passes = train('passes', by_iter.format(length, per_pass + 1))
    assert passes.batches == epochs.batches and passes.draws == epochs.draws
    checkpoint = f'{passes.work_dir}/iter_{per_pass + 1}.pth'
    resumed = train('resumed', by_iter.format(length, per_pass), checkpoint)
    assert resumed.batches == epochs.batches[per_pass + 1 :]
    assert resumed.draws[-per_pass:] == epochs.draws[-per_pass:]


@pytest.mark.parametrize(
    'sampler, batch_size, processes, expected',
    [('Default', 4, 1, 3), ('Infinite', 4, 1, 3), ('Infinite', 4, 2, 1), ('Infinite', 16, 1, 1)],
)
def test_length_of_a_pass(sampler, batch_size, processes, expected, monkeypatch):
    """Of 12 samples; whatever is left over fills no batch."""
    data = list(range(12))
    kind = dict(Default=DefaultSampler, Infinite=InfiniteSampler)[sampler]
    runner = FakeRunner(data, 0, 0)
    runner.train_dataloader = torch.utils.data.DataLoader(
        data, batch_size, sampler=kind(data), drop_last=True
    )
    monkeypatch.setattr(epoch_seed_hook, 'get_world_size', lambda: processes)
    assert epoch_seed_hook.pass_length(runner) == expected
