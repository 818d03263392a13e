"""What the estimator hands to a method, and what it does with what comes back."""

import copy
import warnings

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, tiny_config, tiny_file_config, tiny_images

from cmpose_mm import config_path
from cmpose_mm.models import ClipInput, FrameFeatures, MethodOutput, VideoMethod
from cmpose_mm.models.video_topdown import mirror_poses


class Probe(VideoMethod):
    """Keeps what it was given, hands on the key frame."""

    needs_heatmaps = True
    needs_images = True
    detail_kinds = dict(strength='heat')

    def forward(self, clip):
        self.clips = [*getattr(self, 'clips', []), clip]
        features = clip.features[:, self.key_index]
        strength = features.detach().flatten(2).norm(dim=1)
        return MethodOutput(features, details=dict(strength=strength))


class Posed(Probe):
    needs_heatmaps = False
    needs_poses = True


class Heated(VideoMethod):
    """The frame head's heatmaps as they are: no layers of the head."""

    needs_heatmaps = True

    def forward(self, clip):
        return MethodOutput(heatmaps=clip.heatmaps[:, self.key_index])


def clips(num_frames=3):
    return torch.randn(2, num_frames, 3, 128, 96, generator=torch.Generator().manual_seed(2))


def probe_config(method=Probe, **changes):
    config = tiny_config()
    config.method = dict(type=method)
    if method is not Posed:
        config.frame_head = copy.deepcopy(config.head)
    config.update(changes)
    return config


def build(method=Probe, **changes):
    return randomize(MODELS.build(probe_config(method, **changes)), std=0.1)


def single_frame_heatmaps(model, head, inputs):
    """MMPose's own model with the weights of ``head``, on every frame."""
    config = tiny_config()
    config.type, config.data_preprocessor.type = 'TopdownPoseEstimator', 'PoseDataPreprocessor'
    del config.method
    theirs = MODELS.build(config).eval()
    theirs.backbone.load_state_dict(model.backbone.state_dict())
    theirs.head.load_state_dict(head.state_dict())
    with torch.no_grad():
        return theirs(inputs.flatten(0, 1), None, mode='tensor').unflatten(0, inputs.shape[:2])


# ---- what flows ----------------------------------------------------------------------------------


def test_frame_features():
    frames = FrameFeatures(
        (torch.randn(6, 2, 4, 3), torch.randn(6, 5, 2, 2)), torch.randn(6, 7, 8, 8)
    )
    assert frames.features is frames.maps[-1]
    doubled = frames.map(lambda tensor: 2 * tensor)
    assert torch.equal(doubled.heatmaps, 2 * frames.heatmaps)
    assert torch.equal(doubled.maps[0], 2 * frames.maps[0])
    again = FrameFeatures.stack([frames[number] for number in range(6)])
    for a, b in zip((*again.maps, again.heatmaps), (*frames.maps, frames.heatmaps)):
        assert torch.equal(a, b)
    assert FrameFeatures.stack([FrameFeatures((torch.ones(2),))]).heatmaps is None


def test_clips_of_frames_that_follow_each_other():
    clip = ClipInput.of(torch.randn(2, 4, 5, 3, 3), key_index=2)
    assert clip.offsets.tolist() == [[-2, -1, 0, 1]] * 2
    assert clip.valid.all() and clip.valid.shape == (2, 4)
    assert clip.seeds is clip.poses is clip.targets is clip.images is None


def test_key_frame_out_of_the_clip():
    with pytest.raises(
        ValueError, match='Probe: model.method.key_index is 3, expected 0 to 2 for 3 frames'
    ):
        Probe(3, key_index=3)


@pytest.mark.parametrize('causal', [False, True])
def test_a_method_is_given_what_the_samples_say(causal):
    model = build()
    model.method.key_index = 2 if causal else 1
    inputs, samples = clips(), clip_samples(tiny_config(), 2)
    offsets = np.array([-4, -2, 0]) if causal else np.array([-2, 0, 1])
    for number, sample in enumerate(samples):
        valid = np.array([number == 0, True, True])
        sample.set_metainfo(
            dict(frame_offsets=offsets, frame_valid=valid, key_index=model.key_index)
        )
    model.train()(inputs, copy.deepcopy(samples), mode='loss')
    (clip,) = model.method.clips
    assert clip.offsets.tolist() == [offsets.tolist()] * 2
    assert clip.valid.tolist() == [[True] * 3, [False, True, True]]
    assert clip.seeds.tolist() == [s.metainfo['clip_seed'] for s in samples]
    assert torch.equal(clip.images, inputs)
    assert torch.equal(clip.targets[1], samples[1].gt_fields.heatmaps)
    assert torch.equal(clip.target_weights[1:], samples[1].gt_instance_labels.keypoint_weights)
    features = model.backbone(inputs.flatten(0, 1))[-1].unflatten(0, (2, 3))
    torch.testing.assert_close(clip.features, features)

    model.method.clips.clear()
    model.eval()(inputs, copy.deepcopy(samples), mode='predict')
    plain, mirrored = model.method.clips
    for clip, images in ((plain, inputs), (mirrored, inputs.flip(-1))):
        assert clip.targets is None and clip.target_weights is None  # labels are for training
        assert torch.equal(clip.images, images)
        assert clip.offsets.tolist() == [offsets.tolist()] * 2


