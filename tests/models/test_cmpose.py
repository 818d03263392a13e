import argparse
import copy
import re

import numpy as np
import pytest
import slow_cmpose
import slow_information as slow
import slow_transformer
import torch
from mmengine.config import Config, DictAction
from mmengine.runner.checkpoint import load_state_dict
from mmpose.registry import MODELS
from tiny_models import HALF_PRECISIONS, randomize, run_method

from cmpose_mm.models import ClipInput
from cmpose_mm.models.cmpose import CausalTokenFTE, CMPose, CrissCrossSTNeck
from cmpose_mm.models.cmpose.temporal_fusion import (
    ConcatTemporalFusion,
    WeightedSumTemporalFusion,
)

FTE = dict(type='CausalTokenFTE', num_causal=2, num_neighbors=3, num_clusters=4)
AUX = dict(type='AuxReconLoss')
NECK = dict(type='CrissCrossSTNeck', num_heads=2)
SEEDS = torch.tensor([3, 2**62, 8])


def tiny_cmpose(**changes):
    config = dict(
        type='CMPose',
        embed_dims=16,
        num_keypoints=5,
        num_frames=3,
        neck=dict(type='CrissCrossSTNeck', num_blocks=2, num_heads=2),
        fte=FTE,
        aux=AUX,
    )
    return MODELS.build({**config, **changes})


def clip_features(num_clips=3, num_frames=3):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(num_clips, num_frames, 16, 6, 4, generator=generator)


def test_built_from_a_config():
    method = tiny_cmpose()
    assert type(method) is CMPose
    assert method.neck.keypoint_tokens.shape == (5, 16)
    assert method.neck.temporal_embed.shape == (3, 16)


def labels(num_clips=3):
    """Heatmaps and weights of 5 joints; the first clip has no labels."""
    heatmaps = torch.rand(num_clips, 5, 24, 16, generator=torch.Generator().manual_seed(6)) ** 9
    weights = torch.ones(num_clips, 5)
    weights[0] = 0
    return dict(targets=heatmaps, target_weights=weights)


def run_labeled(method, features, seeds=SEEDS, **changes):
    clip = ClipInput.of(
        features, method.key_index, seeds=seeds, **{**labels(len(features)), **changes}
    )
    return method(clip)


@pytest.mark.parametrize('kind', ['concat', 'weighted_sum'])
@pytest.mark.parametrize('key_index', [None, 0, 2])
def test_without_fte_it_starts_as_the_key_frame(kind, key_index):
    method = tiny_cmpose(fte=None, key_index=key_index, temporal_fusion=kind).eval()
    features = clip_features()
    out = run_method(method, features)
    assert torch.equal(out.key_features, features[:, 1 if key_index is None else key_index])
    assert out.losses == {} and out.details == {}


def test_temporal_fusions_match_loops():
    tokens = torch.randn(2, 3, 4, 6)
    concat = randomize(ConcatTemporalFusion(6, 3, 1))
    weighted = randomize(WeightedSumTemporalFusion(6, 3, 1))
    for b in range(2):
        for cell in range(4):
            channels = torch.cat([tokens[b, t, cell] for t in range(3)])
            expected = concat.proj.weight @ channels + concat.proj.bias
            torch.testing.assert_close(concat(tokens)[b, cell], expected)
            expected = sum(weighted.weights[t] * tokens[b, t, cell] for t in range(3))
            torch.testing.assert_close(weighted(tokens)[b, cell], expected)


