"""Tells the training sampler how the data loader distributes its samples."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS


@HOOKS.register_module()
class SamplerLayoutHook(Hook):
    """Passes batch size and number of workers to a training sampler that asks for them.

    `GroupedFrameSampler` needs them, and MMEngine's runner does not pass them on. With this hook, a
    config gives them only once, in ``train_dataloader``. Other samplers are not changed.

    In an iteration-based run, MMEngine 0.10 starts the data workers before any hook, so the config
    must give ``batch_size`` and ``num_workers`` to the sampler.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Calls ``set_layout`` of the sampler, if it has one."""
        loader = runner.train_dataloader
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if hasattr(sampler, 'set_layout'):
            sampler.set_layout(loader.batch_sampler.batch_size, loader.num_workers)
