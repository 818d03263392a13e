import copy

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import load_state_dict
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, tiny_config

from cmpose_mm.models import FrameFeatures, MethodOutput, VideoMethod, VideoTopdownPoseEstimator


def tiny_model(**method):
    return randomize(MODELS.build(tiny_config(**method)), std=0.1).eval()


def clips(num_clips=2, num_frames=3):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(num_clips, num_frames, 3, 128, 96, generator=generator)


def single_frame_pair():
    """A CM-Pose without FTE as it is built, and MMPose's own model with the same weights."""
    config = tiny_config(fte=None)
    ours = MODELS.build(config)
    randomize(ours.backbone)
    randomize(ours.head)
    theirs = copy.deepcopy(config)
    theirs.type = 'TopdownPoseEstimator'
    theirs.data_preprocessor.type = 'PoseDataPreprocessor'
    del theirs.method
    theirs = MODELS.build(theirs)
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert missing == [] and {name.split('.')[0] for name in unexpected} == {'method'}
    return ours, theirs


@pytest.mark.parametrize('neighbors', ['repeated', 'others'])
def test_starts_as_the_single_frame_model(neighbors):
    ours, theirs = (model.eval() for model in single_frame_pair())
    inputs = clips()
    if neighbors == 'repeated':
        inputs = inputs[:, 1:2].expand(-1, 3, -1, -1, -1)
    heatmaps = ours(inputs, None, mode='tensor')
    expected = theirs(inputs[:, 1], None, mode='tensor')
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(heatmaps, expected, rtol=1e-5, atol=1e-5)
    # Not only close: on the same batch shape through the backbone they are equal.
    with torch.no_grad():
        features = theirs.extract_feat(inputs.flatten(0, 1))[-1].unflatten(0, (2, 3))[:, 1]
        assert torch.equal(ours(inputs, None, mode='tensor'), theirs.head((features,)))


@pytest.mark.parametrize('flip_test', [True, False])
def test_predicts_as_the_single_frame_model(flip_test):
    ours, theirs = (model.eval() for model in single_frame_pair())
    for model in (ours, theirs):
        model.test_cfg['flip_test'] = flip_test
    inputs = clips()
    predicted = ours(inputs, clip_samples(tiny_config(), 2), mode='predict')
    expected = theirs(inputs[:, 1], clip_samples(tiny_config(), 2), mode='predict')
    for a, b in zip(predicted, expected):
        a, b = a.pred_instances, b.pred_instances
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-2)
        np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, atol=1e-4)


def test_losses_start_as_those_of_the_single_frame_model():
    ours, theirs = (model.train() for model in single_frame_pair())
    inputs, samples = clips(), clip_samples(tiny_config(), 2)
    losses = ours(inputs, samples, mode='loss')
    expected = theirs(inputs[:, 1], samples, mode='loss')
    assert set(losses) - {'acc_pose'} == {'loss_kpt', 'loss_mask', 'loss_denoise'}
    torch.testing.assert_close(losses['loss_kpt'], expected['loss_kpt'], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_seeds_come_from_the_samples():
    model = tiny_model().train()
    samples = clip_samples(tiny_config(), 2)

    def mask_loss(samples):
        torch.manual_seed(0)
        return model(clips(), samples, mode='loss')['loss_mask']

    same = mask_loss(samples)
    assert torch.equal(mask_loss(samples), same)
    torch.manual_seed(99)
    assert torch.equal(model(clips(), samples, mode='loss')['loss_mask'], same)
    assert not torch.equal(mask_loss(clip_samples(tiny_config(), 2, seed=1)), same)
    assert torch.equal(model.run_method(clips(), samples).losses['loss_mask'], same)

    for sample in samples:
        del sample.clip_seed
    drawn = mask_loss(samples)
    assert torch.equal(mask_loss(samples), drawn) and not torch.equal(drawn, same)


def test_training_step_updates_every_parameter():
    from mmengine.optim import OptimWrapper

    model = tiny_model().train()
    samples = clip_samples(tiny_config(), 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=100.0))
    inputs = [(clip * 50 + 120).clamp(0, 255).to(torch.uint8) for clip in clips()]
    log = model.train_step(dict(inputs=inputs, data_samples=samples), optimizer)
    parts = {name: value for name, value in log.items() if name.startswith('loss_')}
    assert {*parts} == {'loss_kpt', 'loss_mask', 'loss_denoise', 'loss_similarity'}
    assert torch.allclose(log['loss'], sum(parts.values()))
    unchanged = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert unchanged == []


