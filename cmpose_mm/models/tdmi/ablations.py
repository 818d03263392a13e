"""TDMI's sets of variants: its parts, what it sees, and what the paper leaves open."""

from __future__ import annotations

from mmengine import Config

from cmpose_mm.ablation.variants import Overrides, Variant

from .tdmi import default_blocks


def last_stages(count: int) -> Variant:
    """Differences of the last so many stages alone, each with as many blocks as among all."""

    def overrides(config: Config) -> Overrides:
        method = config.model.method
        num_maps = len(method.in_channels)
        if count > num_maps:
            raise ValueError(
                f'{config.filename}: model.method.in_channels has {num_maps} maps, so there are no '
                f'last {count} stages'
            )
        blocks = method.get('blocks') or default_blocks(num_maps)
        return {
            'model.method.stages': list(range(num_maps - count, num_maps)),
            'model.method.blocks': list(blocks)[-count:],
        }

    return overrides


SETS: dict[str, dict[str, Variant]] = {
    # What each part brings.
    'parts': {
        'TDMI': {},
        'TDMI-ST': {'model.method.appearance': True},
        'no deformation': {'model.method.deformation': None},
        'no gates': {'model.method.gates': None, 'model.method.mi': 'none'},
        'plain aggregation': {'model.method.residual': False},
    },
    # The variant of the paper.
    'appearance': {'TDMI': {}, 'TDMI-ST': {'model.method.appearance': True}},
    # How useful and noisy motion are told apart.
    'information': {
        'TDMI': {},
        'no information loss': {'model.method.mi': 'none'},
        'tied gates': {'model.method.gates': 'tied'},
        'CLUB': {'model.method.mi': 'club'},
        'sufficiency 0.001': {'model.method.sufficiency_weight': 0.001},
        **{f'beta {v}': {'model.method.mi_weight': v} for v in (0.0001, 0.01)},
    },
    # Which stages are compared; `TDMI` has all, four with ViT, ResNet or HRNet.
    'stages': {'TDMI': {}, 'last stage': last_stages(1), 'last two stages': last_stages(2)},
    'frames': {f'T {t}': {'model.method.num_frames': t} for t in (3, 5)},
}
