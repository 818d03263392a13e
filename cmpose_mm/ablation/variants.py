"""Variants, which are changes to a config, and functions that derive one variant from another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Union

from mmengine import Config

Overrides = dict[str, Any]
Variant = Union[Overrides, Callable[[Config], Overrides]]
"""Overrides for ``Config.merge_from_dict`` (dotted config keys), or a function that computes them
from the config."""


def other_rate(variant: Variant, factor: float) -> Variant:
    """A variant with another learning rate, since CM-Pose's may not suit it."""

    def overrides(config: Config) -> Overrides:
        rate = config.optim_wrapper.optimizer.lr
        return {**_resolve(variant, config), 'optim_wrapper.optimizer.lr': factor * rate}

    return overrides


def equal_time(variant: Variant, step_time: float) -> Variant:
    """A variant that trains for as long as the set's first variant.

    The time is given as a number of steps, so results do not depend on the machine's load.

    Args:
        variant: the variant to train longer.
        step_time: time of one of its training steps over that of the first variant.
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
        config: the config that the variant overrides; it is not changed.
        variant: from a set of `EXPERIMENTS`.
        overrides: further overrides.
    """
    resolved = copy.deepcopy({**_resolve(variant, config), **(overrides or {})})
    config = copy.deepcopy(config)
    config.merge_from_dict(resolved)
    return config


def _resolve(variant: Variant, config: Config) -> Overrides:
    return variant(config) if callable(variant) else variant
