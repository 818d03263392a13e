"""STDPose's sets of variants: its parts, its masks, its fusion of features, the frames."""

from __future__ import annotations

from cmpose_mm.ablation.variants import Variant

SETS: dict[str, dict[str, Variant]] = {
    # What each part brings.
    'parts': {
        'STDPose': {},
        'masks of ones': {'model.method.dam': 'ones'},
        'no motion': {'model.method.dam': None},
        'no feature fusion': {'model.method.tff': None},
        'no keypoint synthesis': {'model.method.tks': False},
    },
    # What counts as motion.
    'masks': {
        'STDPose': {},
        'masks of ones': {'model.method.dam': 'ones'},
        'gradient through the masks': {'model.method.dam_detach': False},
        'normalized heatmaps': {'model.method.dam_normalize': True},
        **{f'theta {v}': {'model.method.dam_threshold': v} for v in (0.05, 0.3)},
    },
    # How the frames' features are brought together.
    'fusion': {
        'STDPose': {},
        'one layer': {'model.method.tff_layers': 1},
        'criss-cross': {'model.method.tff': 'criss_cross'},
        'no feature fusion': {'model.method.tff': None},
    },
    'frames': {f'T {t}': {'model.method.num_frames': t} for t in (3, 5)},
}