@pytest.mark.parametrize('flip_test', [True, False])
@pytest.mark.slow
def test_details_in_the_predictions_are_those_of_the_clip(flip_test):
    model = tiny_model()
    model.test_cfg.update(flip_test=flip_test, output_details=True)
    inputs = clips()
    expected = model.run_method(inputs).details
    results = model(inputs, clip_samples(tiny_config(), 2), mode='predict')
    for b, result in enumerate(results):
        assert result.pred_instances.keypoints.shape == (1, 15, 2)
        for name, shape in (('causal_tokens', (15, 1)), ('cluster_ids', (48,))):
            assert result.pred_instances[name].shape == (1, *shape)
        for name, value in expected.items():
            torch.testing.assert_close(result.pred_instances[name][0], value[b])
            stored = result.pred_instances[name].untyped_storage().nbytes()
            assert stored == value[b].numel() * value.element_size()  # not the whole batch


def test_no_details_unless_asked_for():
    model = tiny_model()
    (result,) = model(clips(1), clip_samples(tiny_config(), 1), mode='predict')
    assert 'causal_tokens' not in result.pred_instances


def test_flip_test_mirrors_the_clip():
    """A mirrored clip gives mirrored heatmaps, left and right exchanged."""
    model = tiny_model()
    model.test_cfg.update(flip_test=True, output_heatmaps=True)
    samples = clip_samples(tiny_config(), 1)
    (plain,) = model(clips(1), copy.deepcopy(samples), mode='predict')
    (mirrored,) = model(clips(1).flip(-1), copy.deepcopy(samples), mode='predict')
    order = samples[0].metainfo['flip_indices']
    expected = plain.pred_fields.heatmaps[order].flip(-1)
    torch.testing.assert_close(mirrored.pred_fields.heatmaps, expected)


def test_a_single_image_is_a_clip_of_equal_frames():
    model = tiny_model()
    image = clips()[:, 0]
    repeated = model(image.unsqueeze(1).repeat(1, 3, 1, 1, 1), None, mode='tensor')
    assert torch.equal(model(image, None, mode='tensor'), repeated)


def test_clip_of_another_length():
    with pytest.raises(ValueError, match='clips have 5 frames, but .* num_frames=3'):
        tiny_model()(clips(num_frames=5), None, mode='tensor')


def test_predictions_repeat_and_leave_no_state():
    model = tiny_model()
    state = copy.deepcopy(model.state_dict())
    first = model(clips(), None, mode='tensor')
    model(torch.randn(1, 3, 3, 128, 96), None, mode='tensor')
    assert torch.equal(model(clips(), None, mode='tensor'), first)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    one = model(clips()[1:], None, mode='tensor')
    torch.testing.assert_close(one, first[1:], rtol=1e-4, atol=1e-5)


class OldStyle(torch.nn.Module):
    """A method as those of version 0.1 were written."""

    num_frames = 3

    def forward(self, features, clip_seeds=None):
        self.seeds = clip_seeds
        return MethodOutput(
            features[:, 1],
            losses=dict(loss_other=features.square().mean()),
            details=dict(largest=features[:, 1].flatten(1).argmax(1, keepdim=True)),
        )


