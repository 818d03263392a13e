"""TDMI against loops in float64, its invariants, losses, gates, and what it refuses."""

import copy
import itertools
import math
from functools import partial

import numpy as np
import pytest
import slow_information as slow
import torch
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, randomize_deep, tiny_file_config, tiny_images
from torch import nn

from cmpose_mm.models import ClipInput, FrameFeatures
from cmpose_mm.models.layers import gaussian_mi
from cmpose_mm.models.tdmi import TDMI, ClubBound
from cmpose_mm.models.tdmi.tdmi import default_blocks

IN_CHANNELS = (5, 6, 7)
SIZES = ((8, 6), (4, 3), (2, 3))  # of the maps


def drawn(module, std=0.3):
    """Random weights and statistics, in float64 and eval mode."""
    randomize(module, std)
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    return module.double().eval()


def maps(num_clips=2, num_frames=3, in_channels=IN_CHANNELS, sizes=SIZES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(num_clips, num_frames, c, *size, generator=generator, dtype=torch.float64)
        for c, size in zip(in_channels, sizes)
    )


def clip_of(frames, key_index=1, **more):
    return ClipInput.of(FrameFeatures(tuple(frames)), key_index, **more)


def method(**arguments):
    values = dict(in_channels=IN_CHANNELS, channels=8, num_frames=3, gate_channels=6)
    return TDMI(**{**values, **arguments})


def hrnet_like(num_frames=3, **arguments):
    """Maps as they are, of one grid and width."""
    return TDMI(**{**dict(in_channels=[8, 8], num_frames=num_frames), **arguments})


# ---- the whole, by loops -------------------------------------------------------------------------


def pooled(x, size):
    """(C, H, W) to a coarser grid by means, or to a finer one by bilinear interpolation."""
    channels, height, width = x.shape
    out = np.zeros((channels, *size))
    for row, column in itertools.product(range(size[0]), range(size[1])):
        if height >= size[0]:
            a, b = height // size[0], width // size[1]
            block = x[:, row * a : (row + 1) * a, column * b : (column + 1) * b]
            out[:, row, column] = block.mean(axis=(1, 2))
        else:  # positions beyond the outermost cells take their values
            y = (row + 0.5) * height / size[0] - 0.5
            z = (column + 0.5) * width / size[1] - 0.5
            y, z = min(max(y, 0), height - 1), min(max(z, 0), width - 1)
            out[:, row, column] = [slow.bilinear(plane, y, z) for plane in x]
    return out


def slow_stage(frames, state, number, size):
    """Projected and resampled maps (T, C, h, w) of one stage of one clip."""
    name = f'stage_maps.projections.{number}'
    out = []
    for x in frames:
        if f'{name}.0.weight' in state:
            x = slow.batch_norm(slow.conv(x, state[f'{name}.0.weight']), state, f'{name}.1')
        out.append(pooled(x, size))
    return out


def slow_gate(motion, state, prefix):
    mean = motion.mean(axis=(1, 2))
    hidden = slow.relu(state[f'{prefix}.mlp.0.weight'] @ mean + state[f'{prefix}.mlp.0.bias'])
    return slow.sigmoid(state[f'{prefix}.mlp.2.weight'] @ hidden + state[f'{prefix}.mlp.2.bias'])