@pytest.mark.parametrize('key_index', [0, 1, 2])
def test_the_whole_matches_loops(key_index):
    method = randomize(tiny_cmpose(key_index=key_index), std=0.2).double().eval()
    features = clip_features(1).double()
    tokens = features[0].flatten(2).transpose(1, 2).numpy()
    refined = slow_cmpose.criss_cross_neck(tokens, method.neck)
    fused = [
        slow_cmpose.linear(refined[:, cell].reshape(-1), method.temporal_fusion.proj)
        for cell in range(24)
    ]
    fte = method.fte
    scores = slow_cmpose.similarity(fused, refined[key_index, 24:], fte.query, fte.key)
    selected = slow_cmpose.select_exclusive(scores, 2)
    others = sorted(set(range(24)) - {token for joint in selected for token in joint})
    ids, _ = slow_cmpose.cluster(fused, others, 4, 3)
    merged = slow_cmpose.merge(fused, ids, scores.sum(0), 4, normalize=True)
    expected = torch.from_numpy(slow_cmpose.restore(fused, merged, ids))

    out = run_method(method, features)
    assert out.details['causal_tokens'][0].tolist() == selected
    assert out.details['cluster_ids'][0].tolist() == ids
    found = out.key_features[0].flatten(1).T.double()
    # Clusters are merged in float32 at any precision.
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_cells_keep_their_place():
    """Cell (y, x) is token y * w + x on the way in and out."""
    method = tiny_cmpose().eval()
    out = run_method(method, clip_features())
    for b in range(3):
        for token in out.details['causal_tokens'][b].flatten().tolist():
            y, x = divmod(token, 4)
            # Untrained, neck and fusion pass the key frame's features.
            assert torch.equal(out.key_features[b, :, y, x], clip_features()[b, 1, :, y, x])


@pytest.mark.parametrize(
    'changes',
    [
        dict(),
        dict(aux=None),
        dict(fte=None),
        dict(fte=None, aux=None),
        dict(aux=dict(AUX, mask_ratio=0.0)),
        dict(aux=dict(AUX, noise_ratio=0.0)),
        dict(fte=dict(FTE, causal_only=True)),
        dict(fte=dict(FTE, selection='union')),
        dict(fte=dict(FTE, normalize_merge=False)),
        dict(temporal_fusion='weighted_sum'),
        dict(neck=dict(type='CrissCrossSTNeck', num_heads=2, shared_pathways=False)),
        dict(neck=dict(type='CrissCrossSTNeck', num_heads=2, fusion='weighted_sum')),
        dict(neck=dict(NECK, position='learned', grid=(6, 4), feed_forward='shared')),
        dict(neck=dict(NECK, temporal='neighborhood', feed_forward='separate')),
        dict(fte=dict(FTE, restoring='residual', num_layers=1, num_heads=4)),
        dict(fte=dict(FTE, causal_only=True, similarity_weight=0.1)),
        dict(fte=dict(FTE, causal_only=True, straight_through=True, restoring='residual')),
    ],
    ids=str,
)
def test_every_trainable_parameter_receives_a_gradient_at_the_first_step(changes):
    """What DistributedDataParallel waits for."""
    method = tiny_cmpose(**changes).train()
    out = run_labeled(method, clip_features())
    (out.key_features.square().mean() + sum(out.losses.values())).backward()
    assert [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None] == []


def test_losses_by_name():
    assert list(run_method(tiny_cmpose(), clip_features(), SEEDS).losses) == [
        'loss_mask',
        'loss_denoise',
    ]
    for ratio, name in (('mask_ratio', 'loss_denoise'), ('noise_ratio', 'loss_mask')):
        method = tiny_cmpose(aux=dict(AUX, **{ratio: 0.0}))
        assert list(run_method(method, clip_features(), SEEDS).losses) == [name]
    assert run_method(tiny_cmpose(aux=None), clip_features(), SEEDS).losses == {}
    assert run_method(tiny_cmpose().eval(), clip_features(), SEEDS).losses == {}


def test_losses_equal_tasks_run_one_by_one():
    method = randomize(tiny_cmpose()).train()
    features = clip_features()
    tokens = features.flatten(3).transpose(2, 3)
    tasks = method.aux.corrupt(tokens, SEEDS)
    losses = run_method(method, features, SEEDS).losses
    for name, task in tasks.items():
        restored = method.neck(task.tokens).tokens
        expected = (
            0.1
            * torch.stack(
                [
                    (restored.flatten(1, 2)[b, i] - tokens.flatten(1, 2)[b, i]).square().mean()
                    for b in range(3)
                    for i in task.indices[b].tolist()
                ]
            ).mean()
        )
        torch.testing.assert_close(losses[name], expected)