def test_a_method_in_the_old_style_is_called_and_told():
    config = tiny_config()
    config.method = dict(type=OldStyle)
    with pytest.warns(FutureWarning, match='OldStyle: .* derive from cmpose_mm.models.VideoMethod'):
        model = MODELS.build(config).train()
    samples = clip_samples(tiny_config(), 2)
    losses = model(clips(), samples, mode='loss')
    assert 'loss_other' in losses and 'loss_mask' not in losses
    assert model.method.seeds.tolist() == [s.metainfo['clip_seed'] for s in samples]
    model.eval()
    expected = model.head((model.extract_clips(clips()).features[:, 1],))
    assert torch.equal(model(clips(), None, mode='tensor'), expected)
    assert len(model(clips(), samples, mode='predict')) == 2
    model.test_cfg['output_details'] = True
    results = model(clips(), samples, mode='predict')
    assert [result.pred_instances.largest.shape for result in results] == [(1, 1)] * 2
    assert results[0].metainfo['detail_kinds'] == {}


class Silent(VideoMethod):
    """A method that does not say how its detail is drawn."""

    def forward(self, clip):
        return MethodOutput(clip.features[:, 1], details=dict(largest=clip.features[:, 1]))


def test_a_detail_without_a_kind_is_an_error():
    config = tiny_config()
    config.method = dict(type=Silent)
    model = MODELS.build(config).eval()
    model.test_cfg['output_details'] = True
    with pytest.raises(ValueError, match='Silent gives the details largest, which its detail'):
        model(clips(), clip_samples(tiny_config(), 2), mode='predict')


class Imitator(VideoMethod):
    """A method whose loss has the name of the head's."""

    def forward(self, clip):
        features = clip.features[:, self.key_index]
        return MethodOutput(features, losses=dict(loss_kpt=features.mean()))


def test_a_loss_may_not_take_the_name_of_another():
    config = tiny_config()
    config.method = dict(type=Imitator)
    model = MODELS.build(config).train()
    with pytest.raises(
        ValueError, match='Imitator gives losses named loss_kpt, which are names of'
    ):
        model(clips(), clip_samples(tiny_config(), 2), mode='loss')