def slow_tdmi(frames, state, stages, grid_stage, key_index, gates='independent'):
    """One clip: frames, a list of (T, C_j, h_j, w_j) arrays. Returns everything by name."""
    size = frames[grid_stage].shape[-2:]
    used = [slow_stage(frames[s], state, n, size) for n, s in enumerate(stages)]
    near_key, motion = used[-1][key_index], None
    for n, x in enumerate(used):
        differences = np.concatenate([x[t + 1] - x[t] for t in range(len(x) - 1)])
        d = slow.chain(differences, state, f'motion.{n}')
        if f'conditions.{n}.0.body.0.weight' in state:
            condition = slow.chain(np.concatenate([near_key, d]), state, f'conditions.{n}')
            a, _ = slow.modulated(d, condition, state, f'deform.{n}', dilation=1)
        else:
            a = slow.conv(d, state[f'deform.{n}.conv.weight'], state[f'deform.{n}.conv.bias'])
        motion = slow.chain(a if motion is None else motion + a, state, f'cascade.{n}')
    useful = np.ones(len(motion))
    if gates is not None:
        useful = slow_gate(motion, state, 'gate_useful')
    if gates == 'independent':
        noisy = slow_gate(motion, state, 'gate_noisy')
    else:
        noisy = 1 - useful
    key = frames[-1][key_index]
    beside = key
    if 'appearance.first.0.body.0.weight' in state:
        others = [x for t, x in enumerate(used[-1]) if t != key_index]
        x = slow.chain(np.concatenate(others), state, 'appearance.neighbors')
        z = slow.chain(np.concatenate([x, near_key]), state, 'appearance.first')
        for n, (source, condition) in enumerate((('z', 'z'), ('z', 'z'), ('x', 'z'), ('z', 'z'))):
            source, condition = dict(x=x, z=z)[source], dict(x=x, z=z)[condition]
            z, _ = slow.modulated(source, condition, state, f'appearance.deform.{n}', dilation=3)
        beside = slow.chain(np.concatenate([near_key, z]), state, 'appearance.last')
        beside = pooled(beside, key.shape[-2:])
    kept = useful[:, None, None] * motion
    on_grid = pooled(kept, key.shape[-2:])
    features = slow.aggregation(key, [beside, on_grid], state, 'aggregation')
    other = pooled(noisy[:, None, None] * motion, key.shape[-2:])
    return dict(
        features=features, motion=motion, useful=useful, noisy=noisy,
        useful_motion=np.sqrt((on_grid**2).sum(0)).ravel(),
        noisy_motion=np.sqrt((other**2).sum(0)).ravel(),
    )  # fmt: skip


VARIANTS = {
    'default': {},
    'tied': dict(gates='tied'),
    'last stage': dict(stages=[2]),
    'two stages, finest grid': dict(stages=[0, 2], grid_stage=0, sizes=((4, 6), (2, 3), (2, 3))),
    'appearance': dict(appearance=True, stages=[2]),
    'appearance, finer grid': dict(appearance=True, stages=[1, 2], grid_stage=1,
                                   sizes=((4, 6), (4, 6), (2, 3))),
    'grid_sample': dict(deformation='grid_sample', stages=[2]),
    'no deformation': dict(deformation=None),
    'no gates': dict(gates=None, mi='none'),
    'plain aggregation': dict(residual=False, stages=[2]),
    'causal': dict(key_index=2, stages=[1, 2]),
    'five frames': dict(num_frames=5, stages=[2]),
}  # fmt: skip


@pytest.mark.parametrize('name', VARIANTS)
def test_it_is_what_the_loops_give(name):
    arguments = dict(VARIANTS[name])
    sizes = arguments.pop('sizes', SIZES)
    model = drawn(method(**arguments))
    frames = maps(num_clips=2, num_frames=model.num_frames, sizes=sizes)
    with torch.no_grad():
        out = model(clip_of(frames, model.key_index))
    expected = slow_tdmi(
        [x[1].numpy() for x in frames],
        slow.numbers(model),
        arguments.get('stages', [0, 1, 2]),
        arguments.get('grid_stage', 2),
        model.key_index,
        arguments.get('gates', 'independent'),
    )
    found = out.key_features[1].numpy()
    assert np.abs(found - frames[-1][1, model.key_index].numpy()).max() > 0.05
    np.testing.assert_allclose(found, expected['features'], rtol=0, atol=1e-9)
    # Details are float32.
    for key in ['useful_motion'] + ['noisy_motion'] * (arguments.get('gates', '') is not None):
        np.testing.assert_allclose(out.details[key][1], expected[key], rtol=1e-5, atol=1e-6)
    assert out.losses == {}


# ---- invariants ----------------------------------------------------------------------------------


