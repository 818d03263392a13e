"""HKM's sets of variants: its masks, its motion, losses for the masks, the frames."""

from __future__ import annotations

from mmengine import Config

from cmpose_mm.ablation.variants import Overrides, Variant

from .hkm import annealed


def keeping(keep_ratio: float) -> Variant:
    """A human mask that keeps another share of the cells, and anneals to it."""

    def overrides(config: Config) -> Overrides:
        return {
            'model.method.keep_ratio': keep_ratio,
            'default_hooks.human_mask.values': dict(annealed(keep_ratio), _delete_=True),
        }

    return overrides


def not_annealed(config: Config) -> Overrides:
    """The human mask of the config from the first step on."""
    keep_ratio = config.model.method.get('keep_ratio', 0.5)
    return {'default_hooks.human_mask.values': {0.0: keep_ratio, '_delete_': True}}


SETS: dict[str, dict[str, Variant]] = {
    # The masks of the visual stream.
    'masks': {
        'HKM': {},
        'masked cells zero': {'model.method.background': 'zero'},
        'no gate': {'model.method.gate': False},
        'no annealing': not_annealed,
        **{f'keep {v}': keeping(v) for v in (0.35, 0.7, 1.0)},
        **{f'n {v}': {'model.method.joint_cells': v} for v in (1, 2)},
    },
    # How the neighbors are read.
    'motion': {
        'HKM': {},
        'one attention for both sides': {'model.method.separation': 'joint'},
        'body as reference': {'model.method.reference': 'body'},
        **{f'P {v}': {'model.method.num_points': v} for v in (1, 8)},
    },
    # Losses that teach the masks, which the paper does not have.
    'losses': {
        'HKM': {},
        'human loss': {'model.method.human_weight': 0.001},
        'keypoint loss': {'model.method.keypoint_weight': 0.001},
        'both losses': {
            'model.method.human_weight': 0.001,
            'model.method.keypoint_weight': 0.001,
        },
    },
    'frames': {f'T {t}': {'model.method.num_frames': t} for t in (3, 5)},
}