def test_a_single_image_is_a_clip_whose_neighbors_stand_in():
    model = build().eval()
    image = clips()[:, 0]
    model(image, None, mode='tensor')
    (clip,) = model.method.clips
    assert clip.valid.tolist() == [[False, True, False]] * 2
    assert torch.equal(clip.images[:, 2], image)


def test_samples_with_another_key_frame_are_refused():
    model = build().train()
    samples = clip_samples(tiny_config(), 2)
    samples[1].set_metainfo(dict(key_index=2, img_path='v/000007.jpg'))
    message = r'v/000007.jpg: the key frame is at 2 of the clip .* at 1 \(model.method.key_index\)'
    with pytest.raises(ValueError, match=message):
        model(clips(), samples, mode='loss')
    with pytest.raises(ValueError, match=message):
        model.eval()(clips(), samples, mode='predict')


def test_vit_hands_out_several_stages():
    config = probe_config()
    config.backbone.out_indices = [0, 1]  # of two layers
    model = randomize(MODELS.build(config), std=0.1).eval()
    model(clips(), None, mode='tensor')
    (clip,) = model.method.clips
    assert [features.shape for features in clip.maps] == [(2, 3, 32, 8, 6)] * 2
    assert not torch.equal(*clip.maps)
    last = build().eval()
    last(clips(), None, mode='tensor')
    assert torch.equal(last.method.clips[0].features, clip.features)


# ---- details -------------------------------------------------------------------------------------


def test_details_come_with_how_to_draw_them():
    model = build().eval()
    model.test_cfg['output_details'] = True
    for sample in model(clips(), clip_samples(tiny_config(), 2), mode='predict'):
        assert sample.metainfo['detail_kinds'] == dict(strength='heat')
        assert sample.metainfo['detail_grid'] == (8, 6)
        assert sample.pred_instances.strength.shape == (1, 48)


# ---- the frame head ------------------------------------------------------------------------------


@pytest.mark.slow
def test_heatmaps_are_those_of_a_single_frame_model():
    model = build().eval()
    model(clips(), None, mode='tensor')
    expected = single_frame_heatmaps(model, model.frame_head, clips())
    torch.testing.assert_close(model.method.clips[0].heatmaps, expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_frame_head_keeps_weights_and_statistics():
    model = build().train()
    before = copy.deepcopy(model.frame_head.state_dict())
    losses = model(clips(), clip_samples(tiny_config(), 2), mode='loss')
    assert 'loss_frame' not in losses
    losses['loss_kpt'].backward()
    assert all(p.grad is None and not p.requires_grad for p in model.frame_head.parameters())
    assert not model.method.clips[0].heatmaps.requires_grad
    for name, value in model.frame_head.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_frame_head_that_learns_has_a_loss_of_its_own():
    model = build(frame_head_frozen=False).train()
    samples = clip_samples(tiny_config(), 2)
    losses = model(clips(), samples, mode='loss')
    heatmaps = model.method.clips[0].heatmaps[:, 1]
    expected = torch.zeros(())
    for clip, sample in zip(heatmaps, samples):
        for joint in range(15):
            weight = sample.gt_instance_labels.keypoint_weights[0, joint]
            difference = clip[joint] - sample.gt_fields.heatmaps[joint]
            expected = expected + weight * difference.square().mean() / 30
    torch.testing.assert_close(losses['loss_frame'], expected)
    losses['loss_frame'].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.frame_head.parameters())
    assert all(p.grad is None for p in model.head.parameters())