class Recorder(nn.Module):
    """Keeps its input."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        self.seen = x
        return x[:, : self.channels]


def differences_of(model, frames):
    """The differences S^j that a model forms."""
    model = copy.deepcopy(model)
    for number in range(len(model.motion)):
        model.motion[number] = Recorder(model.stage_maps.channels)
    with torch.no_grad():
        model(clip_of(frames, model.key_index))
    return [recorder.seen for recorder in model.motion]


def test_differences():
    model = drawn(hrnet_like())
    frames = maps(in_channels=(8, 8), sizes=((4, 3), (4, 3)))
    still = [x[:, :1].expand_as(x) for x in frames]
    assert all((s == 0).all() for s in differences_of(model, still))
    before = differences_of(model, frames)
    assert before[0].abs().max() > 1
    torch.testing.assert_close(before[1][:, :8], frames[1][:, 1] - frames[1][:, 0])
    torch.testing.assert_close(before[1][:, 8:], frames[1][:, 2] - frames[1][:, 1])
    moved = differences_of(model, [x + torch.randn_like(x[:, :1]) for x in frames])
    for a, b in zip(before, moved):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    backward = differences_of(model, [x.flip(1) for x in frames])
    for a, b in zip(before, backward):
        torch.testing.assert_close(torch.cat([-a[:, 8:], -a[:, :8]], 1), b)


@pytest.mark.parametrize('arguments', [{}, dict(appearance=True), dict(gates='tied', mi='club')])
@pytest.mark.parametrize('num_frames, key_index', [(3, None), (5, None), (3, 2), (5, 4), (2, 0)])
@pytest.mark.slow
def test_it_starts_as_the_single_frame_model(arguments, num_frames, key_index):
    model = method(num_frames=num_frames, key_index=key_index, **arguments).double()
    frames = maps(4, num_frames, sizes=((8, 6), (4, 6), (4, 6)))
    for mode in (True, False):
        out = model.train(mode)(clip_of(frames, model.key_index))
        assert torch.equal(out.key_features, frames[-1][:, model.key_index])
    frames = maps(4, sizes=((8, 6), (4, 6), (4, 6)))
    out = method(residual=False).double()(clip_of(frames))
    assert out.key_features.shape == frames[-1][:, 1].shape
    assert (out.key_features - frames[-1][:, 1]).abs().max() > 0.1


def test_stages_decide_what_is_seen():
    """Of a stage that is not used, nothing reaches the output."""
    model = drawn(method(stages=[1, 2]))
    frames = list(maps())
    before = model(clip_of(frames)).key_features
    for stage, changes in ((0, False), (1, True), (2, True)):
        other = list(frames)
        other[stage] = other[stage] + torch.randn_like(other[stage])
        differs = not torch.equal(model(clip_of(other)).key_features, before)
        assert differs == changes, stage


# ---- losses --------------------------------------------------------------------------------------


def trained(**arguments):
    """In training mode with batch statistics fixed."""
    model = drawn(method(**{**dict(sufficiency_weight=0.0), **arguments})).train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    return model


def training_clip(num_clips=4):
    generator = torch.Generator().manual_seed(5)
    frames = maps(num_clips, sizes=((8, 6), (4, 3), (4, 6)))
    targets = torch.rand(num_clips, 15, 8, 12, generator=generator, dtype=torch.float64)
    weights = (torch.rand(num_clips, 15, generator=generator) > 0.4).double()
    return clip_of(frames, targets=targets, target_weights=weights)


def parts_of(model, clip):
    """M (B, C, h, w) and both gates (B, C), each clip by the loops."""
    state = slow.numbers(model)
    found = [
        slow_tdmi([x[b].numpy() for x in clip.maps], state, [2], 2, 1, model.gates)
        for b in range(len(clip.features))
    ]
    return [np.stack([f[name] for f in found]) for name in ('motion', 'useful', 'noisy')]


def standardized_parts(model, clip):
    """Samples of M_u and M_n, (cells, C), from M with mean 0 and variance 1 in each channel."""
    motion, useful, noisy = parts_of(model, clip)
    mean = motion.mean(axis=(0, 2, 3), keepdims=True)
    deviation = np.sqrt(motion.var(axis=(0, 2, 3), keepdims=True) + 1e-6)
    motion = (motion - mean) / deviation
    return [
        np.moveaxis(gate[..., None, None] * motion, 1, -1).reshape(-1, motion.shape[1])
        for gate in (useful, noisy)
    ]


@pytest.mark.parametrize('gates', ['independent', 'tied'])
def test_loss_of_mutual_information(gates):
    model, clip = trained(stages=[2], gates=gates, mi_weight=0.01, noise=0.2), training_clip()
    losses = model(clip).losses
    assert set(losses) == {'loss_mi', 'gate_useful', 'gate_noisy'}
    expected = 0.01 * slow.gaussian_mi(*standardized_parts(model, clip), noise=0.2) / 8
    assert losses['loss_mi'].item() == pytest.approx(expected, rel=1e-6) and expected > 1e-4
    _, useful, noisy = parts_of(model, clip)
    assert losses['gate_useful'].item() == pytest.approx(useful.mean(), rel=1e-9)
    assert losses['gate_noisy'].item() == pytest.approx(noisy.mean(), rel=1e-9)


@pytest.mark.parametrize('gates', ['independent', 'tied'])
@pytest.mark.parametrize('mi', ['gaussian', 'club'])
def test_only_the_gates_learn_from_it(gates, mi):
    model = trained(gates=gates, mi=mi)
    model(training_clip()).losses['loss_mi'].backward()
    learned = {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None}
    assert learned == {'gate_useful'} | ({'gate_noisy'} if gates == 'independent' else set())


@pytest.mark.slow
def test_alone_it_closes_independent_gates():
    """What the heatmap loss has to hold against, as the class says."""
    model, clip = trained(stages=[2], mi_weight=1.0), training_clip()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith('gate_'))
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05)
    maps_of_clip = model.stage_maps(clip.maps)
    with torch.no_grad():
        motion = model.temporal_differences(maps_of_clip, maps_of_clip[-1][:, 1])
    alive = motion.std(dim=(0, 2, 3)) > 1e-3  # chains end with a ReLU
    before = [gate(motion).detach() for gate in (model.gate_useful, model.gate_noisy)]
    history = []
    for _ in range(60):
        loss = model(clip).losses['loss_mi']
        history.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert history[-1] < 0.01 * history[0]
    assert alive.sum() >= 2
    for gate, value in zip((model.gate_useful, model.gate_noisy), before):
        assert value[:, alive].mean() > 0.3
        assert gate(motion)[:, alive].mean() < 0.1


def test_sufficiency():
    model = trained(stages=[2], mi='none', sufficiency_weight=0.5, temperature=0.2)
    clip = training_clip()
    losses = model(clip).losses
    assert set(losses) == {'loss_sufficiency', 'loss_probe', 'gate_useful'}
    # Independent gates without loss_mi: there is no second gate.
    state = slow.numbers(model)
    motion, kept = [], []
    for b in range(4):
        out = slow_tdmi([x[b].numpy() for x in clip.maps], state, [2], 2, 1, gates='tied')
        motion.append(out['motion'])
        kept.append(out['useful'][:, None, None] * out['motion'])
    predicted = [
        np.stack([slow.conv(x, state['probe.weight'], state['probe.bias']) for x in part])
        for part in (motion, kept)
    ]
    weights = clip.target_weights.numpy()
    expected = 0.5 * slow.prediction_kl(*predicted, weights, 0.2)
    assert losses['loss_sufficiency'].item() == pytest.approx(expected, rel=1e-8)
    targets = np.stack([pooled(t.numpy(), (4, 6)) for t in clip.targets])
    errors = [((p - targets) ** 2 * weights[..., None, None]).mean() for p in predicted]
    assert losses['loss_probe'].item() == pytest.approx(sum(errors), rel=1e-8)

    losses['loss_sufficiency'].backward(retain_graph=True)
    assert model.probe.weight.grad is None
    assert model.gate_useful.mlp[2].weight.grad.abs().sum() > 0
    model.zero_grad()
    losses['loss_probe'].backward()
    assert model.probe.weight.grad.abs().sum() > 0
    assert all(p.grad is None for n, p in model.named_parameters() if not n.startswith('probe'))


def test_nothing_is_built_that_would_not_learn():
    names = {n.split('.')[0] for n, _ in method(mi_weight=0.0).named_parameters()}
    assert 'gate_useful' in names and 'gate_noisy' not in names
    names = {n.split('.')[0] for n, _ in method(gates='tied', mi='none').named_parameters()}
    assert not names & {'gate_noisy', 'club', 'probe', 'appearance'}
    names = {n.split('.')[0] for n, _ in method(deformation=None).named_parameters()}
    assert 'conditions' not in names


@pytest.mark.parametrize(
    'arguments',
    [dict(mi='club', appearance=True), dict(gates='tied', sufficiency_weight=0.1),
     dict(gates=None, mi='none', deformation=None)],
)  # fmt: skip
def test_every_parameter_learns_in_every_variant(arguments):
    model, clip = trained(**arguments), training_clip()
    # Biases that cancel in the differences; the last stage is also the deformation's condition.
    cancels = [f'stage_maps.projections.{n}.1.bias' for n in range(2 + (model.conditions is None))]
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == cancels
    out = model(clip)
    losses = [value for name, value in out.losses.items() if 'loss' in name]
    (out.key_features.square().sum() + sum(losses)).backward()
    assert [
        n
        for n, p in model.named_parameters()
        if n not in cancels and (p.grad is None or not (p.grad.abs() > 1e-9).any())
    ] == []


@pytest.mark.parametrize('mi', ['gaussian', 'club'])
def test_schedules_of_weights(mi):
    """A weight that rises from 0 needs the layers of its loss, so it may not be 0 in the config."""
    clip = training_clip()
    for name, loss in (('mi_weight', 'loss_mi'), ('sufficiency_weight', 'loss_sufficiency')):
        model = trained(mi=mi, **{name: 0.0})
        assert loss not in model(clip).losses
        setattr(model, name, 0.25)  # as a ModelScheduleHook does
        with pytest.raises(ValueError, match=(
            f'TDMI: model.method.{name} became 0.25 in the training, but is 0 in the config, .* '
            'expected the last value of the schedule in the config'
        )):  # fmt: skip
            model(clip)
        assert model.eval()(clip).losses == {}
        model = trained(mi=mi, **{name: 0.25})
        full = model(clip).losses[loss]
        setattr(model, name, 0.0)
        assert full != 0 and model(clip).losses[loss] == 0
    assert 'loss_mi' not in trained(mi='none', mi_weight=0.25)(clip).losses


def test_weights_in_half_precision():
    model = method(appearance=True).eval()
    frames = [x.float() for x in maps(sizes=((4, 6), (4, 6), (4, 6)))]
    model.aggregation.proj.weight.data.normal_()
    with torch.no_grad():
        expected = model(clip_of(frames)).key_features
        found = model.bfloat16()(clip_of([x.bfloat16() for x in frames])).key_features
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().mean() < 0.05 * expected.abs().mean()


# ---- the bound -----------------------------------------------------------------------------------


def test_club_is_the_mean_over_all_pairs():
    bound = randomize(ClubBound(3, hidden=5, noise=0.3), std=0.5).double()
    x, y = torch.randn(2, 7, 3, dtype=torch.float64)
    found, fit = bound(x, y)
    state = slow.numbers(bound)

    def log_q(y, x):
        hidden = slow.relu(state['network.0.weight'] @ x + state['network.0.bias'])
        out = state['network.2.weight'] @ hidden + state['network.2.bias']
        mean, variance = out[:3], np.log1p(np.exp(out[3:])) + 0.09
        return sum(-0.5 * ((y - mean) ** 2 / variance + np.log(variance)))

    x, y = x.numpy(), y.numpy()
    own = [log_q(b, a) for a, b in zip(x, y)]
    pairs = [log_q(b, a) for a in x for b in y]
    assert found.item() == pytest.approx(np.mean(own) - np.mean(pairs), rel=1e-9)
    assert fit.item() == pytest.approx(-np.mean(own) / 3, rel=1e-9)


def test_club_teaches_the_features_and_its_fit_the_network_alone():
    bound = randomize(ClubBound(3, hidden=5, noise=0.3), std=0.5)
    x, y = torch.randn(2, 7, 3).requires_grad_().unbind()
    weights = [*bound.parameters()]
    found, fit = (
        torch.autograd.grad(loss, [x, y, *weights], retain_graph=True, allow_unused=True)
        for loss in bound(x, y)
    )
    assert all(each is not None and each.abs().sum() > 0 for each in found[:2] + fit[2:])
    assert all(each is None for each in found[2:] + fit[:2])


@pytest.mark.slow
def test_a_fitted_club_bounds_the_information_from_above():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 1, generator=generator)
    y = 0.8 * x + 0.6 * torch.randn(500, 1, generator=generator)
    bound = ClubBound(1, hidden=16)
    optimizer = torch.optim.Adam(bound.parameters(), lr=0.01)
    for _ in range(300):
        _, fit = bound(x, y)
        optimizer.zero_grad()
        fit.backward()
        optimizer.step()
    value, _ = bound(x, y)
    exact = -0.5 * math.log(1 - 0.64)
    assert gaussian_mi(x, y, noise=0).item() == pytest.approx(exact, abs=0.08)
    # For a fitted Gaussian the bound is rho² / (1 - rho²) = 1.78.
    assert exact < value.item() < 2.5
    shuffled, _ = bound(x, y[torch.randperm(500, generator=generator)])
    assert shuffled < 0.3 * value


# ---- in the estimator ----------------------------------------------------------------------------


model_config = partial(tiny_file_config, 'tdmi/tdmi_tiny.py')


RESNET = dict(
    type='ResNet', depth=18, out_indices=(0, 1, 2, 3), base_channels=16,
    stem_channels=16, norm_eval=False,
)  # fmt: skip


def resnet_config(**arguments):
    """ResNet's four stages, of four grids; the head has three deconvolutions."""
    config = model_config()
    config.backbone = RESNET
    config.head.update(in_channels=128, deconv_out_channels=(16,) * 3, deconv_kernel_sizes=(4,) * 3)
    config.method.update(in_channels=[16, 32, 64, 128], grid_stage=1, **arguments)
    return config


