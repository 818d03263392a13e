"""CM-Pose's sets of variants: the paper's ablations, baselines, and what the paper leaves open."""

from __future__ import annotations

from mmengine import Config

from cmpose_mm.ablation.variants import Overrides, Variant, equal_time, longer, other_rate
from cmpose_mm.models.baselines.ablations import averaged_heatmaps, concatenation, single_frame

RATIOS = (0.0, 0.2, 0.7, 0.9)  # 0.45 is the default

STEP_TIMES = {'single frame': 0.120, 'concatenation 3x3': 0.368}
"""Time of a training step divided by that of CM-Pose in `configs/experiments/cmpose.py`, by
`benchmarks/step_time.py --repeats 12` on 30 November 2026. It differs between models and machines:
to the paper's letter it was 0.118 and 0.306."""


def neck(num_blocks: int, divisor: int) -> Variant:
    """The neck with another depth, and attention as wide as the tokens' width over ``divisor``.

    Heads have 32 channels, as in the configs, and their number is rounded down. An attention
    narrower than two heads has a single head.
    """

    def overrides(config: Config) -> Overrides:
        dims = config.model.method.embed_dims // divisor
        heads = max(1, dims // 32)
        if heads > 1:
            dims = 32 * heads
        values = dict(num_blocks=num_blocks, attention_dims=dims, num_heads=heads)
        return {f'model.method.neck.{name}': value for name, value in values.items()}

    return overrides


LETTER: Overrides = {
    'model.method.neck.position': None,
    'model.method.neck.grid': None,
    'model.method.neck.temporal': 'slot',
    'model.method.neck.feed_forward': None,
    'model.method.neck.feed_forward_dims': None,
    'model.method.fte.num_clusters': 33,
    'model.method.fte.similarity_weight': 0.0,
    'model.method.fte.straight_through': False,
    'model.method.fte.restoring': 'replace',
    'model.method.fte.num_layers': 0,
}
"""The paper's letter, whatever a config chooses: what `configs/cmpose/literal.py` says."""
GRID = (16, 12)  # cells of all configs here


def reading(*changes: Overrides) -> Variant:
    """The paper's letter, but for some switches; their keys lack ``model.method.``.

    ``feed_forward_dims`` of ``'narrow'`` is the attention's width.
    """

    def overrides(config: Config) -> Overrides:
        found = {**LETTER}
        for change in changes:
            found.update({f'model.method.{key}': value for key, value in change.items()})
        if found['model.method.neck.feed_forward_dims'] == 'narrow':
            width = config.model.method.neck.attention_dims
            found['model.method.neck.feed_forward_dims'] = width
        return found

    return overrides


SUPERVISED = {'fte.similarity_weight': 0.002}
GATE = {'fte.straight_through': True}
POSITION = {'neck.position': 'sine_cosine'}
RESIDUAL = {'fte.restoring': 'residual'}
LAYER = {'fte.num_layers': 1}
MORE_CLUSTERS = {'fte.num_clusters': 66}
FEED_FORWARD = {'neck.feed_forward': 'separate', 'neck.feed_forward_dims': 'narrow'}
NEIGHBORHOOD = {'neck.temporal': 'neighborhood'}


def frame_distance(stride: int) -> Variant:
    """Clips whose frames are so many frames apart; in sets of distinct frames, distinct ones.

    The set's first variant is the config itself, whose frames have to follow each other.
    """

    def overrides(config: Config) -> Overrides:
        found = config.train_dataloader.dataset.get('stride', 1)
        if found != 1:
            raise ValueError(
                f'{config.filename}: the frames of a clip are {found} apart '
                '(train_dataloader.dataset.stride); expected 1 for a set of distances'
            )
        return {f'{name}_dataloader.dataset.stride': stride for name in ('train', 'val', 'test')}

    return overrides


def copies_of_the_key_frame(config: Config) -> Overrides:
    """The same parameters without neighbors: copies of the key frame in training and test."""
    return {
        f'{loader}_dataloader.dataset.pipeline': [
            dict(type='RepeatKeyFrame'),
            *config[f'{loader}_dataloader'].dataset.pipeline,
        ]
        for loader in ('train', 'val', 'test')
    }


def tasks_teach_the_backbone(config: Config) -> Overrides:
    """The auxiliary tasks as by default in `AuxReconLoss`: their gradients reach the backbone."""
    aux = {key: value for key, value in config.model.method.aux.items() if key != 'detach_input'}
    return {'model.method.aux': dict(_delete_=True, **aux)}


def tasks_teach_all_but_the_scale(config: Config) -> Overrides:
    """The same, but they do not change the size of the backbone's features."""
    ((key, aux),) = tasks_teach_the_backbone(config).items()
    return {key: dict(aux, detach_scale=True)}


SETS: dict[str, dict[str, Variant]] = {
    # Does it help? All variants see the same samples.
    'baselines': {
        'CM-Pose': {},
        'single frame': single_frame,
        'single frame, 10x rate': other_rate(single_frame, 10),
        'averaged heatmaps': averaged_heatmaps,
        'concatenation 1x1': concatenation(1),
        'concatenation 3x3': concatenation(3),
    },
    # All variants train for the same time.
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
    # Do the shorter trainings favor the variants that add the least?
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
    # What the tasks do to the backbone in long trainings.
    'task_gradients': {
        'tasks teach the neck alone': {'model.method.aux.detach_input': True},
        'tasks teach the backbone': tasks_teach_the_backbone,
        'tasks teach all but the scale': tasks_teach_all_but_the_scale,
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
    # How far apart the frames are; `CM-Pose` has 1.
    'distance': {'CM-Pose': {}, **{f'distance {s}': frame_distance(s) for s in (2, 3)}},
    # How many frames; `CM-Pose` has 3.
    'frames': {'CM-Pose': {}, **{f'T {t}': {'model.method.num_frames': t} for t in (1, 5)}},
    # What the neighbors are worth, at the same number of parameters.
    'copies': {'CM-Pose': {}, 'copies of the key frame': copies_of_the_key_frame},
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
    # What makes causal tokens causal: each reading alone, and together. Measured by
    # benchmarks/causal_tokens.py, as is the next set.
    'causal': {
        'letter': reading(),
        **{
            f'supervised S, {w}': reading({'fte.similarity_weight': w})
            for w in (0.0005, 0.002, 0.008)
        },
        'gate': reading(GATE),
        'supervised S, gate': reading(SUPERVISED, GATE),
        'position': reading(POSITION),
        'learned position': reading({'neck.position': 'learned', 'neck.grid': GRID}),
        'residual': reading(RESIDUAL),
        'more clusters': reading(MORE_CLUSTERS),
        'layer': reading(LAYER),
        'feed-forward': reading(FEED_FORWARD),
        'shared feed-forward': reading(FEED_FORWARD, {'neck.feed_forward': 'shared'}),
        '3x3 neighborhood (not in the paper)': reading(NEIGHBORHOOD),
        'supervised S, position': reading(SUPERVISED, POSITION),
        'supervised S, residual': reading(SUPERVISED, RESIDUAL),
        'supervised S, position, residual': reading(SUPERVISED, POSITION, RESIDUAL),
        'supervised S, position, more clusters': reading(SUPERVISED, POSITION, MORE_CLUSTERS),
        'supervised S, residual, layer': reading(SUPERVISED, RESIDUAL, LAYER),
        'supervised S, position, residual, layer': reading(SUPERVISED, POSITION, RESIDUAL, LAYER),
        'supervised S, position, residual, feed-forward': reading(
            SUPERVISED, POSITION, RESIDUAL, FEED_FORWARD
        ),
        'supervised S, position, residual, 3x3 neighborhood (not in the paper)': reading(
            SUPERVISED, POSITION, RESIDUAL, NEIGHBORHOOD
        ),
    },
    # The readings that the config chooses, against the letter and simple methods.
    'finalists': {
        'CM-Pose': {},
        'letter': reading(),
        'primary': {'model.method.aux': None},
        'no FTE': {'model.method.fte': None},
        'concatenation 3x3': concatenation(3),
        'single frame': single_frame,
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

NUMBERS = {'figure3': ('ratio', 0.45), 'distance': ('distance', 1), 'frames': ('frames', 3)}