def test_the_final_head_can_serve_every_frame():
    model = build(frame_head='head').eval()
    assert model.frame_head is None
    model(clips(), None, mode='tensor')
    expected = single_frame_heatmaps(model, model.head, clips())
    torch.testing.assert_close(model.method.clips[0].heatmaps, expected, rtol=1e-4, atol=1e-5)
    losses = model.train()(clips(), clip_samples(tiny_config(), 2), mode='loss')
    assert list(losses) == ['loss_kpt']


@pytest.mark.parametrize('needed', [True, False])
def test_a_frame_head_that_no_method_reads_is_told(needed, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    head = probe_config().frame_head
    model = build(Probe if needed else Posed, frame_head=copy.deepcopy(head))
    logger.removeHandler(caplog.handler)
    told = [r for r in caplog.records if 'Posed reads no heatmaps of the frames' in r.getMessage()]
    assert model.frame_head is not None and len(told) == (0 if needed else 1)


def test_a_method_that_needs_heatmaps_needs_a_frame_head():
    with pytest.raises(ValueError, match='of type Probe needs the heatmaps .* model.frame_head'):
        build(frame_head=None)


@pytest.mark.slow
def test_heatmaps_of_a_method_go_past_the_head():
    head = dict(tiny_config().head, in_channels=15, deconv_out_channels=(), final_layer=None)
    head['deconv_kernel_sizes'] = ()
    model = build(Heated, head=head).eval()
    assert list(model.head.parameters()) == []
    expected = single_frame_heatmaps(model, model.frame_head, clips())[:, 1]
    found = model(clips(), None, mode='tensor')
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    samples = clip_samples(tiny_config(), 2)
    model.test_cfg.update(flip_test=True, output_heatmaps=True)
    results = model(clips(), copy.deepcopy(samples), mode='predict')
    order = samples[0].metainfo['flip_indices']
    mirrored = single_frame_heatmaps(model, model.frame_head, clips().flip(-1))[:, 1]
    mean = (expected + mirrored[:, order].flip(-1)) / 2
    for result, heatmaps in zip(results, mean):
        np.testing.assert_allclose(result.pred_fields.heatmaps, heatmaps, atol=1e-5)
    losses = model.train()(clips(), samples, mode='loss')
    assert losses['loss_kpt'] > 0


# ---- a frozen backbone ---------------------------------------------------------------------------


def resnet(**changes):
    config = probe_config(**changes)
    config.backbone = dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3))
    config.neck = dict(type='ChannelMapper', in_channels=[512], out_channels=32, num_outs=1)
    config.neck.update(in_channels=[64, 128, 256, 512], norm_cfg=dict(type='BN'), num_outs=4)
    config.frame_head = None
    config.method = dict(type=Posed)
    return config


def posed_samples():
    samples = clip_samples(tiny_config(), 2)
    for number, sample in enumerate(samples):
        poses = np.random.default_rng(number).uniform(0, 96, (3, 15, 3)).astype(np.float32)
        poses[..., 2] = 1
        poses[1] = poses[2, 4] = 0
        sample.set_metainfo(dict(neighbor_poses=poses))
    return samples


def test_a_frozen_backbone_neither_learns_nor_drifts():
    model = MODELS.build(resnet(freeze_backbone=True)).train()
    parts = dict(backbone=model.backbone, neck=model.neck)
    before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    samples = posed_samples()
    model.head.decoder.heatmap_size = 12, 16  # maps of 4 x 3 cells, two deconvolutions
    for sample in samples:
        sample.gt_fields = PixelData(heatmaps=sample.gt_fields.heatmaps[:, ::2, ::2])
    losses = model(clips(), samples, mode='loss')
    losses['loss_kpt'].backward()
    assert len(model.method.clips[0].maps) == 4
    assert not any(features.requires_grad for features in model.method.clips[0].maps)
    for name, part in parts.items():
        assert not part.training
        assert all(p.grad is None and not p.requires_grad for p in part.parameters())
        for key, value in part.state_dict().items():
            assert torch.equal(value, before[name][key]), key
    assert model.head.training and all(p.grad is not None for p in model.head.parameters())


def test_without_it_batch_statistics_move():
    model = MODELS.build(resnet()).train()
    before = model.backbone.bn1.running_mean.clone()
    model.extract_clips(clips())
    assert not torch.equal(model.backbone.bn1.running_mean, before)


# ---- poses of the neighbors ----------------------------------------------------------------------


