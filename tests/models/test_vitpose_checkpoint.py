import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpose.registry import MODELS

from cmpose_mm import config_path


@pytest.fixture(scope='module')
def vitpose_checkpoint(tmp_path_factory):
    """A checkpoint as MMPose's runner saves it, of MMPose's own ViTPose-S."""
    import mmpose

    base = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-small_8xb64-210e_coco-256x192.py'
    config = Config.fromfile(f'{mmpose.__path__[0]}/.mim/configs/{base}')
    config.model.backbone.init_cfg = None  # it would be fetched from the network
    model = MODELS.build(config.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp('vitpose') / 'vitpose.pth'
    torch.save(dict(meta={}, state_dict=model.state_dict()), path)
    return path, model.state_dict()


@pytest.mark.slow
def test_everything_but_the_last_layer_arrives(vitpose_checkpoint, caplog):
    path, theirs = vitpose_checkpoint
    model = MODELS.build(Config.fromfile(config_path('_base_/models/cmpose_vit-s.py')).model)
    last_layer = {k: v.clone() for k, v in model.head.final_layer.state_dict().items()}
    logger = logging.getLogger('load')
    with caplog.at_level(logging.WARNING, logger='load'):
        load_checkpoint(model, str(path), map_location='cpu', logger=logger)

    ours = model.state_dict()
    arrived = {name for name in theirs if name in ours and torch.equal(ours[name], theirs[name])}
    not_arrived = set(theirs) - arrived
    assert not_arrived == {'head.final_layer.weight', 'head.final_layer.bias'}
    assert sum(name.startswith('backbone.') for name in arrived) == len(model.backbone.state_dict())
    for name, value in last_layer.items():
        assert torch.equal(model.head.final_layer.state_dict()[name], value)

    # The log names what did not arrive, and what the checkpoint does not have.
    for name in ('head.final_layer.weight', 'head.final_layer.bias'):
        assert f'size mismatch for {name}' in caplog.text
    for name, _ in model.method.named_parameters():
        assert f'method.{name}' in caplog.text
    assert 'unexpected key' not in caplog.text
    assert caplog.text.count('backbone.') == 0


@pytest.mark.slow
def test_single_frame_prediction_after_loading(vitpose_checkpoint):
    """With FTE off the loaded model computes ViTPose's features of the key frame."""
    path, theirs = vitpose_checkpoint
    config = Config.fromfile(config_path('_base_/models/cmpose_vit-s.py')).model
    config.method.fte = None
    model = MODELS.build(config).eval()
    load_checkpoint(model, str(path), map_location='cpu')
    clip = torch.randn(1, 3, 3, 256, 192)
    with torch.no_grad():
        expected = model.backbone(clip.flatten(0, 1))[-1][1:2]
        assert torch.equal(model.extract_feat(clip)[0], expected)