def test_auxiliary_tasks_leave_parameters_and_the_main_path_alone():
    torch.manual_seed(1)
    with_tasks = tiny_cmpose()
    torch.manual_seed(1)
    without = tiny_cmpose(aux=None)
    state, other = with_tasks.state_dict(), without.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)
    # In float64: the tasks enlarge the neck's batch, and with it the order of sums.
    randomize(with_tasks).double()
    randomize(without).double()
    features = clip_features().double()
    inference = [run_method(method.eval(), features) for method in (with_tasks, without)]
    assert torch.equal(inference[0].key_features, inference[1].key_features)
    training = [run_method(method.train(), features, SEEDS) for method in (with_tasks, without)]
    close = dict(rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(training[0].key_features, training[1].key_features, **close)
    for name, value in training[0].details.items():
        torch.testing.assert_close(value, training[1].details[name], **close)


def test_auxiliary_losses_train_the_neck_only():
    method = randomize(tiny_cmpose()).train()
    features = clip_features().requires_grad_()
    sum(run_method(method, features, SEEDS).losses.values()).backward()
    reached = {name.split('.')[0] for name, p in method.named_parameters() if p.grad is not None}
    assert reached == {'neck'}
    assert features.grad.abs().sum() > 0


@pytest.mark.parametrize('detach_target', [True, False])
def test_tasks_that_teach_the_neck_alone(detach_target):
    """No gradient reaches the features but through targets, and losses are the same."""
    found = {}
    for detach_input in (True, False):
        aux = dict(AUX, detach_input=detach_input, detach_target=detach_target)
        torch.manual_seed(0)
        method = randomize(tiny_cmpose(aux=aux)).train()
        features = clip_features().requires_grad_()
        losses = run_method(method, features, SEEDS).losses
        sum(losses.values()).backward()
        neck = torch.cat([p.grad.flatten() for p in method.neck.parameters()])
        found[detach_input] = losses, neck, features.grad
    (losses, neck, gradient), (with_input, same_neck, larger) = found[True], found[False]
    assert {name: loss.item() for name, loss in losses.items()} == {
        name: loss.item() for name, loss in with_input.items()
    }
    torch.testing.assert_close(neck, same_neck)
    assert larger.abs().sum() > 0
    if detach_target:
        assert gradient is None or not gradient.any()
    else:
        assert gradient.any() and not torch.equal(gradient, larger)


def test_masked_features_receive_no_gradient_as_detached_targets():
    method = randomize(tiny_cmpose(aux=dict(AUX, noise_ratio=0.0))).train()
    features = clip_features().requires_grad_()
    run_method(method, features, SEEDS).losses['loss_mask'].backward()
    gradient = features.grad.flatten(3).transpose(2, 3).flatten(1, 2).abs().sum(-1)
    tokens = features.detach().flatten(3).transpose(2, 3)
    indices = method.aux.corrupt(tokens, SEEDS)['loss_mask'].indices
    masked = torch.zeros_like(gradient, dtype=torch.bool).scatter(1, indices, True)
    assert (gradient[masked] == 0).all()
    assert (gradient[~masked] > 0).all()


def test_training_gradients_are_those_of_the_split_batch():
    method = randomize(tiny_cmpose(), std=0.1).train()
    features, seeds = clip_features(4), torch.tensor([3, 9, 2**60, 4])

    def gradients(*parts):
        method.zero_grad()
        for part in parts:
            out = run_method(method, features[part], seeds[part])
            loss = out.key_features.square().mean() + sum(out.losses.values())
            (loss / len(parts)).backward()
        return {name: p.grad.clone() for name, p in method.named_parameters()}

    whole = gradients(slice(0, 4))
    halves = gradients(slice(0, 2), slice(2, 4))
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, halves[name], rtol=1e-4, atol=1e-6)


