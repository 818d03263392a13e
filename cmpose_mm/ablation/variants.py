"""A variant: what it changes of a config. And ways to make one out of another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Union

from mmengine import Config

Overrides = dict[str, Any]
Variant = Union[Overrides, Callable[[Config], Overrides]]
"""Overrides as ``Config.merge_from_dict`` takes them (dotted config keys), or a function that makes
them from the config."""


def other_rate(variant: Variant, factor: float) -> Variant:
    """A variant with another learning rate: who says that CM-Pose's suits it?"""

    def overrides(config: Config) -> Overrides:
        rate = config.optim_wrapper.optimizer.lr
        return {**_resolve(variant, config), 'optim_wrapper.optimizer.lr': factor * rate}

    return overrides


def equal_time(variant: Variant, step_time: float) -> Variant:
    """A variant that trains as long as the set's first.

    Longer by a number of steps, not by the clock: results do not depend on what else runs.

    Args:
        variant: what trains.
        step_time: of the variant over that of the first.
    """

    def overrides(config: Config) -> Overrides:
        loop, schedulers = config.train_cfg, config.param_scheduler
        if loop.get('type') != 'IterBasedTrainLoop' or schedulers[-1].get('T_max') is None:
            raise ValueError(
                f'{config.filename}: equal training time needs an IterBasedTrainLoop and a '
                'CosineAnnealingLR as the last of param_scheduler'
            )
        steps = round(loop.max_iters / step_time)
        return {
            **_resolve(variant, config),
            'train_cfg.max_iters': steps,
            'train_cfg.val_interval': steps,
            f'param_scheduler.{len(schedulers) - 1}.T_max': steps,
            'default_hooks.checkpoint.interval': steps,
        }

    return overrides


def longer(variant: Variant, factor: int) -> Variant:
    """A variant that trains for ``factor`` times as many steps."""
    return equal_time(variant, 1 / factor)


def variant_config(config: Config, variant: Variant, overrides: Overrides | None = None) -> Config:
    """The config of a variant.

    Args:
        config: what the variant overrides; stays as it is.
        variant: of a set of `EXPERIMENTS`.
        overrides: further ones.
    """
    resolved = copy.deepcopy({**_resolve(variant, config), **(overrides or {})})
    config = copy.deepcopy(config)
    config.merge_from_dict(resolved)
    return config


def _resolve(variant: Variant, config: Config) -> Overrides:
    return variant(config) if callable(variant) else variant
