"""JM-Pose's sets of variants: its parts, its depth, its objective, the number of frames."""

from __future__ import annotations

from cmpose_mm.ablation.variants import Variant

SETS: dict[str, dict[str, Variant]] = {
    # What each part brings.
    'parts': {
        'JM-Pose': {},
        'J = M': {'model.method.joint_learner': False},
        'no mutual learning': {
            'model.method.num_layers': 0,
            'model.method.orthogonality_weight': 0.0,
        },
        'plain aggregation': {'model.method.residual': False},
    },
    # What the learning from each other and its loss bring, each alone.
    'mutual': {
        'JM-Pose': {},
        'no orthogonality': {'model.method.orthogonality_weight': 0.0},
        'no mutual learning': {
            'model.method.num_layers': 0,
            'model.method.orthogonality_weight': 0.0,
        },
    },
    # How many layers of mutual learning; `JM-Pose` has 2.
    'layers': {'JM-Pose': {}, **{f'L {v}': {'model.method.num_layers': v} for v in (1, 3, 4)}},
    # What motion and joints may share.
    'objective': {
        'JM-Pose': {},
        'no orthogonality': {'model.method.orthogonality_weight': 0.0},
        'unconditional': {'model.method.condition': None},
        **{f'weight {v}': {'model.method.orthogonality_weight': v} for v in (0.0001, 0.01)},
    },
    'frames': {f'T {t}': {'model.method.num_frames': t} for t in (3, 5)},
}

NUMBERS = {'layers': ('L', 2)}