def outputs(out):
    return dict(key_features=out.key_features, **out.losses, **out.details)


@pytest.mark.parametrize('training', [True, False])
def test_same_input_same_output_and_no_state_between_calls(training):
    method = randomize(tiny_cmpose()).train(training)
    before = copy.deepcopy([vars(module) for module in method.modules()])
    first = outputs(run_method(method, clip_features(), SEEDS))
    run_method(method, torch.randn(2, 3, 16, 6, 4), SEEDS[:2])
    second = outputs(run_method(method, clip_features(), SEEDS))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for module, old in zip(method.modules(), before):
        assert vars(module).keys() == old.keys()
        for key, value in vars(module).items():
            if not key.startswith('_'):
                assert value == old[key]
        for group in ('_parameters', '_buffers'):
            for name, value in vars(module)[group].items():
                assert value is None or torch.equal(value, old[group][name])


def test_batch_of_one_and_permuted_batches():
    method = randomize(tiny_cmpose(), std=0.1).eval()
    features = clip_features(5)
    whole = outputs(run_method(method, features))
    order = torch.tensor([4, 2, 0, 1, 3])
    for part in (order, torch.tensor([2]), torch.tensor([0, 3])):
        for name, value in outputs(run_method(method, features[part])).items():
            torch.testing.assert_close(value, whole[name][part], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('dtype', HALF_PRECISIONS)
def test_autocast_is_finite_and_close(dtype):
    method = randomize(tiny_cmpose(fte=None), std=0.1).train()
    features = clip_features()
    plain = run_method(method, features, SEEDS)
    with torch.autocast('cpu', dtype=dtype):
        mixed = run_method(method, features, SEEDS)
    error = (mixed.key_features.float() - plain.key_features).abs().max()
    assert error < 0.03 * plain.key_features.abs().max()
    for name, value in plain.losses.items():
        assert mixed.losses[name].dtype == torch.float32
        torch.testing.assert_close(mixed.losses[name], value, rtol=0.02, atol=0)

    method = randomize(tiny_cmpose(), std=0.1).train()
    with torch.autocast('cpu', dtype=dtype):
        mixed = run_method(method, features, SEEDS)
        loss = mixed.key_features.float().square().mean() + sum(mixed.losses.values())
    loss.backward()
    assert mixed.key_features.isfinite().all()
    assert all(p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize('height, width', [(6, 4), (8, 6), (5, 7)])
@pytest.mark.parametrize('num_frames', [1, 3, 5])
def test_shapes(height, width, num_frames):
    method = tiny_cmpose(num_frames=num_frames)
    out = run_method(method, torch.randn(2, num_frames, 16, height, width), SEEDS[:2])
    assert out.key_features.shape == (2, 16, height, width)
    assert out.details['causal_tokens'].shape == (2, 5, 2)
    assert out.details['cluster_ids'].shape == (2, height * width)
    assert out.details['similarity'].shape == (2, 5, height * width)
    assert all(not value.requires_grad for value in out.details.values())


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(key_index=3), 'key_index is 3, expected 0 to 2 for 3 frames'),
        (dict(key_index=-1), 'key_index is -1, expected 0 to 2 for 3 frames'),
        (dict(neck=None), 'model.method.neck is None, expected a config$'),
        (dict(fte=True), 'model.method.fte is True, expected a config, or None for none$'),
        (dict(temporal_fusion='mean'), "temporal_fusion is 'mean', expected one of"),
        (dict(temporal_fusion=['concat']), "temporal_fusion is .'concat'., expected one of"),
    ],
)
def test_bad_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_cmpose(**changes)


