"""The baselines against loops and against MMPose's own single-frame model."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, run_method, tiny_config

from cmpose_mm.models.baselines import FrameConcat, KeyFrameOnly, StackedFrames

BASELINES = {
    'key frame': dict(type='KeyFrameOnly', num_frames=3),
    'concatenated': dict(type='FrameConcat', embed_dims=32),
    'averaged': dict(type='StackedFrames'),
}


def build(name):
    """The estimator with a baseline, and MMPose's single-frame model of the same weights."""
    config = tiny_config()
    config.method = BASELINES[name]
    if name == 'averaged':
        config.head.type = 'HeatmapAverageHead'
    ours = MODELS.build(config).eval()
    randomize(ours.backbone)
    randomize(ours.head)
    single = tiny_config()
    single.type = 'TopdownPoseEstimator'
    single.data_preprocessor.type = 'PoseDataPreprocessor'
    del single.method
    theirs = MODELS.build(single).eval()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert missing == [] and all(key.startswith('method.') for key in unexpected)
    return ours, theirs


def clips(num_clips=2, num_frames=3):
    return 3 * torch.randn(num_clips, num_frames, 3, 128, 96)


def slow_concat(features, weight, bias):
    """The convolution cell by cell: features (B, T, D, h, w), weight (D, T * D, k, k)."""
    num_clips, num_frames, width, height, columns = features.shape
    size = weight.shape[-1]
    out = torch.zeros(num_clips, width, height, columns)
    for b in range(num_clips):
        for y in range(height):
            for x in range(columns):
                total = bias.clone()
                for dy in range(size):
                    for dx in range(size):
                        row, column = y + dy - size // 2, x + dx - size // 2
                        if not (0 <= row < height and 0 <= column < columns):
                            continue
                        for t in range(num_frames):
                            channels = slice(t * width, (t + 1) * width)
                            total += weight[:, channels, dy, dx] @ features[b, t, :, row, column]
                out[b, :, y, x] = total
    return out


@pytest.mark.parametrize('kernel_size', [1, 3])
@pytest.mark.parametrize('num_frames', [1, 3, 4])
def test_concatenation_is_one_convolution(kernel_size, num_frames):
    method = randomize(FrameConcat(5, num_frames, kernel_size))
    features = torch.randn(2, num_frames, 5, 3, 4)
    expected = slow_concat(features, method.conv.weight.detach(), method.conv.bias.detach())
    torch.testing.assert_close(
        run_method(method, features).key_features, expected, rtol=1e-5, atol=1e-5
    )


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match='kernel_size is 2, expected an odd number'):
        FrameConcat(5, kernel_size=2)


def test_key_frame_only_hands_on_the_middle():
    features = torch.randn(2, 5, 3, 2, 2)
    assert torch.equal(run_method(KeyFrameOnly(5), features).key_features, features[:, 2])
    assert torch.equal(run_method(KeyFrameOnly(), features[:, :1]).key_features, features[:, 0])


def test_clips_without_future_frames():
    features = torch.randn(2, 3, 4, 2, 2)
    for method in (KeyFrameOnly(3, key_index=2), FrameConcat(4, key_index=2)):
        assert torch.equal(run_method(method, features).key_features, features[:, 2])


@pytest.mark.parametrize('name', ['key frame', 'concatenated'])
def test_untrained_they_are_the_single_frame_model(name):
    ours, theirs = build(name)
    inputs = clips()
    expected = theirs(inputs[:, 1], None, mode='tensor')
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(ours(inputs, None, mode='tensor'), expected, rtol=1e-4, atol=1e-5)


def test_averaged_heatmaps_are_the_mean_over_the_frames():
    ours, theirs = build('averaged')
    inputs = clips()
    expected = sum(theirs(inputs[:, t], None, mode='tensor') for t in range(3)) / 3
    torch.testing.assert_close(ours(inputs, None, mode='tensor'), expected, rtol=1e-4, atol=1e-5)
    # Not the same as the heatmaps of averaged features: the head is not linear.
    features = ours.extract_clips(inputs).features.mean(1)
    assert (theirs.head((features,)) - expected).abs().max() > 0.01


def test_averaging_with_flip_test_averages_mirrored_heatmaps_too():
    ours, theirs = build('averaged')
    ours.test_cfg = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False)
    ours.test_cfg['output_heatmaps'] = True
    samples = clip_samples(tiny_config(), 2)
    flip_indices = samples[0].metainfo['flip_indices']
    inputs = clips()
    predicted = ours(inputs, samples, mode='predict')
    for number, sample in enumerate(predicted):
        maps = []
        for t in range(3):
            maps.append(theirs(inputs[number, t][None], None, mode='tensor')[0])
            mirrored = theirs(inputs[number, t][None].flip(-1), None, mode='tensor')[0]
            maps.append(mirrored.flip(-1)[flip_indices])
        np.testing.assert_allclose(
            sample.pred_fields.heatmaps.numpy(), (sum(maps) / 6).detach().numpy(), atol=1e-5
        )


def test_averaging_trains_the_single_frame_model():
    ours, theirs = build('averaged')
    ours.train(), theirs.train()
    inputs, samples = clips(num_frames=1), clip_samples(tiny_config(), 2)
    losses = ours(inputs, samples, mode='loss')
    expected = theirs(inputs[:, 0], samples, mode='loss')
    assert losses.keys() == expected.keys()
    torch.testing.assert_close(losses['loss_kpt'], expected['loss_kpt'])
    with pytest.raises(ValueError, match='clips have 3 frames.*num_frames=1'):
        ours(clips(), samples, mode='loss')


def test_every_parameter_learns():
    ours, _ = build('concatenated')
    ours.train()
    ours(clips(), clip_samples(tiny_config(), 2), mode='loss')['loss_kpt'].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in ours.method.parameters())


@pytest.mark.slow
def test_they_are_plain_torch():
    script = (
        'import sys; sys.modules.update(mmpose=None, mmcv=None, mmengine=None)\n'
        'from cmpose_mm.models.baselines import FrameConcat, KeyFrameOnly, StackedFrames'
    )
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_stacked_frames_keep_the_order():
    features = torch.randn(2, 3, 4, 2, 2)
    stacked = run_method(StackedFrames(), features).key_features
    for t in range(3):
        assert torch.equal(stacked[:, 4 * t : 4 * t + 4], features[:, t])
