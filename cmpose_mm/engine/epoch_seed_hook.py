"""Randomness that follows from seed and epoch, so that a resumed run repeats the whole one."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.runner import Runner, set_random_seed
from mmpose.registry import HOOKS


def leaf_datasets(dataset) -> Iterator:
    """The datasets below MMEngine's and MMPose's wrappers (concatenated, repeated, combined)."""
    children = getattr(dataset, 'datasets', None)
    if children is None and hasattr(dataset, 'dataset'):
        children = [dataset.dataset]
    if children is None:
        yield dataset
    else:
        for child in children:
            yield from leaf_datasets(child)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Reseeds everything random at the start of each training epoch, from seed and epoch alone.

    MMEngine seeds a process once, and its data workers with the same numbers whenever they start: a
    run that was killed and resumed continues with other dropout masks than the uninterrupted one,
    and workers that are restarted every epoch repeat one epoch's augmentation for ever. This hook
    seeds python, numpy and torch with (seed, epoch, rank), and hands seed and epoch to every
    training dataset that has ``set_epoch`` (see `PoseTrackVideoDataset.set_epoch`), which
    seeds each sample by itself. The order of the samples is `DefaultSampler`'s, seeded by
    MMEngine's own `DistSamplerSeedHook`.

    It belongs into ``default_hooks``, which a child config extends, not into ``custom_hooks``,
    which a child config replaces. Epoch-based training only: an iteration-based run is one epoch.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds this process and tells the training datasets the epoch."""
        set_random_seed(epoch_seed(runner.seed, runner.epoch), diff_rank_seed=True)
        for dataset in leaf_datasets(runner.train_dataloader.dataset):
            if hasattr(dataset, 'set_epoch'):
                dataset.set_epoch(runner.epoch, runner.seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed in [0, 2^31) for one epoch, far from those of neighboring seeds and epochs."""
    return (seed * 1_000_003 + epoch * 7_919_777) % 2**31