def test_parts_that_do_not_belong_together():
    """A neck of one frame would add its one embedding to all frames."""
    with pytest.raises(ValueError, match='neck.num_frames is 1, expected 3 as in the rest'):
        CMPose(CrissCrossSTNeck(16, 5, num_frames=1), None, None, 16)
    with pytest.raises(ValueError, match='neck.embed_dims is 16, expected 32 as in the rest'):
        CMPose(CrissCrossSTNeck(16, 5), None, None, 32)
    with pytest.raises(ValueError, match='fte.num_keypoints is 7, expected 5 as in the rest'):
        CMPose(CrissCrossSTNeck(16, 5), CausalTokenFTE(16, 7, num_causal=2), None, 16)


# ---- readings ----------------------------------------------------------------------------------

SUPERVISED = dict(FTE, similarity_weight=0.5)


def test_the_loss_of_s_is_that_of_the_details():
    method = randomize(tiny_cmpose(fte=SUPERVISED), std=0.1).train()
    out = run_labeled(method, clip_features())
    given = labels()
    expected = 0.5 * slow_cmpose.similarity_loss(
        out.details['similarity'].double().log().numpy(),
        given['targets'].double().numpy(),
        given['target_weights'].numpy(),
        (6, 4),
    )
    assert out.losses['loss_similarity'].item() == pytest.approx(expected, rel=1e-5)
    assert list(out.losses) == ['loss_mask', 'loss_denoise', 'loss_similarity']
    assert run_labeled(method.eval(), clip_features()).losses == {}


def test_supervision_leaves_everything_else_alone():
    plain, supervised = (randomize(tiny_cmpose(fte=fte)).train() for fte in (FTE, SUPERVISED))
    found, expected = (run_labeled(m, clip_features()) for m in (supervised, plain))
    assert found.losses.pop('loss_similarity') > 0
    for name, value in outputs(expected).items():
        assert torch.equal(value, outputs(found)[name]), name
    assert plain.state_dict().keys() == supervised.state_dict().keys()


def test_a_batch_without_labels():
    method = randomize(tiny_cmpose(fte=SUPERVISED)).train()
    out = run_labeled(method, clip_features(), target_weights=torch.zeros(3, 5))
    assert out.losses['loss_similarity'] == 0
    (65536 * out.losses['loss_similarity']).backward()  # as GradScaler begins
    assert all(p.grad is not None and p.grad.abs().sum() == 0 for p in method.fte.parameters())


def test_supervision_where_there_are_no_labels():
    method = tiny_cmpose(fte=SUPERVISED).train()
    with pytest.raises(
        ValueError, match='similarity_weight is 0.5, but .* expected GenerateTarget'
    ):
        run_method(method, clip_features(), SEEDS)
    with pytest.raises(ValueError, match='num_keypoints is 5, but the label heatmaps,.* 17 joints'):
        run_labeled(method, clip_features(), targets=torch.ones(3, 17, 24, 16))
    run_method(method.eval(), clip_features())


def test_a_schedule_needs_layers_that_learn():
    """As HKM: Q and K are frozen where the config has no loss that they could learn from."""
    fte = dict(FTE, causal_only=True)
    method = tiny_cmpose(fte=fte).train()
    method.fte.similarity_weight = 0.5
    with pytest.raises(ValueError, match='similarity_weight became 0.5 .* but is 0 in the config'):
        run_labeled(method, clip_features())
    method = tiny_cmpose(fte=dict(fte, similarity_weight=0.5)).train()
    run_labeled(method, clip_features())
    method.fte.similarity_weight = 0.0  # one that begins at 0: other processes wait for gradients
    out = run_labeled(method, clip_features())
    assert out.losses['loss_similarity'] == 0
    (out.key_features.sum() + sum(out.losses.values())).backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


