"""STDPose against loops in float64, its invariants, labels of neighbors, and what it refuses."""

import math
from functools import partial

import numpy as np
import pytest
import slow_cmpose
import slow_information as slow
import slow_transformer
import torch
from mmengine.config import Config
from mmpose.codecs import UDPHeatmap
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, randomize_deep, tiny_file_config, tiny_images
from torch import nn

from cmpose_mm import config_path
from cmpose_mm.datasets.collate import collate_clips
from cmpose_mm.engine.clip_layout_hook import build_dataset
from cmpose_mm.models import ClipInput, FrameFeatures
from cmpose_mm.models.layers import draw_heatmaps
from cmpose_mm.models.stdpose import STDPose, dynamic_masks, nearness

GRID, SCALE, JOINTS, WIDTH = (3, 2), 2, 2, 6
CODEC = dict(type='UDPHeatmap', input_size=(16, 24), heatmap_size=(4, 6), sigma=1)


def drawn(module, std=0.3):
    """Random weights and statistics, in float64 and eval mode."""
    randomize(module, std)
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            part.weight.data += 1
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
    return module.double().eval()


def method(**arguments):
    values = dict(
        in_channels=WIDTH, num_keypoints=JOINTS, heatmap_scale=SCALE, grid=GRID, dam_channels=4,
        num_heads=2,
    )  # fmt: skip
    return STDPose(**{**values, **arguments})


def clip(model, num_clips=2, seed=0, **more):
    """Heatmaps of cells near 0 and near 1, a little beyond as well, as a frame head's may be."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        shape = num_clips, model.num_frames, *shape
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    noise = draw(JOINTS, GRID[0] * SCALE, GRID[1] * SCALE)
    heatmaps = (noise[:, :1].abs() > 1.5) + 0.1 * noise
    frames = FrameFeatures((draw(4, 1, 1), draw(model.out_channels, *GRID)), heatmaps)
    return ClipInput.of(frames, model.key_index, **more)


def labels(model, num_clips=2, seed=3):
    """Poses (B, T, K, 3) in and around the input; about half of the joints are labeled."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-2, 26, (num_clips, model.num_frames, JOINTS, 3))
    values[..., 2] = rng.uniform(size=values.shape[:-1]) < 0.6
    return torch.from_numpy(values)


# ---- the whole, by loops -------------------------------------------------------------------------