def test_stages_of_resnet_keep_the_head_s_grid():
    model = MODELS.build(resnet_config())
    samples = clip_samples(model_config(), 4)
    losses = model.train()(tiny_images(), copy.deepcopy(samples), mode='loss')
    assert losses['loss_mi'].isfinite() and losses['loss_kpt'].isfinite()
    with torch.no_grad():
        assert model.eval()(tiny_images(), None, mode='tensor').shape == (4, 15, 32, 24)


def test_frozen_backbone():
    config = resnet_config()
    config.freeze_backbone = True
    model = MODELS.build(config).train()
    before = copy.deepcopy(model.backbone.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = model(tiny_images(), clip_samples(model_config(), 4), mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    optimizer.step()
    assert all(torch.equal(v, before[n]) for n, v in model.backbone.state_dict().items())
    assert model.method.aggregation.proj.weight.abs().sum() > 0


def test_before_training_heatmaps_are_those_of_the_single_frame_model():
    model = MODELS.build(model_config()).eval()
    model.head.apply(lambda m: randomize(m, 0.1) if isinstance(m, nn.Conv2d) else m)
    with torch.no_grad():
        expected = model.head((model.extract_maps(tiny_images()[:, 1])[-1],))
        assert expected.abs().max() > 0.1
        found = model(tiny_images(), None, mode='tensor')
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('num_frames, key_index', [(3, 2), (5, 4), (5, 2)])
def test_causal_clips_and_five_frames(num_frames, key_index):
    config = model_config(num_frames=num_frames, key_index=key_index)
    model = randomize_deep(MODELS.build(config)).eval()
    clips = tiny_images(2, num_frames)
    with torch.no_grad():
        before = model(clips, None, mode='tensor')
        for frame in range(num_frames):
            changed = clips.clone()
            changed[:, frame] += 1
            assert (model(changed, None, mode='tensor') - before).abs().max() > 1e-4, frame


# ---- what it refuses -----------------------------------------------------------------------------

WRONG = [
    (dict(num_frames=1), 'TDMI: model.method.num_frames is 1, expected at least 2'),
    (dict(gates='both'), "model.method.gates is 'both', expected one of 'independent', 'tied', No"),
    (dict(mi='kl'), "model.method.mi is 'kl', expected one of 'gaussian', 'club', 'none'"),
    (dict(gates=None), "gates is None, .* expected mi='none'"),
    (dict(appearance=True, deformation=None), 'deformation is None, but model.method.appearance'),
    (dict(stages=[0, 3]), r'model.method.stages is \[0, 3\], expected .* from 0 to 2'),
    (dict(stages=[1, 0]), r'model.method.stages is \[1, 0\], expected ascending'),
    (dict(stages=[]), r'model.method.stages is \[\], expected a list of whole numbers of at leas'),
    (dict(grid_stage=3), 'model.method.grid_stage is 3, expected a position from 0 to 2'),
    (dict(channels=None), r'model.method.channels is None, but the maps have \[5, 6, 7\] channels'),
    (dict(channels=20), 'TDMI: model.method.channels is 20, expected a multiple of 12 or of 8'),
    (
        dict(in_channels=[20, 20], channels=None),
        'TDMI: model.method.in_channels is 20, expected a multiple of 12 or of 8',
    ),
    (dict(blocks=[3, 2]), r'model.method.blocks is \[3, 2\], expected 3 numbers'),
    (dict(deformation='mmcv'), "TDMI: model.method.deformation is 'mmcv', expected one of 'grid_s"),
    (dict(mi_weight=-1), 'TDMI: model.method.mi_weight is -1, expected a number of at least 0'),
    (dict(mi_weight=math.nan), 'TDMI: model.method.mi_weight is nan, expected a number of at leas'),
    (dict(mi_weight=None), 'TDMI: model.method.mi_weight is None, expected a number of at least 0'),
    (dict(sufficiency_weight=-0.1), 'sufficiency_weight is -0.1, expected a number of at least 0'),
    (dict(noise=0), 'TDMI: model.method.noise is 0, expected a number above 0'),
    (dict(temperature=0.0), 'TDMI: model.method.temperature is 0.0, expected a number above 0'),
    (dict(num_frames=0), 'TDMI: model.method.num_frames is 0, expected a whole number of at l'),
    (dict(num_frames=3.0), 'model.method.num_frames is 3.0, expected a whole number of at least 1'),
    (dict(channels=0), 'TDMI: model.method.channels is 0, expected a whole number of at least 1'),
    (dict(channels=-8), 'TDMI: model.method.channels is -8, expected a whole number of at least 1'),
    (dict(gate_channels=0), 'model.method.gate_channels is 0, expected a whole number of at leas'),
    (dict(in_channels=32), 'model.method.in_channels is 32, expected a list of whole numbers of a'),
    (dict(in_channels=[]), r'method.in_channels is \[\], expected a list of whole numbers of'),
    (dict(stages=2), 'TDMI: model.method.stages is 2, expected a list of whole numbers of at leas'),
    (dict(blocks=2), 'TDMI: model.method.blocks is 2, expected a list of whole numbers of at leas'),
    (dict(blocks=[3, 2, 0]), r'blocks is \[3, 2, 0\], expected a list of whole numbers of at'),
    (dict(grid_stage=1.0), 'model.method.grid_stage is 1.0, expected a whole number of at least 0'),
    (dict(num_keypoints=0), 'model.method.num_keypoints is 0, expected a whole number of at leas'),
    (dict(channels=True), 'model.method.channels is True, expected a whole number of at least 1'),
    (dict(key_index='1'), "model.method.key_index is '1', expected 0 to 2 for 3 frames"),
    (dict(key_index=1.0), 'TDMI: model.method.key_index is 1.0, expected 0 to 2 for 3 frames'),
    (dict(key_index=3), 'TDMI: model.method.key_index is 3, expected 0 to 2 for 3 frames'),
]


@pytest.mark.parametrize('arguments, message', WRONG)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        method(**arguments)


def test_other_maps_than_the_config_s():
    config = model_config(in_channels=[32, 32, 32])
    with pytest.raises(ValueError, match=r'in_channels is \[32, 32, 32\], but .* \[32, 32\] chan'):
        MODELS.build(config).eval()(tiny_images(), None, mode='tensor')


@pytest.mark.slow
def test_too_few_cells_for_the_covariances():
    """At the first step: 48 cells of a clip, of two channels for each of 16."""
    model = MODELS.build(model_config()).train()
    with pytest.raises(ValueError, match=(
        r"TDMI: model.method.mi='gaussian': covariances of 32 channels from 48 samples .*, "
        r'expected at least 64: a larger train_dataloader.batch_size'
    )):  # fmt: skip
        model(tiny_images(1), clip_samples(model_config(), 1), mode='loss')
    assert model(tiny_images(2), clip_samples(model_config(), 2), mode='loss')['loss_mi'] > 0
    assert model.method.least_clips == 2


@pytest.mark.slow
def test_heads_that_do_not_fit():
    config = model_config()
    config.head.in_channels = 64
    with pytest.raises(ValueError, match=(
        'model.head.in_channels is 64, but model.method of type TDMI gives features of 32 channels'
    )):  # fmt: skip
        MODELS.build(config)
    config = model_config()
    config.head.out_channels = 17
    model = MODELS.build(config).train()
    with pytest.raises(ValueError, match='model.head.out_channels is 17, but the target heatmaps'):
        model(tiny_images(), clip_samples(model_config(), 4), mode='loss')
    model = MODELS.build(model_config(sufficiency_weight=0.1, num_keypoints=17)).train()
    with pytest.raises(ValueError, match='num_keypoints is 17, but the samples have 15 joints'):
        model(tiny_images(), clip_samples(model_config(), 4), mode='loss')


def test_numbers_of_blocks():
    """3 for the coarser half of the stages, 2 for the others: those of the paper for four."""
    assert [default_blocks(count) for count in (1, 2, 3, 4)] == [
        [2], [3, 2], [3, 2, 2], [3, 3, 2, 2],
    ]  # fmt: skip
