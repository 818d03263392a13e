"""Randomness that depends only on seed and epoch, so a resumed run equals an uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner, set_random_seed
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

    MMEngine seeds a process once, and seeds its data workers with the same numbers whenever they
    start. So a resumed run has other dropout masks than an uninterrupted one, and workers that
    restart every epoch repeat the same augmentation. This hook seeds python, numpy and torch with
    (seed, epoch, rank), and passes seed and epoch to every training dataset that has ``set_epoch``
    (see `PoseTrackVideoDataset.set_epoch`), which seeds each sample. The order of the samples is
    seeded by MMEngine's own `DistSamplerSeedHook`.

    In iteration-based training, which MMEngine counts as one epoch, a pass over the loader is the
    epoch: ``iter // len(loader)``. The seeds change behind its last batch, before MMEngine starts
    the next pass. A loader that never ends (``InfiniteSampler``) has fetched some batches ahead by
    then, which keep the seeds of the pass before; its passes are as long as the data, up to the
    rest that fills no batch.

    Put it into ``default_hooks``, which a child config extends, not into ``custom_hooks``, which a
    child config replaces.
    """

    _by_iter = False

    def before_train(self, runner: Runner) -> None:
        """Notes whether MMEngine counts epochs."""
        self._by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds this process and passes the epoch to the training datasets."""
        _seed(runner, runner.iter // pass_length(runner) if self._by_iter else runner.epoch)

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        """Does the same after the last iteration of a pass, in iteration-based training."""
        if self._by_iter and (runner.iter + 1) % pass_length(runner) == 0:
            _seed(runner, (runner.iter + 1) // pass_length(runner))


def pass_length(runner: Runner) -> int:
    """Iterations in which all processes together see the training data once, at least 1."""
    loader = runner.train_dataloader
    is_endless = isinstance(loader.sampler, InfiniteSampler)  # its length is that of all processes
    return max(1, len(loader) // (get_world_size() if is_endless else 1))


def _seed(runner: Runner, epoch: int) -> None:
    set_random_seed(epoch_seed(runner.seed, epoch), diff_rank_seed=True)
    for dataset in leaf_datasets(runner.train_dataloader.dataset):
        if hasattr(dataset, 'set_epoch'):
            dataset.set_epoch(epoch, runner.seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed in [0, 2^31) for one epoch, far from those of neighboring seeds and epochs."""
    return (seed * 1_000_003 + epoch * 7_919_777) % 2**31