def slow_masks(heatmaps, key, scale, k=30.0, theta=0.15, normalize=False):
    """(T, K, H', W') to (T - 1, h, w): Sigm of each residual, then the maxima."""
    frames = np.clip(heatmaps, 0, 1)
    if normalize:
        frames = np.array([[h / max(h.max(), 0.1) for h in frame] for frame in frames])
    _, joints, height, width = frames.shape
    out = np.zeros((len(frames) - 1, height // scale, width // scale))
    for number, i in enumerate(t for t in range(len(frames)) if t != key):
        for y in range(height):
            for x in range(width):
                for joint in range(joints):
                    residual = frames[key, joint, y, x] - frames[i, joint, y, x]
                    value = 1 / (1 + math.exp(-k * (abs(residual) - theta)))
                    cell = out[number, y // scale, x // scale]
                    out[number, y // scale, x // scale] = max(cell, value)
    return out


def slow_motion(maps, masks, key, state):
    neighbors = [maps[t] for t in range(len(maps)) if t != key]
    x = np.concatenate([m * f for m, f in zip(masks, neighbors)])
    x = slow.conv(x, state['motion.reduce.weight'], state['motion.reduce.bias'])
    for number in range(2):
        name = f'motion.blocks.{number}.body'
        y = slow.conv(x, state[f'{name}.0.weight'])
        y = slow.relu(slow.batch_norm(y, state, f'{name}.1'))
        y = slow.batch_norm(slow.conv(y, state[f'{name}.3.weight']), state, f'{name}.4')
        x = slow.relu(x + y)
    return slow.conv(x, state['motion.expand.weight'], state['motion.expand.bias'])


def slow_fusion(maps, offsets, key, model, state):
    """F~ (D, h, w)."""
    if model.fusion is None:
        return maps[key]
    tokens = np.array([slow_transformer.cell_tokens(x) for x in maps])
    if hasattr(model.fusion, 'blocks'):
        out = slow_cmpose.criss_cross_neck(tokens, model.fusion)[key][: tokens.shape[1]]
        return out.T.reshape(maps[key].shape)
    x = np.zeros_like(tokens)
    for t, offset in enumerate(offsets):
        for n, token in enumerate(tokens[t]):
            near = state['fusion.temporal_embed'][min(max(offset, -8), 8) + 8]
            x[t, n] = token + state['fusion.pos_embed'][n] + near
    for number in range(len(model.fusion.layers)):  # all tokens, in the last layer, too
        flat = x.reshape(-1, x.shape[2])
        flat = slow_transformer.layer(flat, flat, state, f'fusion.layers.{number}', 2)
        x = flat.reshape(x.shape)
    return x[key].T.reshape(maps[key].shape)


def slow_synthesis(heatmaps, offsets, valid, key, scale, state):
    """H~ (D, h, w), joint by joint and patch by patch."""
    inverse = [
        0 if t == key or not valid[t] else 1 / max(abs(offset), 1)
        for t, offset in enumerate(offsets)
    ]
    weights = [1 if t == key else v / (sum(inverse) or 1) for t, v in enumerate(inverse)]
    weight, bias = state['synthesis.fuse.weight'], state['synthesis.fuse.bias']
    fused = []
    for joint in range(heatmaps.shape[1]):
        frames = np.array([w * frame[joint] for w, frame in zip(weights, heatmaps)])
        one = slow.conv(frames, weight[joint : joint + 1], bias[joint : joint + 1])[0]
        fused.append(heatmaps[key, joint] + one)
    fused = np.array(fused)
    weight, bias = state['synthesis.patches.weight'], state['synthesis.patches.bias']
    out = np.zeros((len(weight), fused.shape[1] // scale, fused.shape[2] // scale))
    for y in range(out.shape[1]):
        for x in range(out.shape[2]):
            patch = fused[:, y * scale : (y + 1) * scale, x * scale : (x + 1) * scale]
            out[:, y, x] = [(w * patch).sum() for w in weight] + bias
    return out


def slow_stdpose(maps, heatmaps, offsets, valid, model):
    """One clip: (T, D, h, w), (T, K, H', W'), (T,), (T,)."""
    state, key = slow.numbers(model), model.key_index
    maps, heatmaps, offsets = (
        np.array([x[t] if valid[t] else stand_in for t in range(len(valid))])
        for x, stand_in in ((maps, maps[key]), (heatmaps, heatmaps[key]), (offsets, 0))
    )
    parts, masks = [slow_fusion(maps, offsets, key, model, state)], None
    if model.synthesis is not None:
        given = heatmaps, offsets, valid, key, model.heatmap_scale, state
        parts.append(slow_synthesis(*given))
    if model.motion is not None:
        masks = np.ones((len(maps) - 1, *maps.shape[2:]))
        if model.dam == 'heatmaps':
            options = model.dam_options
            masks = slow_masks(
                heatmaps, key, model.heatmap_scale, options['steepness'], options['threshold'],
                options['normalize'],
            )  # fmt: skip
        parts.append(slow_motion(maps, masks, key, state))
    weight, bias = state['aggregation.weight'], state['aggregation.bias']
    return slow.conv(np.concatenate(parts), weight, bias), masks


VARIANTS = {
    'default': {},
    'five frames': dict(num_frames=5),
    'causal': dict(key_index=2),
    'key frame first': dict(key_index=0),
    'two frames': dict(num_frames=2, key_index=0),
    'masks of ones': dict(dam='ones'),
    'no motion': dict(dam=None),
    'normalized': dict(dam_normalize=True, dam_steepness=10, dam_threshold=0.4),
    'criss-cross': dict(tff='criss_cross', tff_layers=1),
    'one layer': dict(tff_layers=1),
    'no feature fusion': dict(tff=None),
    'no keypoint synthesis': dict(tks=False),
}


@pytest.mark.parametrize('name', VARIANTS)
def test_it_is_what_the_loops_give(name):
    model = drawn(method(**VARIANTS[name]))
    offsets = 3 * (torch.arange(model.num_frames) - model.key_index).expand(2, -1)
    valid = torch.ones(2, model.num_frames, dtype=torch.bool)
    valid[1, -1 if model.key_index == 0 else 0] = False
    given = clip(model, offsets=offsets, valid=valid)
    with torch.no_grad():
        out = model(given)
    for b in range(2):
        parts = (x[b].numpy() for x in (given.features, given.heatmaps, offsets, valid))
        expected, masks = slow_stdpose(*parts, model)
        key = given.features[b, model.key_index].numpy()
        assert np.abs(expected - key).max() > 0.3
        np.testing.assert_allclose(out.key_features[b], expected, rtol=0, atol=1e-9)
        assert list(out.details) == list(model.detail_kinds)
        if model.dam == 'heatmaps':
            found = np.array([values[b].numpy() for values in out.details.values()])
            np.testing.assert_allclose(found, masks.reshape(len(masks), -1), rtol=0, atol=1e-12)
            if valid[b].all():
                assert found.std() > 0.05 and 0.01 < found.mean() < 0.99
    assert out.losses == {}


def test_names_of_the_masks():
    assert list(method(num_frames=5).detail_kinds) == [
        'mask_before_2', 'mask_before_1', 'mask_after_1', 'mask_after_2'
    ]  # fmt: skip
    assert list(method(key_index=2).detail_kinds) == ['mask_before_2', 'mask_before_1']
    assert method(dam='ones').detail_kinds == method(dam=None).detail_kinds == {}


# ---- the masks -----------------------------------------------------------------------------------


def moved_peak(distance, num_frames=3, sigma=2.0, size=(32, 24)):
    """Heatmaps (1, T, 1, H', W') of a joint that moves by so many cells from frame to frame."""
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    frames = []
    for t in range(num_frames):
        squares = (rows - 15) ** 2 + (columns - 8 - t * distance) ** 2
        frames.append((-squares / (2 * sigma**2)).exp())
    return torch.stack(frames)[None, :, None].double()


def test_equal_frames_have_masks_of_sigm_0():
    frame = torch.rand(2, 1, 3, 8, 6).double()
    masks = dynamic_masks(frame.expand(-1, 4, -1, -1, -1), 1, 2, 30.0, 0.15)
    expected = torch.full((2, 3, 4, 3), 1 / (1 + math.exp(30 * 0.15))).double()
    torch.testing.assert_close(masks, expected)
    assert expected[0, 0, 0, 0] == pytest.approx(0.011, abs=1e-4)


def test_half_a_cell_of_motion_is_the_threshold():
    """Gaussians of sigma 2 that are half a cell apart differ by 0.15 (the reason for theta)."""
    for distance, low, high in ((0.5, 0.4, 0.6), (0.2, 0.0, 0.1), (2, 0.999, 1)):
        largest = dynamic_masks(moved_peak(distance), 0, 4, 30.0, 0.15)[0, 0].amax()
        assert low <= largest <= high, distance


def test_the_mask_is_even_and_lies_at_the_joint():
    heatmaps = moved_peak(3)
    masks = dynamic_masks(heatmaps, 1, 4, 30.0, 0.15)
    swapped = dynamic_masks(heatmaps[:, [1, 0]], 0, 4, 30.0, 0.15)
    torch.testing.assert_close(swapped[:, 0], masks[:, 0])
    y, x = np.unravel_index(int(masks[0, 1].argmax()), masks.shape[2:])
    assert y == 15 // 4 and x in ((8 + 3) // 4, (8 + 6) // 4)
    assert masks[0, 0, 0].max() < 0.02


def test_normalized_masks_do_not_see_a_fading_peak():
    heatmaps = moved_peak(0) * torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1, 1)
    still = 1 / (1 + math.exp(30 * 0.15))
    assert dynamic_masks(heatmaps, 0, 4, 30.0, 0.15)[0, 1].max() > 0.9
    found = dynamic_masks(heatmaps, 0, 4, 30.0, 0.15, normalize=True)
    assert found.max().item() == pytest.approx(still, rel=1e-6)
    noise = torch.cat([torch.zeros(1, 1, 1, 8, 8), torch.full((1, 1, 1, 8, 8), 0.01)], dim=1)
    found = dynamic_masks(noise, 0, 4, 30.0, 0.15, normalize=True)  # no joint: not scaled to 1
    assert found.max() < 0.2


@pytest.mark.parametrize('detach', [True, False])
def test_gradient_through_the_masks(detach):
    model = drawn(method(dam_detach=detach, tks=False)).train()
    given = clip(model)
    given.heatmaps.requires_grad_()
    model(given).key_features.square().sum().backward()
    if detach:
        assert given.heatmaps.grad is None
    else:
        assert given.heatmaps.grad.abs().max() > 1e-3


# ---- time ----------------------------------------------------------------------------------------


def test_weights_by_nearness():
    offsets = torch.tensor([[-1, 0, 1], [-1, 0, 3], [-2, 0, 2], [-1, 0, 1]])
    valid = torch.ones(4, 3, dtype=torch.bool)
    valid[2, 0] = valid[3, 0] = valid[3, 2] = False
    expected = torch.tensor([[0.5, 1, 0.5], [0.75, 1, 0.25], [0, 1, 1], [0, 1, 0]])
    torch.testing.assert_close(nearness(offsets, valid, 1), expected)


def test_the_synthesis_keeps_joints_apart():
    model = drawn(method()).synthesis
    model.patches = nn.Identity()
    heatmaps = torch.randn(1, 3, JOINTS, 6, 4).double()
    weights = torch.tensor([[0.5, 1, 0.5]]).double()
    before = model(heatmaps, weights)
    heatmaps[:, 2, 1] += torch.randn(6, 4)
    after = model(heatmaps, weights)
    assert torch.equal(before[:, 0], after[:, 0])
    assert (before[:, 1] - after[:, 1]).abs().max() > 0.01


@pytest.mark.parametrize('tff', ['joint', 'criss_cross'])
def test_what_stands_in_for_a_missing_frame_changes_nothing(tff):
    model = drawn(method(num_frames=5, tff=tff, labels=CODEC))
    valid = torch.tensor([[False, True, True, True, False]]).expand(2, -1)
    given, other = (
        clip(model, seed=seed, valid=valid, poses=labels(model, seed=seed)) for seed in (0, 7)
    )
    for ours, theirs in ((given.features, other.features), (given.heatmaps, other.heatmaps),
                         (given.poses, other.poses)):  # fmt: skip
        theirs[:, 1:4] = ours[:, 1:4]
    offsets = given.offsets.clone()
    offsets[:, 0] = -7
    other.offsets = offsets
    with torch.no_grad():
        torch.testing.assert_close(model(given).key_features, model(other).key_features)
        given.valid = other.valid = torch.ones_like(valid)
        differences = model(given).key_features - model(other).key_features
    assert differences.abs().max() > 0.1


def test_distances_matter_up_to_eight_frames():
    model = drawn(method(tks=False, dam=None))
    outputs = []
    for distance in (1, 4, 8, 20):
        offsets = torch.tensor([[-distance, 0, distance]] * 2)
        with torch.no_grad():
            outputs.append(model(clip(model, offsets=offsets)).key_features)
    assert torch.equal(outputs[2], outputs[3])
    for a, b in ((0, 1), (1, 2)):
        assert (outputs[a] - outputs[b]).abs().max() > 1e-3


# ---- labels of the neighbors ---------------------------------------------------------------------


def test_given_heatmaps_replace_the_frame_head_s_joint_by_joint():
    model = method(labels=CODEC)
    given = clip(model, poses=labels(model))
    found = model.labeled_heatmaps(given)
    codec, replaced = UDPHeatmap(**{k: v for k, v in CODEC.items() if k != 'type'}), 0
    for b, t, k in np.ndindex(2, 3, JOINTS):
        pose = given.poses[b, t, None, k : k + 1].numpy()
        expected = given.heatmaps[b, t, k].numpy()
        if t != 1 and pose[0, 0, 2] > 0:
            encoded = codec.encode(pose[..., :2], pose[..., 2].copy())
            if encoded['keypoint_weights'][0, 0] > 0:
                expected, replaced = encoded['heatmaps'][0], replaced + 1
        np.testing.assert_allclose(found[b, t, k], expected, rtol=0, atol=1e-5)
    assert 2 <= replaced <= 6


def test_a_label_far_outside_of_the_crop_leaves_the_frame_head_s_heatmap():
    """It has no heat in the crop: all of its map would be zero."""
    model = method(labels=CODEC)
    poses = torch.zeros(2, 3, JOINTS, 3).double()
    poses[:, 0] = torch.tensor([900.0, 7.0, 1.0])
    given = clip(model, poses=poses)
    assert torch.equal(model.labeled_heatmaps(given), given.heatmaps)


def test_defaults_of_the_masks():
    model = method()
    heatmaps = clip(model).heatmaps
    expected = [slow_masks(each.numpy(), 1, SCALE, k=30.0, theta=0.15) for each in heatmaps]
    np.testing.assert_allclose(model.double().masks(heatmaps), expected, rtol=0, atol=1e-9)


def test_the_key_frame_s_own_label_never_changes_the_output():
    model = drawn(method(labels=CODEC, dam_normalize=True))
    poses = labels(model)
    with torch.no_grad():
        before = model(clip(model, poses=poses)).key_features
        poses[:, 1] = torch.tensor([5.0, 7.0, 1.0])
        assert torch.equal(model(clip(model, poses=poses)).key_features, before)
        poses[:, 2] = torch.tensor([5.0, 7.0, 1.0])  # a neighbor's does
        assert (model(clip(model, poses=poses)).key_features - before).abs().max() > 1e-3


def test_without_labels_it_is_the_model_without_that_option():
    model = drawn(method(labels=CODEC))
    plain = drawn(method())
    plain.load_state_dict(model.state_dict())
    given = clip(model, poses=torch.zeros(2, 3, JOINTS, 3).double())
    with torch.no_grad():
        assert torch.equal(model(given).key_features, plain(given).key_features)


def propagating_config(**arguments):
    config = tiny_file_config('stdpose/stdpose_tiny.py', dam_normalize=True, **arguments)
    config.method.labels = config.head.decoder
    config.frame_head_frozen = config.freeze_backbone = True
    return config


def propagation_samples(config, num_clips=4):
    samples = clip_samples(config, num_clips)
    poses = np.random.default_rng(0).uniform(5, 90, (num_clips, 3, 15, 3)).astype(np.float32)
    poses[..., 2], poses[:, 1] = 1, 0
    for number, sample in enumerate(samples):
        offsets = np.array([-3, 0, 1 + number])
        valid = np.array([number != 1, True, number != 2])
        sample.set_metainfo(dict(neighbor_poses=poses[number], frame_offsets=offsets,
                                 frame_valid=valid, key_index=1))  # fmt: skip
    return samples


def test_a_model_that_propagates_trains_and_predicts():
    """With labels in the samples, as the dataset gives them with `neighbor_poses=True`."""
    config = propagating_config()
    model = MODELS.build(config).train()
    assert model.method.needs_poses
    samples = propagation_samples(config)
    losses = model(tiny_images(4), samples, mode='loss')
    assert set(losses) == {'loss_kpt'}  # frozen frame head
    losses['loss_kpt'].backward()
    trained = {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {'method', 'head'}
    model = randomize_deep(model).eval()
    model.test_cfg.update(flip_test=True, output_heatmaps=True)
    with torch.no_grad():
        first = model(tiny_images(4), samples, mode='predict')
        moved = propagation_samples(config)
        for sample in moved:
            poses = sample.metainfo['neighbor_poses'].copy()
            poses[2, :, 0] += 20
            sample.set_metainfo(dict(neighbor_poses=poses))
        second = model(tiny_images(4), moved, mode='predict')
    for number, (a, b) in enumerate(zip(first, second)):
        difference = (a.pred_fields.heatmaps - b.pred_fields.heatmaps).abs().max()
        assert (difference.item() > 1e-4) == (number != 2)  # missing in clip 2


def test_flip_test_of_a_mirrored_clip_with_mirrored_labels():
    """A mirrored clip has mirrored labels, with left and right joints swapped."""
    config = propagating_config()
    config.method.labels = dict(config.method.labels, sigma=2)  # the codec is even at whole radii
    model = randomize_deep(MODELS.build(config)).eval()
    samples, images = propagation_samples(config), tiny_images(4)
    with torch.no_grad():
        frames, mirrored = model.extract_clips(images), model.extract_clips(images.flip(-1))
        of_mirror = model.clip_input(mirrored, samples, mirrored=True)
    flips = samples[0].metainfo['flip_indices']
    options = dict(size=model.method.labels_size, **model.method.labels)
    drawn_once = draw_heatmaps(model.clip_input(frames, samples).poses, **options)
    drawn_mirrored = draw_heatmaps(of_mirror.poses, **options)
    assert drawn_once.amax() > 0.8
    torch.testing.assert_close(drawn_mirrored, drawn_once[:, :, flips].flip(-1), rtol=0, atol=1e-4)


def test_labels_come_from_the_dataset(real_data):
    """Real clips: neighbors' labels, flipped and cropped as the frames are, at their joints."""
    config = Config.fromfile(config_path('stdpose/stdpose_tiny.py'))
    config.model = propagating_config()
    dataset = config.train_dataloader.dataset
    dataset.update(data_root=str(real_data / 'posetrack_clip'), neighbor_poses=True)
    for step in dataset.pipeline:
        if step.type == 'TopdownAffine':
            step.type = 'ClipTopdownAffine'
    clips = build_dataset(config, 'train_dataloader')
    batch = collate_clips([clips[number] for number in range(0, len(clips), 17)])
    model = MODELS.build(config.model).train()
    data = model.data_preprocessor(batch, True)
    poses = model.clip_input(model.extract_clips(data['inputs']), data['data_samples']).poses
    assert (poses[:, 1] == 0).all() and poses[:, [0, 2], :, 2].mean() > 0.3
    targets = torch.stack([sample.gt_fields.heatmaps for sample in data['data_samples']])
    heatmaps = draw_heatmaps(poses, model.method.labels_size, **model.method.labels)
    given = heatmaps.amax(dim=(3, 4)) > 0
    # In this video a person moves little from frame to frame: labels lie at the key frame's.
    overlap = (heatmaps[:, 0] * targets).flatten(2).amax(2)[given[:, 0]]
    assert (overlap > 0.2).float().mean() > 0.8
    losses = model(**data, mode='loss')
    losses['loss_kpt'].backward()
    assert losses['loss_kpt'].isfinite()


def test_labels_are_refused_where_they_can_not_be():
    with pytest.raises(ValueError, match=(
        'model.method.labels is the config of a MSRAHeatmap gaussian, expected that of a '
        'UDPHeatmap gaussian, the codec of the data'
    )):  # fmt: skip
        method(labels=dict(CODEC, type='MSRAHeatmap'))
    with pytest.raises(ValueError, match='config of a UDPHeatmap combined'):
        method(labels=dict(CODEC, heatmap_type='combined'))
    for wrong in ('codec', dict(type='UDPHeatmap', input_size=(24, 32))):
        with pytest.raises(ValueError, match='labels is .* with input_size and heatmap_size'):
            method(labels=wrong)
    model = method(labels=dict(CODEC, heatmap_size=(8, 12)))
    with pytest.raises(ValueError, match=(
        r'model.method.labels.heatmap_size is \(8, 12\), but model.frame_head gives heatmaps of '
        r'\(4, 6\); expected the same'
    )):  # fmt: skip
        model(clip(model, poses=labels(model)))
    assert 'expected labels=None' in model.not_exportable
    built = MODELS.build(propagating_config()).eval()
    with pytest.raises(ValueError, match='STDPose needs the poses of the neighbors: .*neighbor_po'):
        built(tiny_images(1), None, mode='tensor')


# ---- start, gradients, precision -----------------------------------------------------------------


@pytest.mark.parametrize('arguments', [{}, dict(tff='criss_cross'), dict(labels=CODEC),
                                       dict(tff=None, dam='ones')])  # fmt: skip
@pytest.mark.parametrize('num_frames, key_index', [(3, None), (5, None), (3, 2), (5, 4), (2, 0)])
def test_it_starts_as_the_single_frame_model(arguments, num_frames, key_index):
    model = method(num_frames=num_frames, key_index=key_index, **arguments).double()
    given = clip(model, 4, poses=labels(model, 4))
    for mode in (True, False):
        out = model.train(mode)(given)
        assert torch.equal(out.key_features, given.features[:, model.key_index])


@pytest.mark.parametrize('name', VARIANTS)
def test_every_parameter_learns_in_every_variant(name):
    model = drawn(method(**VARIANTS[name])).train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    model(clip(model, 4)).key_features.square().sum().backward()
    silent = [n for n, p in model.named_parameters() if not (p.grad.abs() > 1e-9).any()]
    assert silent == []


def test_weights_in_half_precision():
    model = method().eval()
    given = clip(model)
    nn.init.normal_(model.aggregation.weight, std=0.2)

    def features(dtype):
        frames = given.map(lambda x: x.to(dtype))
        with torch.no_grad():
            return model.to(dtype)(ClipInput.of(frames, model.key_index)).key_features

    expected, found = features(torch.float32), features(torch.bfloat16)
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().mean() < 0.05 * expected.abs().mean()


# ---- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize('arguments, message', [
    (dict(num_frames=1), 'num_frames is 1, expected at least 2: it compares frames'),
    (dict(dam='zeros'), "dam is 'zeros', expected one of 'heatmaps', 'ones', None"),
    (dict(tff='cross'), "tff is 'cross', expected one of 'joint', 'criss_cross', None"),
    (dict(tff_layers=0), 'tff_layers is 0, expected a whole number of at least 1'),
    (dict(tff='criss_cross', tff_layers=0), 'tff_layers is 0, expected a whole number'),
    (dict(num_heads=4), 'num_heads is 4, expected a divisor of the 6 channels'),
    (dict(tff='criss_cross', num_heads=4), 'num_heads is 4, expected a divisor of the 6 channels'),
    (dict(dam_steepness=0), 'dam_steepness is 0, expected a number above 0'),
    (dict(dam_threshold=-1), 'dam_threshold is -1, expected a number of at least 0'),
    (dict(dam_channels=0), 'dam_channels is 0, expected a whole number of at least 1'),
    (dict(heatmap_scale=0), 'heatmap_scale is 0, expected a whole number of at least 1'),
    (dict(grid=(16,)), r'grid is \(16,\), expected the rows and columns of the last map'),
    (dict(grid=(16, 0)), r'grid is \(16, 0\), expected a list of whole numbers'),
    (dict(key_index=3), 'key_index is 3, expected 0 to 2 for 3 frames'),
])  # fmt: skip
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f'STDPose: (model.method.)?{message}'):
        method(**arguments)


tiny_config = partial(tiny_file_config, 'stdpose/stdpose_tiny.py')


def refused(message, config, num_clips=2):
    model = MODELS.build(config).train()
    with pytest.raises(ValueError, match=message):
        model(tiny_images(num_clips), clip_samples(tiny_config(), num_clips), mode='loss')


@pytest.mark.slow
def test_models_that_do_not_fit_together():
    refused(r'model.method.grid is \(6, 8\), but backbone and neck give maps of \(8, 6\) cells; '
            'expected the same', tiny_config(grid=(6, 8)))  # fmt: skip
    refused('model.method.heatmap_scale is 2, but model.frame_head gives heatmaps of '
            r'\(32, 24\) cells on maps of \(8, 6\)', tiny_config(heatmap_scale=2))  # fmt: skip
    refused('model.method.num_keypoints is 14, but model.frame_head gives 15 joints',
            tiny_config(num_keypoints=14))  # fmt: skip
    config = tiny_config(in_channels=16)
    config.head.in_channels = 16
    with pytest.raises(ValueError, match=r'model.method.in_channels is \[16\], but .* \[32\] cha'):
        MODELS.build(config)(tiny_images(1), None, mode='tensor')
    config = tiny_config(in_channels=16)
    with pytest.raises(ValueError, match='model.head.in_channels is 32, but .* STDPose gives'):
        MODELS.build(config)
    config = tiny_config()
    config.frame_head = None
    with pytest.raises(ValueError, match='STDPose needs the heatmaps .* model.frame_head'):
        MODELS.build(config)


def test_the_frame_head_s_loss():
    """`loss_frame` beside that of the head, from the key frame's heatmaps (chosen weight: 1)."""
    config = tiny_config()
    model = randomize_deep(MODELS.build(config)).train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    images, samples = tiny_images(2), clip_samples(config, 2)
    losses = model(images, samples, mode='loss')
    with torch.no_grad():
        heatmaps = model.extract_clips(images).heatmaps[:, 1]
    targets = torch.stack([s.gt_fields.heatmaps for s in samples])
    weights = torch.cat([s.gt_instance_labels.keypoint_weights for s in samples])
    expected = ((heatmaps - targets).square() * weights[..., None, None]).mean()
    assert losses['loss_frame'].item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(losses) == {'loss_kpt', 'loss_frame'}


@pytest.mark.parametrize('year', [17, 18, 21])
@pytest.mark.parametrize('kind', ['vit', 'vit-s'])
def test_recipe(kind, year):
    """CM-Pose's, from a single-frame model, with a trained frame head."""
    config = Config.fromfile(config_path(f'stdpose/stdpose_{kind}_posetrack{year}.py'))
    theirs = Config.fromfile(config_path(f'cmpose/cmpose_{kind}_posetrack{year}.py'))
    for key in ('train_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler',
                'train_cfg', 'test_evaluator'):  # fmt: skip
        assert config[key] == theirs[key], key
    assert config.model.backbone == theirs.model.backbone
    assert config.model.frame_head == config.model.head == theirs.model.head
    assert not config.model.frame_head_frozen
    assert config.load_from == f'work_dirs/single_frame_{kind}_posetrack{year}/epoch_20.pth'