def test_poses_of_the_neighbors_follow_the_flip_test():
    model = build(Posed).eval()
    samples = posed_samples()
    model(clips(), copy.deepcopy(samples), mode='predict')
    plain, mirrored = model.method.clips
    flip = samples[0].metainfo['flip_indices']
    for number, sample in enumerate(samples):
        poses = sample.metainfo['neighbor_poses']
        np.testing.assert_array_equal(plain.poses[number].numpy(), poses)
        for t in range(3):
            for joint in range(15):
                x, y, given = poses[t, flip[joint]]
                expected = [95 - x, y, 1] if given else [0, 0, 0]
                np.testing.assert_allclose(mirrored.poses[number, t, joint].numpy(), expected)
    twice = mirror_poses(mirrored.poses, 96, flip)
    torch.testing.assert_close(twice, plain.poses)


@pytest.mark.slow
def test_a_method_that_needs_poses_says_so():
    with pytest.raises(ValueError, match='Posed needs the poses .* neighbor_poses=True'):
        build(Posed).eval()(clips(), clip_samples(tiny_config(), 2), mode='predict')


@pytest.mark.parametrize(
    ('file', 'changes', 'message'),
    [
        ('cmpose/cmpose_tiny.py', {'method.embed_dims': 64},
         'in_channels is 32, but model.method of type CMPose gives features of 64 channels'),
        ('cmpose/cmpose_tiny.py', {'head.in_channels': 64},
         'in_channels is 64, but model.method of type CMPose gives features of 32 channels'),
        ('cmpose/cmpose_tiny.py', {'method.neck.num_heads': 0}, 'neck.num_heads is 0'),
        ('cmpose/cmpose_tiny.py', {'method.neck.attention_dims': -16},
         'neck.attention_dims is -16'),
        ('cmpose/cmpose_tiny.py', {'method.aux.loss_weight': -1.0}, 'aux.loss_weight is -1.0'),
        ('cmpose/cmpose_tiny.py', {'method.aux.noise_std': float('nan')}, 'aux.noise_std is nan'),
        ('heatmap_warp/heatmap_warp_tiny.py', {'method.input_size': (192, 256)},
         r"draws labels with {'input_size': \(192, 256\), .*decoder has {'input_size': \(96, 128"),
        ('heatmap_warp/heatmap_warp_tiny.py', {'method.udp': False}, "'udp': False}, but"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_when_the_model_is_built(file, changes, message):
    config = Config.fromfile(config_path(file))
    config.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    with pytest.raises(ValueError, match=message):
        MODELS.build(config.model)


def test_labels_of_another_sigma_are_a_warning():
    config = tiny_file_config('heatmap_warp/heatmap_warp_tiny.py')
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*draws labels')
        MODELS.build(copy.deepcopy(config))
    config.method.sigma = 3.0
    with pytest.warns(UserWarning, match='labels with sigma=3.0, but .* has sigma=1.5'):
        MODELS.build(config)


@pytest.mark.parametrize('method', [None, dict(type='FrameConcat', embed_dims=16)])
def test_another_width_of_the_backbone_is_told(method):
    config = tiny_file_config('cmpose/cmpose_tiny.py')
    config.method = config.method if method is None else method
    config.method.update(embed_dims=16)
    config.head.in_channels = 16
    model = MODELS.build(config)
    with pytest.raises(ValueError, match='embed_dims is 16, but .* a last map of 32 channels'):
        model(tiny_images(), None, mode='tensor')


def test_another_number_of_joints_is_told_in_training():
    """Also where S is not supervised."""
    config = tiny_file_config('cmpose/cmpose_tiny.py', num_keypoints=10)
    config.method.fte.update(similarity_weight=0.0, num_causal=1, num_clusters=8)
    model = MODELS.build(config).train()
    with pytest.raises(ValueError, match='num_keypoints is 10, but .* are of 15 joints'):
        model(tiny_images(), clip_samples(config, 4), mode='loss')


def test_a_trained_frame_head_needs_heatmaps_to_learn():
    config = tiny_file_config('jmpose/jmpose_tiny.py')
    frame_head = config.head
    config.head = dict(
        type='IntegralRegressionHead', in_channels=32, in_featuremap_size=(6, 8), num_joints=15,
        deconv_out_channels=(16, 16), deconv_kernel_sizes=(4, 4), debias=False,
        loss=dict(type='SmoothL1Loss'),
        decoder=dict(type='IntegralRegressionLabel', input_size=(96, 128), heatmap_size=(24, 32),
                     sigma=2.0),
    )  # fmt: skip
    model = MODELS.build(config).train()
    config.head = frame_head
    samples = clip_samples(config, 4)
    for sample in samples:
        del sample.gt_fields
    with pytest.raises(ValueError, match='frame_head is trained, but the samples have no target'):
        model(tiny_images(), samples, mode='loss')
