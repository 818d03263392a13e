"""HRNet that hands out its stages: MMPose's weights, MMPose's last map, and three more maps."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpose.models import HRNet
from mmpose.registry import MODELS

from cmpose_mm import config_path
from cmpose_mm.models.backbones import HRNetStages


def small_extra(multiscale=False):
    channels = (8, 16, 32, 64)
    extra = dict(
        stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(2,),
                    num_channels=(4,)),
    )  # fmt: skip
    for stage in (2, 3, 4):
        extra[f'stage{stage}'] = dict(
            num_modules=2 if stage == 3 else 1,
            num_branches=stage,
            block='BASIC',
            num_blocks=(1,) * stage,
            num_channels=channels[:stage],
        )
    extra['stage4']['multiscale_output'] = multiscale
    return extra


def pair(multiscale=False):
    theirs, ours = HRNet(small_extra(multiscale)), HRNetStages(small_extra(multiscale))
    for model in (theirs, ours):
        model.eval()  # which returns nothing
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        parameter.data.normal_(std=0.3, generator=generator)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


@pytest.mark.parametrize('multiscale', [False, True])
def test_maps_are_what_mmposes_layers_give(multiscale):
    """Found by hooks on MMPose's own network, while it runs."""
    theirs, ours = pair(multiscale)
    seen = {}

    def keep(name):
        def hook(module, inputs, output):
            seen[name] = (output[0] if isinstance(output, list) else output).clone()

        return hook

    theirs.transition1[0].register_forward_hook(keep('stage 1'))
    theirs.stage2.register_forward_hook(keep('stage 2'))
    theirs.stage3.register_forward_hook(keep('stage 3'))
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected, found = theirs(images), ours(images)
    assert len(found) == 3 + len(expected) == (7 if multiscale else 4)
    for name, features in zip(seen, found):
        assert torch.equal(features, seen[name]), name
        assert features.shape == (2, 8, 16, 24)
    for a, b in zip(found[3:], expected):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_w48_has_mmposes_names_and_shapes():
    """Of weights: its checkpoints load whole, but for the 15 joints in place of their 17."""
    import mmpose

    name = 'posetrack18/td-hm_hrnet-w48_8xb64-20e_posetrack18-384x288.py'
    folder = f'{mmpose.__path__[0]}/.mim/configs/body_2d_keypoint/topdown_heatmap'
    theirs = Config.fromfile(f'{folder}/{name}').model
    theirs.backbone.norm_cfg = dict(type='BN')
    ours = Config.fromfile(config_path('single_frame/single_frame_hrnet-w48_posetrack18.py')).model
    with torch.device('meta'):
        theirs, ours = MODELS.build(theirs), MODELS.build(ours)
    shapes = [{n: tuple(v.shape) for n, v in m.state_dict().items()} for m in (theirs, ours)]
    assert shapes[0].keys() == shapes[1].keys()
    different = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert different == {'head.final_layer.weight', 'head.final_layer.bias'}


def test_a_checkpoint_of_mmposes_network_loads(tmp_path):
    theirs, _ = pair()
    torch.save(dict(meta={}, state_dict=theirs.state_dict()), tmp_path / 'hrnet.pth')
    ours = HRNetStages(small_extra())
    load_checkpoint(ours, str(tmp_path / 'hrnet.pth'), strict=True)
    images = torch.randn(1, 3, 32, 32)
    ours.eval()
    with torch.no_grad():
        assert torch.equal(ours(images)[-1], theirs(images)[-1])