BACKBONES = {
    'resnet': (dict(type='ResNet', depth=18), None, 512, (4, 3)),
    'resnet, all stages': (
        dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
        None,
        512,
        (4, 3),
    ),
    'resnet with a neck': (
        dict(type='ResNet', depth=18),
        dict(type='ChannelMapper', in_channels=[512], out_channels=32, num_outs=1),
        32,
        (4, 3),
    ),
    'hrnet': (
        dict(
            type='HRNet',
            in_channels=3,
            extra=dict(
                stage1=dict(
                    num_modules=1,
                    num_branches=1,
                    block='BOTTLENECK',
                    num_blocks=(1,),
                    num_channels=(8,),
                ),
                stage2=dict(
                    num_modules=1,
                    num_branches=2,
                    block='BASIC',
                    num_blocks=(1, 1),
                    num_channels=(8, 16),
                ),
                stage3=dict(
                    num_modules=1,
                    num_branches=3,
                    block='BASIC',
                    num_blocks=(1, 1, 1),
                    num_channels=(8, 16, 32),
                ),
                stage4=dict(
                    num_modules=1,
                    num_branches=4,
                    block='BASIC',
                    num_blocks=(1, 1, 1, 1),
                    num_channels=(8, 16, 32, 64),
                ),
            ),
        ),
        None,
        8,
        (32, 24),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_that_give_a_feature_map(name):
    backbone, neck, channels, cells = BACKBONES[name]
    fte = dict(type='CausalTokenFTE')
    if cells == (4, 3):  # 12 cells cannot hold 15 joints' tokens
        fte = None
    config = tiny_config(embed_dims=channels, fte=fte)
    config.backbone, config.neck = backbone, neck
    config.head.update(in_channels=channels)
    # Two deconvolutions make four cells of each.
    config.head.decoder.heatmap_size = (4 * cells[1], 4 * cells[0])
    model = MODELS.build(config).train()
    losses = model(clips(), clip_samples(config, 2), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert model.eval().run_method(clips()).key_features.shape == (2, channels, *cells)


def one_deconvolution(head):
    head.update(deconv_out_channels=(16,), deconv_kernel_sizes=(4,))


def trained_frame_head(config):
    config.update(frame_head=copy.deepcopy(config.head), frame_head_frozen=False)
    return config.frame_head


SIZES = [
    (
        lambda config: config.head.decoder.update(heatmap_size=(12, 16)),
        r'model.head.decoder.heatmap_size is \(12, 16\), but the target heatmaps have \(24, 32\)',
    ),
    (
        lambda config: one_deconvolution(config.head),
        r'model.head gives heatmaps of \(12, 16\) cells .* the target heatmaps have \(24, 32\)',
    ),
    (
        lambda config: one_deconvolution(trained_frame_head(config)),
        r'model.frame_head gives heatmaps of \(12, 16\) cells .* the target heatmaps have \(24, 32',
    ),
    (
        lambda config: trained_frame_head(config).update(in_channels=64),
        'model.frame_head.in_channels is 64, but backbone and neck give a last map of 32 channels',
    ),
]


@pytest.mark.parametrize('change, message', SIZES)
def test_heads_of_another_size_are_refused_at_the_first_step(change, message):
    config = tiny_config(fte=None)
    change(config)
    model = MODELS.build(config).train()
    with pytest.raises(ValueError, match=message):
        model(clips(), clip_samples(tiny_config(), 2), mode='loss')


@pytest.mark.parametrize('frozen', [True, False])
def test_a_frozen_frame_head_of_random_weights_is_told_once(frozen, caplog):
    """As in a run whose config has no `FrameHeadHook`."""
    logger = MMLogger.get_current_instance()

    def said(load: bool) -> list[str]:
        config = tiny_config(fte=None)
        config.update(frame_head=copy.deepcopy(config.head), frame_head_frozen=frozen)
        model = MODELS.build(config).train()
        if load:
            load_state_dict(
                model, {f'frame_head.{n}': v for n, v in model.head.state_dict().items()}
            )
        caplog.clear()
        logger.addHandler(caplog.handler)
        for _ in range(2):
            model(clips(), clip_samples(tiny_config(), 2), mode='loss')
        logger.removeHandler(caplog.handler)
        messages = [record.getMessage() for record in caplog.records]
        return [message for message in messages if 'stays random' in message]

    assert len(said(load=False)) == frozen
    assert not said(load=True)


def test_registered():
    assert isinstance(tiny_model(), VideoTopdownPoseEstimator)


def test_details_go_with_the_joints_that_are_put_out():
    """MMPose's `output_keypoint_indices` chooses joints, in an order of its own."""
    model, inputs, samples = tiny_model(), clips(), clip_samples(tiny_config(), 2)
    model.test_cfg.update(output_details=True)
    chosen = [4, 0, 2]
    with torch.no_grad():
        whole = model(inputs, copy.deepcopy(samples), mode='predict')
        model.test_cfg['output_keypoint_indices'] = chosen
        part = model(inputs, copy.deepcopy(samples), mode='predict')
    for a, b in zip(whole, part):
        a, b = a.pred_instances, b.pred_instances
        np.testing.assert_array_equal(b.keypoints, a.keypoints[:, chosen])
        assert torch.equal(b.causal_tokens, a.causal_tokens[:, chosen])
        assert torch.equal(b.similarity, a.similarity[:, chosen])
        assert torch.equal(b.cluster_ids, a.cluster_ids)


@pytest.mark.parametrize('flip_test', [True, False])
def test_predicts_from_the_features_of_single_frames(flip_test):
    """Frames through the backbone one by one, then stacked, give the clips' own predictions."""
    model = tiny_model()
    model.test_cfg.update(flip_test=flip_test, output_details=True)
    inputs, samples = clips(), clip_samples(tiny_config(), 2)

    def frames(inputs):
        return FrameFeatures.stack(
            [FrameFeatures.stack([model.extract_frames(f[None])[0] for f in c]) for c in inputs]
        )

    with torch.no_grad():
        flipped = frames(inputs.flip(-1)) if flip_test else None
        results = model.predict_clips(frames(inputs), flipped, copy.deepcopy(samples))
        expected = model(inputs, samples, mode='predict')
    for a, b in zip(results, expected):
        a, b = a.pred_instances, b.pred_instances
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-2)
        np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, atol=1e-5)
        assert torch.equal(a.causal_tokens, b.causal_tokens)