READINGS = {
    'neck.position=sine_cosine': dict(neck=dict(NECK, position='sine_cosine')),
    'neck.position=learned, neck.grid=6x4': dict(neck=dict(NECK, position='learned', grid=(6, 4))),
    'neck.temporal=neighborhood': dict(neck=dict(NECK, temporal='neighborhood')),
    'neck.feed_forward=separate': dict(neck=dict(NECK, feed_forward='separate')),
    'neck.feed_forward=shared': dict(neck=dict(NECK, feed_forward='shared')),
    'neck.feed_forward=separate, neck.feed_forward_dims=8': dict(
        neck=dict(NECK, feed_forward='separate', feed_forward_dims=8)
    ),
    'fte.restoring=residual': dict(neck=NECK, fte=dict(FTE, restoring='residual')),
    'fte.num_layers=2, fte.num_heads=4': dict(neck=NECK, fte=dict(FTE, num_layers=2, num_heads=4)),
    'neck.position=sine_cosine, fte.restoring=residual': dict(
        neck=dict(NECK, position='sine_cosine'), fte=dict(FTE, restoring='residual')
    ),
}
ALL = dict(
    neck=dict(NECK, position='sine_cosine', temporal='neighborhood', feed_forward='separate'),
    fte=dict(
        FTE,
        restoring='residual',
        num_layers=1,
        num_heads=4,
        straight_through=True,
        similarity_weight=0.1,
    ),
)


