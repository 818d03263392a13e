"""The sets of variants: the paper's ablations, baselines, and what the paper leaves open."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Union

from mmengine import Config

Overrides = dict[str, Any]
Variant = Union[Overrides, Callable[[Config], Overrides]]

RATIOS = (0.0, 0.2, 0.7, 0.9)  # 0.45 is the default

STEP_TIMES = {'single frame': 0.118, 'concatenation 3x3': 0.306}
"""Time of a training step over CM-Pose's in `configs/experiments/cmpose.py`, by
`benchmarks/step_time.py`. Other models and machines have others."""


def single_frame(config: Config) -> Overrides:
    """The single-frame model on the same samples; its step is shorter."""
    return {**_clip_lengths(1, 1), 'model.method': dict(_delete_=True, type='KeyFrameOnly')}


def averaged_heatmaps(config: Config) -> Overrides:
    """The single-frame model, tested with the mean of the heatmaps of the clip's frames."""
    num_frames = config.model.method.num_frames
    return {
        **_clip_lengths(1, num_frames),
        'model.method': dict(_delete_=True, type='StackedFrames', num_frames=num_frames),
        'model.head.type': 'HeatmapAverageHead',
    }


def concatenation(kernel_size: int) -> Variant:
    """One convolution over the concatenated frames."""

    def overrides(config: Config) -> Overrides:
        method = config.model.method
        sizes = dict(embed_dims=method.embed_dims, num_frames=method.num_frames)
        method = dict(_delete_=True, type='FrameConcat', kernel_size=kernel_size, **sizes)
        return {'model.method': method}

    return overrides


def other_rate(variant: Variant, factor: float) -> Variant:
    """A variant with another learning rate: who says that CM-Pose's suits it?"""

    def overrides(config: Config) -> Overrides:
        rate = config.optim_wrapper.optimizer.lr
        return {**_resolve(variant, config), 'optim_wrapper.optimizer.lr': factor * rate}

    return overrides


def neck(num_blocks: int, divisor: int) -> Variant:
    """Another depth of the neck, and width of its attention: tokens' width over ``divisor``.

    Heads have 32 channels, as in the configs, rounded down to whole heads; an attention narrower
    than two is one head.
    """

    def overrides(config: Config) -> Overrides:
        dims = config.model.method.embed_dims // divisor
        heads = max(1, dims // 32)
        if heads > 1:
            dims = 32 * heads
        values = dict(num_blocks=num_blocks, attention_dims=dims, num_heads=heads)
        return {f'model.method.neck.{name}': value for name, value in values.items()}

    return overrides


def equal_time(variant: Variant, step_time: float) -> Variant:
    """A variant that trains as long as CM-Pose.

    Longer by a number of steps, not by the clock: results do not depend on what else runs.

    Args:
        variant: what trains.
        step_time: of the variant over that of CM-Pose.
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


def _clip_lengths(train: int, test: int) -> Overrides:
    return {
        'train_dataloader.dataset.num_frames': train,
        'val_dataloader.dataset.num_frames': test,
        'test_dataloader.dataset.num_frames': test,
    }


EXPERIMENTS: dict[str, dict[str, Variant]] = {
    # Does it help? Everybody sees the same samples.
    'baselines': {
        'CM-Pose': {},
        'single frame': single_frame,
        'single frame, 10x rate': other_rate(single_frame, 10),
        'averaged heatmaps': averaged_heatmaps,
        'concatenation 1x1': concatenation(1),
        'concatenation 3x3': concatenation(3),
    },
    # Everybody trains for the same time.
    'equal_time': {
        'CM-Pose': {},
        'single frame, equal time': equal_time(single_frame, STEP_TIMES['single frame']),
        'single frame, 10x rate, equal time': equal_time(
            other_rate(single_frame, 10), STEP_TIMES['single frame']
        ),
        'concatenation 3x3, equal time': equal_time(
            concatenation(3), STEP_TIMES['concatenation 3x3']
        ),
    },
    # Are the others so short that they favor whoever adds the least?
    'budget': {
        'CM-Pose, 3x steps': longer({}, 3),
        'single frame, 3x steps': longer(single_frame, 3),
        'concatenation 3x3, 3x steps': longer(concatenation(3), 3),
        'primary, 3x steps': longer({'model.method.aux': None}, 3),
        'no FTE, 3x steps': longer({'model.method.fte': None}, 3),
    },
    # Which auxiliary tasks: the paper's Table 4.
    'table4': {
        'CM-Pose': {},
        'primary + mask': {'model.method.aux.noise_ratio': 0.0},
        'primary + denoise': {'model.method.aux.mask_ratio': 0.0},
        'primary': {'model.method.aux': None},
    },
    # What reaches the head: the paper's Table 5.
    'table5': {
        'CM-Pose': {},
        'causal tokens only': {'model.method.fte.causal_only': True},
        'no FTE': {'model.method.fte': None},
    },
    # One ratio varies, the other keeps its default: the paper's Figure 3.
    'figure3': {
        'CM-Pose': {},
        **{f'mask {r}': {'model.method.aux.mask_ratio': r} for r in RATIOS},
        **{f'noise {r}': {'model.method.aux.noise_ratio': r} for r in RATIOS},
    },
    # What the paper leaves open; `CM-Pose` has the defaults.
    'readings': {
        'CM-Pose': {},
        **{f'lambda {v}': {'model.method.aux.loss_weight': v} for v in (0.001, 0.01, 1.0)},
        'separate pathways': {'model.method.neck.shared_pathways': False},
        'pathways: weighted sum': {'model.method.neck.fusion': 'weighted_sum'},
        'frames: weighted sum': {'model.method.temporal_fusion': 'weighted_sum'},
        'union selection': {'model.method.fte.selection': 'union'},
        'literal merge': {'model.method.fte.normalize_merge': False},
        'target not detached': {'model.method.aux.detach_target': False},
        **{f'n {v}': {'model.method.fte.num_causal': v} for v in (1, 8)},
        **{f'L {v}': {'model.method.fte.num_clusters': v} for v in (16, 66)},
        'k 20': {'model.method.fte.num_neighbors': 20},
    },
    # What the neck's depth and width are worth.
    'neck': {
        'CM-Pose': {},
        '1 block, width D/8': neck(1, 8),
        '2 blocks, width D/8': neck(2, 8),
        '2 blocks, width D/3': neck(2, 3),
        '1 block, width D': neck(1, 1),
    },
}
"""Set -> variant -> overrides, as ``Config.merge_from_dict`` takes them (dotted config keys), or a
function that makes them from the config. The first variant of a set is what the others are compared
with. A name means the same in all sets: they share its runs."""

NUMBERS = {'figure3': ('ratio', 0.45)}
"""Set whose variants end in numbers -> what these are, and the first variant's."""


def variant_config(config: Config, variant: Variant, overrides: Overrides | None = None) -> Config:
    """The config of a variant.

    Args:
        config: what the variant overrides; stays as it is.
        variant: a value of a set of `EXPERIMENTS`.
        overrides: further ones.
    """
    resolved = copy.deepcopy({**_resolve(variant, config), **(overrides or {})})
    config = copy.deepcopy(config)
    config.merge_from_dict(resolved)
    return config


def _resolve(variant: Variant, config: Config) -> Overrides:
    return variant(config) if callable(variant) else variant
