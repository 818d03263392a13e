"""Small models for the tests, from the same configs as the real ones."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData

from cmpose_mm import config_path
from cmpose_mm.models import ClipInput

TINY_VIT = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64),
        img_size=(128, 96),
        drop_path_rate=0.0,
    ),
    method=dict(
        embed_dims=32,
        neck=dict(num_heads=4, attention_dims=16),
        fte=dict(num_causal=1, num_neighbors=3, num_clusters=8),
    ),
    head=dict(
        in_channels=32,
        deconv_out_channels=(16, 16),
        decoder=dict(input_size=(96, 128), heatmap_size=(24, 32)),
    ),
)
"""ViT of width 32 on crops of 96 x 128 pixels, 6 x 8 cells."""

HALF_PRECISIONS = [
    torch.bfloat16,
    pytest.param(
        torch.float16,
        marks=pytest.mark.skipif(
            tuple(map(int, torch.__version__.split('.')[:2])) < (2, 3),
            reason='CPUs autocast to float16 from torch 2.3 on',
        ),
    ),
]


def tiny_config(**method):
    """Model config of a tiny CM-Pose; ``method`` replaces entries of the method's config."""
    config = Config.fromfile(config_path('_base_/models/cmpose_vit-s.py'))
    config.merge_from_dict(dict(model=copy.deepcopy(TINY_VIT)))
    config.model.method.update(method)
    return config.model


def tiny_file_config(name, **method):
    """Model config of a file below ``configs/``, without drop-path; ``method`` as above."""
    config = Config.fromfile(config_path(name)).model
    config.backbone.drop_path_rate = 0.0
    config.method.update(method)
    return config


def tiny_images(num_clips=4, num_frames=3):
    """Normalized clips (B, T, 3, 128, 96); the same in each call."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(num_clips, num_frames, 3, 128, 96, generator=generator)


def randomize(module, std=0.3):
    """Draws all parameters, so that nothing rests on an initial value; fixed seed."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=std, generator=generator)
    return module


NORMS = torch.nn.modules.batchnorm._BatchNorm, torch.nn.LayerNorm


def randomize_deep(model, std=0.1):
    """`randomize`, but with a method's convolutions, linear layers and norms that keep the scale.

    With weights near 0 a deep method is mute, and two of its outputs are equal whatever it does.
    """
    randomize(model, std)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.method.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                fan_in = module.weight[0].numel()
                module.weight.normal_(std=(1.5 / fan_in) ** 0.5, generator=generator)
            elif isinstance(module, NORMS):
                module.weight += 1
    return model


def run_method(method, features, seeds=None):
    """A method on feature maps (B, T, C, h, w) of clips whose frames all exist."""
    return method(ClipInput.of(features, method.key_index, seeds=seeds))


def clip_samples(config, num_clips, seed=0):
    """Training samples of a tiny model: data samples with targets, boxes and clip seeds."""
    from mmpose.registry import KEYPOINT_CODECS
    from mmpose.structures import PoseDataSample

    generator = torch.Generator().manual_seed(seed)
    codec = KEYPOINT_CODECS.build(config.head.decoder)
    width, height = config.head.decoder.input_size
    samples = []
    for number in range(num_clips):
        keypoints = (
            torch.rand(1, 15, 2, generator=generator) * torch.tensor([width, height])
        ).numpy()
        encoded = codec.encode(
            keypoints, keypoints_visible=(keypoints[..., 0] > 5).astype('float32')
        )
        sample = PoseDataSample(
            metainfo=dict(
                clip_seed=1000 + 17 * number + seed,
                input_size=(width, height),
                input_center=torch.tensor([200.0 + number, 100.0]).numpy(),
                input_scale=torch.tensor([2.0 * width, 2.0 * height]).numpy(),
                flip_indices=[0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13],
            )
        )
        sample.gt_fields = PixelData(heatmaps=torch.from_numpy(encoded['heatmaps']))
        sample.gt_instance_labels = InstanceData(
            keypoint_weights=torch.from_numpy(encoded['keypoint_weights'])
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[0.0, 0.0, 10.0, 20.0]]).numpy(),
            bbox_scores=torch.ones(1).numpy(),
        )
        samples.append(sample)
    return samples