@pytest.mark.parametrize('load', [torch.nn.Module.load_state_dict, load_state_dict])
@pytest.mark.parametrize('reading', READINGS)
def test_weights_of_another_reading_are_refused(reading, load):
    """Both ways, with torch and with MMEngine, which only warns of keys that do not fit."""
    literal, other = tiny_cmpose(neck=NECK), tiny_cmpose(**READINGS[reading])
    assert literal.reading == '' and other.reading == reading
    letter = "with the paper's literal reading"
    for model, weights, message in (
        (other, literal, f'of a CM-Pose {letter}, but the config is of one with {reading};'),
        (literal, other, f'of a CM-Pose with {reading}, but the config is of one {letter};'),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            load(model, weights.state_dict(), strict=False)
    wrapped, state = torch.nn.ModuleDict(dict(method=other)), other.state_dict()
    with pytest.raises(ValueError, match='expected the same reading'):
        load(wrapped, {f'method.{k}': v for k, v in literal.state_dict().items()}, strict=False)
    randomize(other)
    load(wrapped, {f'method.{name}': value for name, value in state.items()}, strict=True)
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize(
    'one, other',
    [
        (dict(position='learned', grid=(6, 4)), dict(position='learned', grid=(4, 6))),
        (
            dict(feed_forward='separate', feed_forward_dims=8),
            dict(feed_forward='separate', feed_forward_dims=12),
        ),
    ],
)
def test_weights_of_other_sizes_of_a_reading_are_refused(one, other):
    """The first fit in number, the second MMEngine would leave as they were begun."""
    one, other = (tiny_cmpose(neck=dict(NECK, **changes)) for changes in (one, other))
    with pytest.raises(ValueError, match='expected the same reading'):
        load_state_dict(other, one.state_dict(), strict=False)


@pytest.mark.parametrize('reading', [*READINGS, 'all'])
def test_the_refusal_says_how_to_build_what_the_weights_are_of(reading):
    """Its settings, read as the command line reads them, make the config one of the weights."""
    config = ALL if reading == 'all' else READINGS[reading]
    arguments = [dict(neck=NECK, fte=FTE), {**dict(neck=NECK, fte=FTE), **config}]
    for ours, theirs in (arguments, arguments[::-1]):
        weights = tiny_cmpose(**theirs).state_dict()
        with pytest.raises(ValueError, match='for these weights model.method') as refused:
            tiny_cmpose(**ours).load_state_dict(weights)
        settings = str(refused.value).split('for these weights ')[1].split()
        parser = argparse.ArgumentParser()
        parser.add_argument('--cfg-options', nargs='+', action=DictAction)
        config = Config(dict(model=dict(method=copy.deepcopy(ours))))
        config.merge_from_dict(parser.parse_args(['--cfg-options', *settings]).cfg_options)
        tiny_cmpose(**config.to_dict()['model']['method']).load_state_dict(weights)


def test_the_refusal_where_one_has_no_token_enhancement():
    fte, plain = dict(neck=NECK, fte=dict(FTE, restoring='residual')), dict(neck=NECK, fte=None)
    with pytest.raises(ValueError, match='same reading of the paper, .* model.method.fte=None$'):
        tiny_cmpose(**fte).load_state_dict(tiny_cmpose(**plain).state_dict())
    with pytest.raises(ValueError, match='expected the same reading of the paper$'):
        tiny_cmpose(**plain).load_state_dict(tiny_cmpose(**fte).state_dict())


@pytest.mark.parametrize('text', ['neck.later=new', 'no switch at all'])
def test_the_refusal_of_a_reading_that_is_not_known(text):
    """Of a later version, or damaged."""
    weights = tiny_cmpose(neck=dict(NECK, position='sine_cosine')).state_dict()
    weights['reading_as_text'] = torch.tensor(list(text.encode()))
    with pytest.raises(ValueError, match=f'of a CM-Pose with {text}, but the config'):
        tiny_cmpose().load_state_dict(weights)


def test_what_matters_only_in_training_is_no_other_reading():
    trained = tiny_cmpose(fte=dict(FTE, straight_through=True, similarity_weight=0.1))
    assert trained.reading == ''
    tiny_cmpose().load_state_dict(trained.state_dict(), strict=True)


def test_literal_weights_carry_no_mark():
    """Those of before are of the letter; a single-frame model's are of no reading."""
    assert not [name for name in tiny_cmpose().state_dict() if 'reading' in name]
    tiny_cmpose(**ALL).load_state_dict({}, strict=False)


def test_all_readings_start_as_the_key_frame():
    """But for the causal tokens nothing is merged, and layers that start at zero add nothing."""
    method, features = tiny_cmpose(**ALL), clip_features()
    for training in (True, False):
        out = run_labeled(method.train(training), features)
        torch.testing.assert_close(out.key_features, features[:, 1], rtol=0, atol=1e-6)


def test_all_readings_match_loops():
    method = randomize(tiny_cmpose(**ALL), std=0.2).double().eval()
    features = clip_features(1).double()
    tokens = features[0].flatten(2).transpose(1, 2).numpy()
    refined = slow_cmpose.criss_cross_neck(tokens, method.neck, (6, 4))
    fused = np.array(
        [
            slow_cmpose.linear(refined[:, cell].reshape(-1), method.temporal_fusion.proj)
            for cell in range(24)
        ]
    )
    fte = method.fte
    scores = slow_cmpose.similarity(fused, refined[1, 24:], fte.query, fte.key)
    selected = slow_cmpose.select_exclusive(scores, 2)
    cells = [token for joint in selected for token in joint]
    ids, _ = slow_cmpose.cluster(fused, sorted(set(range(24)) - set(cells)), 4, 3)
    merged = slow_cmpose.merge(fused, ids, scores.sum(0), 4, normalize=True)
    state = {f'l.{name}': value for name, value in slow.numbers(fte.layers[0]).items()}
    sequence = np.array([*fused[cells], *merged])
    sequence = slow_transformer.layer(sequence, sequence, state, 'l', 4)
    fused[cells] = sequence[: len(cells)]
    gain = fte.gain.detach().numpy()
    expected = slow_cmpose.restore_with_own(fused, sequence[len(cells) :], ids, gain)

    out = run_method(method, features)
    assert out.details['causal_tokens'][0].tolist() == selected
    found = out.key_features[0].flatten(1).T
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('num_frames, key_index', [(3, 2), (5, None), (5, 4)])
def test_all_readings_with_other_clips(num_frames, key_index):
    method = tiny_cmpose(**ALL, num_frames=num_frames, key_index=key_index).train()
    features = clip_features(num_frames=num_frames)
    out = run_labeled(method, features)
    (out.key_features.square().mean() + sum(out.losses.values())).backward()
    assert [n for n, p in method.named_parameters() if p.grad is None] == []
    torch.testing.assert_close(out.key_features, features[:, method.key_index])
