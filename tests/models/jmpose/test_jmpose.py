"""JM-Pose against loops in float64, its invariants, loss, optical flow, and what it refuses."""

import copy
from functools import partial

import numpy as np
import pytest
import slow_information as slow
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, randomize_deep, tiny_file_config, tiny_images
from torch import nn

from cmpose_mm import config_path
from cmpose_mm.compat import TORCH_VERSION as TORCH
from cmpose_mm.models import ClipInput, FrameFeatures
from cmpose_mm.models.jmpose import ChannelAttention, FlowMotion, JMPose, MutualLearning

SIZE, JOINTS = (3, 2), 2
CANCELS = ['stage_maps.projections.0.1.bias']  # in the differences


def drawn(module, std=0.3):
    """Random weights and statistics, in float64 and eval mode."""
    randomize(module, std)
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data += 1
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    return module.double().eval()


def method(**arguments):
    values = dict(
        in_channels=6, channels=8, num_frames=3, num_keypoints=JOINTS, heatmap_scale=2, num_heads=4
    )
    return JMPose(**{**values, **arguments})


def clip(model, num_clips=2, size=SIZE, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(
            num_clips, model.num_frames, *shape, generator=generator, dtype=torch.float64
        )

    scale = model.heatmap_scale
    heatmaps = draw(model.num_keypoints, size[0] * scale, size[1] * scale)
    frames = FrameFeatures((draw(4, 1, 1), draw(model.out_channels, *size)), heatmaps)
    return ClipInput.of(frames, model.key_index)


# ---- the whole, by loops -------------------------------------------------------------------------


def slow_attention(x, other, state, prefix, num_heads):
    """Channels of x read channels of other, entry by entry."""
    channels, height, width = x.shape

    def projected(source, name):
        y = slow.conv(source, state[f'{prefix}.{name}.0.weight'])
        depthwise = state[f'{prefix}.{name}.1.weight']
        planes = [slow.conv(y[c : c + 1], depthwise[c : c + 1]) for c in range(channels)]
        return np.concatenate(planes)

    queries = projected(x, 'query')
    keys, values = projected(other, 'key'), projected(other, 'value')
    out, group = np.zeros_like(x), channels // num_heads
    for c in range(channels):
        head = c // group
        members = range(head * group, (head + 1) * group)
        logits = []
        for d in members:
            product = (queries[c] * keys[d]).sum()
            product /= np.sqrt((queries[c] ** 2).sum()) * np.sqrt((keys[d] ** 2).sum())
            logits.append(state[f'{prefix}.temperature'][head, 0, 0] * product)
        weights = np.exp(logits) / np.exp(logits).sum()
        out[c] = sum(w * values[d] for w, d in zip(weights, members))
    return slow.conv(out, state[f'{prefix}.proj.weight'])


def slow_layer(motion, joints, state, prefix, num_heads):
    m = slow.chain(motion, state, f'{prefix}.motion_chain')
    j = slow.chain(joints, state, f'{prefix}.joint_chain')
    new_m = m + slow_attention(m, j, state, f'{prefix}.motion_attention', num_heads)
    new_j = j + slow_attention(j, m, state, f'{prefix}.joint_attention', num_heads)
    y = slow.conv(np.concatenate([new_m, new_j]), state[f'{prefix}.gate.0.weight'])
    y = slow.relu(slow.batch_norm(y, state, f'{prefix}.gate.1'))
    y = slow.sigmoid(slow.conv(y, state[f'{prefix}.gate.3.weight'], state[f'{prefix}.gate.3.bias']))
    return y[: len(m)] * new_m, y[len(m) :] * new_j


def slow_heatmaps(heatmaps, state, scale):
    """(T, K, H', W') to (T K, h, w)."""
    out = []
    for frame in heatmaps:
        joints, height, width = frame.shape
        cells = np.zeros((joints * scale**2, height // scale, width // scale))
        for k in range(joints):
            for a in range(scale):
                for b in range(scale):
                    cells[k * scale**2 + a * scale + b] = frame[k, a::scale, b::scale]
        if 'to_grid.weight' in state:
            out.append(slow.conv(cells, state['to_grid.weight'], state['to_grid.bias']))
        else:  # means
            out.append(cells.reshape(joints, scale**2, *cells.shape[1:]).mean(1))
    return np.concatenate(out)


def slow_jmpose(maps, heatmaps, state, model):
    """One clip: maps (T, D, h, w), heatmaps (T, K, H', W')."""
    t, frames = model.key_index, maps
    if 'stage_maps.projections.0.0.weight' in state:
        name = 'stage_maps.projections.0'
        frames = [
            slow.batch_norm(slow.conv(x, state[f'{name}.0.weight']), state, f'{name}.1')
            for x in maps
        ]
    sides = []
    for number, span in enumerate((range(t), range(t, len(frames) - 1))):
        if len(span):
            parts = np.concatenate([frames[i + 1] - frames[i] for i in span])
            sides.append(slow.chain(parts, state, f'motion.sides.{number}'))
    weight, bias = state['motion.join.weight'], state['motion.join.bias']
    motion = slow.conv(np.concatenate(sides), weight, bias)
    given = slow_heatmaps(heatmaps, state, model.heatmap_scale)
    joints, weights = motion, None
    if 'joint_learner.conv.weight' in state:
        context = slow.chain(np.concatenate([given, motion]), state, 'context')
        joints, weights = slow.modulated(motion, context, state, 'joint_learner', dilation=1)
    streams = []
    for number in range(len(model.layers)):
        motion, joints = slow_layer(motion, joints, state, f'layers.{number}', 4)
        streams.append((motion, joints))
    features = slow.aggregation(maps[t], [maps[t], motion, joints], state, 'aggregation')
    return dict(features=features, motion=motion, joints=joints, weights=weights,
                streams=streams, given=given)  # fmt: skip


VARIANTS = {
    'default': {},
    'HRNet': dict(in_channels=8, channels=None, heatmap_scale=1),
    'causal': dict(key_index=2),
    'key frame first': dict(key_index=0),
    'five frames': dict(num_frames=5),
    'J = M': dict(joint_learner=False),
    'one layer': dict(num_layers=1),
    'no layers': dict(num_layers=0, orthogonality_weight=0),
    'grid_sample': dict(deformation='grid_sample'),
    'plain aggregation': dict(residual=False),
}


@pytest.mark.parametrize('name', VARIANTS)
def test_it_is_what_the_loops_give(name):
    model = drawn(method(**VARIANTS[name]))
    given = clip(model)
    with torch.no_grad():
        out = model(given)
    expected = slow_jmpose(
        given.features[1].numpy(), given.heatmaps[1].numpy(), slow.numbers(model), model
    )
    found = out.key_features[1].numpy()
    assert np.abs(found - given.features[1, model.key_index].numpy()).max() > 0.05
    np.testing.assert_allclose(found, expected['features'], rtol=0, atol=1e-8)
    for key in ('motion', 'joints'):
        lengths = np.sqrt((expected[key] ** 2).sum(0)).ravel()
        np.testing.assert_allclose(out.details[key][1], lengths, rtol=1e-5, atol=1e-6)
    if expected['weights'] is None:
        assert 'joint_weights' not in out.details
    else:
        weights = expected['weights'].mean(0).ravel()
        np.testing.assert_allclose(out.details['joint_weights'][1], weights, rtol=1e-5)
    assert out.losses == {}


# ---- invariants ----------------------------------------------------------------------------------


@pytest.mark.parametrize('num_frames, key_index', [(3, None), (5, None), (3, 2), (5, 4), (2, 0)])
def test_it_starts_as_the_single_frame_model(num_frames, key_index):
    model = method(num_frames=num_frames, key_index=key_index).double()
    given = clip(model, 4, size=(6, 6))
    for mode in (True, False):
        out = model.train(mode)(given)
        assert torch.equal(out.key_features, given.features[:, model.key_index])


def test_swapped_streams_and_weights_swap_the_outputs():
    layer = drawn(MutualLearning(8, 4))
    motion, joints = torch.randn(2, 2, 8, 3, 4, dtype=torch.float64)
    other = copy.deepcopy(layer)
    other.motion_chain, other.joint_chain = layer.joint_chain, layer.motion_chain
    other.motion_attention, other.joint_attention = layer.joint_attention, layer.motion_attention
    first, last = other.gate[0].weight.data, other.gate[3]
    other.gate[0].weight.data = torch.cat([first[:, 8:], first[:, :8]], dim=1)
    last.weight.data = torch.cat([last.weight[8:], last.weight[:8]]).data
    last.bias.data = torch.cat([last.bias[8:], last.bias[:8]]).data
    with torch.no_grad():
        m, j = layer(motion, joints)
        swapped_j, swapped_m = other(joints, motion)
    assert (m - j).abs().max() > 0.1
    torch.testing.assert_close(swapped_m, m)
    torch.testing.assert_close(swapped_j, j)


def test_attention_does_not_depend_on_the_number_of_cells():
    """It is between channels: a map tiled twice gives the result tiled twice, but at the seams."""
    attention = drawn(ChannelAttention(8, 2))
    for part in (attention.query, attention.key, attention.value):
        part[1].weight.data[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    x, other = torch.randn(2, 1, 8, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        once = attention(x, other)
        twice = attention(x.repeat(1, 1, 2, 1), other.repeat(1, 1, 2, 1))
    torch.testing.assert_close(twice, once.repeat(1, 1, 2, 1))


def test_attention_in_half_precision_is_near_that_in_float32():
    attention = randomize(ChannelAttention(8, 2), 0.3)
    x, other = torch.randn(2, 1, 8, 16, 12)
    with torch.no_grad():
        exact = attention(x, other)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed = attention(x, other).float()
    assert (mixed - exact).abs().max() < 0.03 * exact.abs().max()


# ---- the loss ------------------------------------------------------------------------------------


def trained(**arguments):
    model = drawn(method(**arguments)).train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    return model


@pytest.mark.parametrize('arguments', [{}, dict(condition=None), dict(joint_learner=False)])
def test_loss_of_orthogonality(arguments):
    model = trained(orthogonality_weight=0.02, noise=0.2, **arguments)
    given = clip(model, 4, size=(4, 3))
    losses = model(given).losses
    assert set(losses) == {'loss_orthogonality'}
    state = slow.numbers(model)
    clips = [
        slow_jmpose(x.numpy(), y.numpy(), state, model)
        for x, y in zip(given.features, given.heatmaps)
    ]

    def samples(parts):
        return np.concatenate([np.moveaxis(x, 0, -1).reshape(-1, len(x)) for x in parts])

    condition = samples([c['given'] for c in clips])
    total = 0
    for layer in range(2):
        m, j = (samples([c['streams'][layer][s] for c in clips]) for s in (0, 1))
        used = None if model.condition is None else condition
        total += slow.gaussian_mi(m, j, used, noise=0.2, unit_variance=True)
    expected = 0.02 * total / 2 / 8
    assert losses['loss_orthogonality'].item() == pytest.approx(expected, rel=1e-6)
    assert expected > 1e-3


def test_the_loss_separates_the_streams():
    model = trained(orthogonality_weight=1.0)
    given = clip(model, 4, size=(4, 4))
    optimizer = torch.optim.Adam(model.layers.parameters(), lr=0.01)
    history = []
    for _ in range(15):
        loss = model(given).losses['loss_orthogonality']
        history.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert history[-1] < 0.8 * history[0]


def test_the_condition_receives_no_gradient():
    model = trained(joint_learner=False)
    given = clip(model, 4, size=(4, 4))
    given.heatmaps.requires_grad_()
    given.maps[-1].requires_grad_()
    model(given).losses['loss_orthogonality'].backward()
    assert given.heatmaps.grad is None and given.maps[-1].grad.abs().max() > 0


@pytest.mark.parametrize(
    'arguments', [{}, dict(joint_learner=False), dict(num_layers=0, orthogonality_weight=0),
                  dict(condition=None, key_index=2)]
)  # fmt: skip
def test_every_parameter_learns_in_every_variant(arguments):
    model = trained(**arguments)
    assert all(p.requires_grad for n, p in model.named_parameters() if n not in CANCELS)
    out = model(clip(model, 4, size=(4, 4)))
    (out.key_features.square().sum() + sum(out.losses.values())).backward()
    assert [
        n
        for n, p in model.named_parameters()
        if n not in CANCELS and not (p.grad.abs() > 1e-9).any()
    ] == []


def test_a_schedule_without_layers():
    model = trained(num_layers=0, orthogonality_weight=0)
    given = clip(model, 4, size=(4, 4))
    assert model(given).losses == {}
    model.orthogonality_weight = 0.5  # as a ModelScheduleHook does
    with pytest.raises(ValueError, match=(
        'JMPose: model.method.orthogonality_weight became 0.5 in the training, but '
        'model.method.num_layers is 0, .* expected at least 1 layer'
    )):  # fmt: skip
        model(given)
    model = trained(orthogonality_weight=0)
    assert model(given).losses == {}
    model.orthogonality_weight = 0.5
    assert model(given).losses['loss_orthogonality'] > 0


def test_weights_in_half_precision():
    model = method().eval()
    given = clip(model)
    model.aggregation.proj.weight.data.normal_()

    def features(dtype):
        frames = given.map(lambda x: x.to(dtype))
        with torch.no_grad():
            return model.to(dtype)(ClipInput.of(frames, model.key_index)).key_features

    expected, found = features(torch.float32), features(torch.bfloat16)
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().mean() < 0.05 * expected.abs().mean()


# ---- optical flow --------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def flow_weights(tmp_path_factory) -> str:
    """A file with random weights of torchvision's small RAFT."""
    from torchvision.models.optical_flow import raft_small

    path = tmp_path_factory.mktemp('raft') / 'raft.pth'
    torch.manual_seed(0)
    torch.save(raft_small().state_dict(), path)
    return str(path)


def normalized(images):
    """Images (..., 3, H, W) of 0 to 255 as the preprocessor gives them."""
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    return (images - mean) / torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def test_flow_is_raft_s_from_the_key_frame_to_the_others(flow_weights):
    from torchvision.models.optical_flow import raft_small

    module = FlowMotion(8, 3, 1, flow_weights, num_updates=2)
    images = 255 * torch.rand(2, 3, 3, 128, 136)
    theirs = raft_small().eval()
    theirs.load_state_dict(torch.load(flow_weights, weights_only=True))
    found = module.train().flows(normalized(images))
    assert not found.requires_grad and found.shape == (2, 2, 2, 128, 136)
    scaled = images / 127.5 - 1
    with torch.no_grad():
        for number, neighbor in enumerate((0, 2)):
            expected = theirs(scaled[:, 1], scaled[:, neighbor], num_flow_updates=2)[-1]
            torch.testing.assert_close(found[:, number], expected, rtol=1e-3, atol=1e-3)
    assert expected.abs().max() > 0.1


def test_flow_motion(flow_weights):
    images = torch.randn(2, 3, 3, 128, 128)
    for key_index, sides in ((1, 2), (2, 1)):
        module = FlowMotion(8, 3, key_index, flow_weights, num_updates=1).train()
        assert module.join.in_channels == 8 * sides
        assert not any(part.training for part in module.network.modules())
        before = copy.deepcopy(module.network.state_dict())
        module(images, (8, 8)).square().sum().backward()
        for name, value in module.network.state_dict().items():
            assert torch.equal(value, before[name])
        for name, parameter in module.named_parameters():
            assert (parameter.grad is None) == name.startswith('network.'), name
    assert module(images, (8, 8)).shape == (2, 8, 8, 8)


def test_flow_keeps_to_full_precision(flow_weights):
    module = FlowMotion(8, 3, 1, flow_weights, num_updates=1)
    images = torch.randn(1, 3, 3, 128, 128)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = module.flows(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, module.flows(images), rtol=0, atol=0)
    with pytest.raises(ValueError, match="motion is 'flow' and the model's weights are torch.bfl"):
        module.bfloat16().flows(images.bfloat16())


def flow_config(weights, **changes):
    config = tiny_config(motion='flow', flow=dict(weights=weights, num_updates=1), **changes)
    config.backbone.img_size = (128, 128)
    config.backbone.patch_cfg = {}
    config.head.decoder.update(input_size=(128, 128), heatmap_size=(32, 32))
    return config


@pytest.mark.slow
def test_flow_in_the_estimator(flow_weights):
    model = MODELS.build(flow_config(flow_weights)).eval()
    assert model.method.needs_images
    clips = torch.randn(4, 3, 3, 128, 128)
    assert model(clips, None, mode='tensor').shape == (4, 15, 32, 32)
    samples = clip_samples(Config(dict(head=flow_config(flow_weights).head)), 4)
    losses = model.train()(clips, samples, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert not MODELS.build(tiny_config()).method.needs_images


@pytest.mark.parametrize('changes, found', [
    (dict(mean=[0.0, 0.0, 0.0]), r'mean \[0.0, 0.0, 0.0\] and std .* of RGB images'),
    (dict(std=[255.0, 255.0, 255.0]), r'std \[255.0, 255.0, 255.0\] of RGB images'),
    (dict(bgr_to_rgb=False), 'mean .* of BGR images'),
    (dict(mean=None, std=None), 'no normalization'),
])  # fmt: skip
def test_flow_refuses_images_that_are_normalized_in_another_way(flow_weights, changes, found):
    config = flow_config(flow_weights)
    config.data_preprocessor.update(changes)
    with pytest.raises(ValueError, match=(
        f'model.data_preprocessor has .*{found}, but model.method of type JMPose needs images with '
        r'mean \[123.675, 116.28, 103.53\] and std \[58.395, 57.12, 57.375\] of RGB images'
    )):  # fmt: skip
        MODELS.build(config)
    config.method.pop('flow')
    config.method.motion = 'difference'
    MODELS.build(config)


def test_flow_takes_the_normalization_of_the_config(flow_weights):
    config = flow_config(flow_weights)
    half = dict(mean=[127.5] * 3, std=[127.5] * 3)
    config.data_preprocessor.update(half)
    config.method.flow.update(half)
    module = MODELS.build(config).method.motion
    plain = FlowMotion(8, 3, 1, flow_weights, num_updates=1)
    images = 255 * torch.rand(1, 3, 3, 128, 128)
    found = module.flows((images - 127.5) / 127.5)
    torch.testing.assert_close(found, plain.flows(normalized(images)), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_flow_refuses_track_crops(flow_weights, tmp_path):
    from cmpose_mm.apis import VideoPoseInferencer

    config = Config.fromfile(config_path('jmpose/jmpose_tiny.py'))
    config.model = flow_config(flow_weights)
    config.dump(tmp_path / 'flow.py')
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'flow.pth')
    with pytest.raises(ValueError, match="crops='track' does not work with JMPose, which compares"):
        VideoPoseInferencer(str(tmp_path / 'flow.py'), str(tmp_path / 'flow.pth'), crops='track')
    inferencer = VideoPoseInferencer(str(tmp_path / 'flow.py'), str(tmp_path / 'flow.pth'))
    assert inferencer.crops == 'key_frame'


@pytest.mark.slow
def test_flow_refuses_exports(flow_weights, tmp_path):
    from cmpose_mm.apis.export import export_onnx, export_torch
    from cmpose_mm.apis.loading import load_pose_model

    pytest.importorskip('onnx')
    config = Config.fromfile(config_path('jmpose/jmpose_tiny.py'))
    config.model = flow_config(flow_weights)
    config.dump(tmp_path / 'flow.py')
    state = MODELS.build(config.model).state_dict()
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'flow.pth')
    model = load_pose_model(str(tmp_path / 'flow.py'), str(tmp_path / 'flow.pth'))
    exports = [export_onnx, export_torch] if TORCH >= (2, 6) else [export_onnx]
    for export in exports:
        with pytest.raises(ValueError, match=(
            "JMPose: model.method.motion is 'flow', .* RAFT can not be exported .* expected motion="
        )):  # fmt: skip
            export(model, tmp_path / 'exported')
        assert not (tmp_path / 'exported').exists()


@pytest.mark.slow
@pytest.mark.skipif(TORCH < (2, 6), reason='torch.compile without graph breaks needs torch >= 2.6')
def test_flow_compiles_in_one_graph(flow_weights):
    module = FlowMotion(8, 3, 1, flow_weights, num_updates=1).eval()
    images = torch.randn(2, 3, 3, 128, 128)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(lambda x: module(x, (8, 8)), fullgraph=True, backend='eager')
        torch.testing.assert_close(compiled(images), module(images, (8, 8)))


def test_flow_says_what_it_lacks(flow_weights, tmp_path):
    for flow in ({}, dict(weights=None), dict(weights=str(tmp_path / 'none.pth'))):
        with pytest.raises(ValueError, match='model.method.flow.weights is .* nothing is downloa'):
            method(motion='flow', flow=flow)
    path = tmp_path / 'other.pth'
    for content in (b'', b'<html>not found</html>', b'\x80\x02garbage', b'PK\x03\x04'):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match='other.pth: not the weights of .* raft_small .*flow.w'
        ):
            method(motion='flow', flow=dict(weights=str(path)))
    for content in ([1, 2], {'a': 1}):
        torch.save(content, path)
        with pytest.raises(
            ValueError, match='other.pth: not the weights of .* raft_small .*flow.w'
        ):
            method(motion='flow', flow=dict(weights=str(path)))
    with pytest.raises(ValueError, match="not the weights of torchvision's raft_large"):
        method(motion='flow', flow=dict(weights=flow_weights, network='raft_large'))
    with pytest.raises(ValueError, match="flow.network is 'pwc', expected one of raft_small, raft"):
        method(motion='flow', flow=dict(weights=flow_weights, network='pwc'))
    module = FlowMotion(8, 3, 1, flow_weights)
    with pytest.raises(ValueError, match='input is 96 x 128 pixels; RAFT needs multiples of 8, at'):
        module(torch.randn(1, 3, 3, 128, 96), (8, 6))
    with pytest.raises(ValueError, match='needs the images of the clip'):
        module(None, (8, 6))


# ---- in the estimator ----------------------------------------------------------------------------


tiny_config = partial(tiny_file_config, 'jmpose/jmpose_tiny.py')


def test_heatmaps_matter_and_a_frozen_frame_head_keeps_its_weights():
    config = tiny_config()
    config.frame_head_frozen, config.freeze_backbone = True, True
    model = randomize_deep(MODELS.build(config)).train()
    before = copy.deepcopy(model.state_dict())
    losses = model(tiny_images(), clip_samples(tiny_config(), 4), mode='loss')
    assert set(losses) == {'loss_kpt', 'loss_orthogonality'}
    sum(losses.values()).backward()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    optimizer.step()
    for name, value in model.state_dict().items():
        frozen = name.startswith(('backbone.', 'frame_head.'))
        if frozen:
            assert torch.equal(value, before[name]), name
    assert not torch.equal(model.method.to_grid.weight, before['method.to_grid.weight'])
    with torch.no_grad():
        expected = model.eval()(tiny_images(), None, mode='tensor')
        model.frame_head.final_layer.bias += 1
        model.frame_head.final_layer.weight *= -2
        assert (model(tiny_images(), None, mode='tensor') - expected).abs().max() > 1e-5


# ---- what it refuses -----------------------------------------------------------------------------

WRONG = [
    (dict(num_frames=1), 'JMPose: model.method.num_frames is 1, expected at least 2'),
    (dict(motion='raft'), "model.method.motion is 'raft', expected one of 'difference', 'flow'"),
    (dict(motion='flow'), "motion is 'flow' and model.method.flow is None, expected arguments"),
    (dict(flow=dict(weights='x')), "motion is 'difference' and model.method.flow is {'weights'"),
    (dict(condition='joints'), "condition is 'joints', expected one of 'heatmaps', None"),
    (dict(heatmap_scale=0), 'heatmap_scale is 0, expected a whole number of at least 1'),
    (dict(heatmap_scale=4.0), 'heatmap_scale is 4.0, expected a whole number of at least 1'),
    (dict(num_heads=0), 'JMPose: model.method.num_heads is 0, expected a divisor of the 8 ch'),
    (dict(num_layers=-1), 'model.method.num_layers is -1, expected a whole number of at least 0'),
    (dict(channels=0), 'JMPose: model.method.channels is 0, expected a whole number of at least 1'),
    (dict(in_channels=[32]), r'in_channels is \[32\], expected a whole number of at least 1'),
    (dict(orthogonality_weight=None), 'weight is None, expected a number of at least 0'),
    (dict(motion='flow', flow='raft.pth'), "method.flow has 'raft.pth', expected a dict with"),
    (dict(motion='flow', flow={1: 2}), 'model.method.flow has 1, expected a dict with some of'),
    (dict(motion='flow', flow=dict(weights=3)), 'model.method.flow.weights is 3, expected a file'),
    (dict(num_heads='8'), "model.method.num_heads is '8', expected a divisor of the 8 channels"),
    (dict(motion='flow', flow=dict(path='x')), 'flow has path, expected .* weights, network, num_'),
    (
        dict(motion='flow', flow=dict(num_updates=0)),
        'model.method.flow.num_updates is 0, expected a whole number of at least 1',
    ),
    (dict(num_layers=0), 'num_layers is 0, expected at least 1, or 0 with orthogonality_weight=0'),
    (dict(num_heads=3), 'model.method.num_heads is 3, expected a divisor of the 8 channels'),
    (dict(channels=20), 'JMPose: model.method.channels is 20, expected a multiple of 12 or of 8'),
    (dict(channels=None, in_channels=20), 'model.method.in_channels is 20, expected a multiple of'),
    (dict(deformation=None), "JMPose: model.method.deformation is None, expected one of 'grid_s"),
    (dict(orthogonality_weight=-1), 'weight is -1, expected a number of at least 0'),
    (dict(noise=0), 'JMPose: model.method.noise is 0, expected a number above 0'),
    (dict(key_index=3), 'JMPose: model.method.key_index is 3, expected 0 to 2 for 3 frames'),
]


@pytest.mark.parametrize('arguments, message', WRONG)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        method(**arguments)


def refused(message, config, num_clips=4):
    model = MODELS.build(config).train()
    with pytest.raises(ValueError, match=message):
        model(tiny_images(num_clips), clip_samples(tiny_config(), num_clips), mode='loss')


@pytest.mark.slow
def test_what_does_not_fit_the_model():
    refused(r'in_channels is \[64\], but .* \[32\] channels', head_of(64, in_channels=64))
    refused('num_keypoints is 17, but model.frame_head gives 15', tiny_config(num_keypoints=17))
    refused(
        r'heatmap_scale is 2, but model.frame_head gives heatmaps of \(32, 24\) cells on maps of '
        r'\(8, 6\); expected \(16, 12\)',
        tiny_config(heatmap_scale=2),
    )
    config = tiny_config(num_keypoints=17)
    config.frame_head.out_channels = 17
    refused('model.frame_head.out_channels is 17, but the target heatmaps have 15 joints', config)
    config = tiny_config()
    config.frame_head = None
    with pytest.raises(ValueError, match='JMPose needs the heatmaps .* model.frame_head'):
        MODELS.build(config)


def head_of(channels, **arguments):
    config = tiny_config(**arguments)
    config.head = dict(copy.deepcopy(config.head), in_channels=channels)
    return config


@pytest.mark.slow
def test_too_few_cells_for_the_covariances():
    """48 cells of a clip, two for each of 2 * 8 + 45 channels."""
    refused(
        'JMPose: model.method.orthogonality_weight is not 0: covariances of 61 channels from 96 '
        r'samples .*, expected at least 122: a larger train_dataloader.batch_size',
        tiny_config(),
        num_clips=2,
    )
    model = MODELS.build(tiny_config(condition=None)).train()
    losses = model(tiny_images(2), clip_samples(tiny_config(), 2), mode='loss')
    assert losses['loss_orthogonality'] > 0
    assert model.method.least_clips == 1  # 32 of 48 cells
    model = MODELS.build(tiny_config()).train()
    model(tiny_images(4), clip_samples(tiny_config(), 4), mode='loss')
    assert model.method.least_clips == 3  # 122 of 144 cells
