"""Tells the training sampler how the data loader spreads its samples."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS


@HOOKS.register_module()
class SamplerLayoutHook(Hook):
    """Gives batch size and number of workers to a training sampler that asks for them.

    `GroupedFrameSampler` has to know them, and a runner doesn't pass them on. So they stand in one
    place of a config, ``train_dataloader``. Other samplers are left alone.

    In an iteration-based run, MMEngine 0.10 starts the data workers before any hook: give the
    sampler ``batch_size`` and ``num_workers`` in the config there.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Calls ``set_layout`` of the sampler, if it has one."""
        loader = runner.train_dataloader
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if hasattr(sampler, 'set_layout'):
            sampler.set_layout(loader.batch_sampler.batch_size, loader.num_workers)
