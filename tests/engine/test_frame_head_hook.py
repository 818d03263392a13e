"""The frame head gets the weights of the single-frame model, joint by joint by name."""

import copy

import pytest
import torch
from mmengine import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from cmpose_mm.engine.frame_head_hook import check_own, frame_head_weights
from cmpose_mm.models import MethodOutput, VideoMethod
from cmpose_mm.posetrack.joints import JOINT_NAMES

COCO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
COCO_JOINTS = [COCO['keypoint_id2name'][index] for index in range(17)]


@MODELS.register_module()
class HeatmapReader(VideoMethod):
    """A method for these tests that looks at every frame's heatmaps."""

    needs_heatmaps = True

    def forward(self, clip):
        return MethodOutput(clip.features[:, self.key_index] + 0 * clip.heatmaps.mean())


def head(num_joints, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        'deconv_layers.0.weight': (4, 4, 2, 2),
        'final_layer.weight': (num_joints, 4, 1, 1),
        'final_layer.bias': (num_joints,),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def start(num_joints):
    weights = {f'head.{name}': value for name, value in head(num_joints, 1).items()}
    return {**weights, 'backbone.weight': torch.ones(1)}


def test_rows_go_by_the_names_of_joints():
    names = ['ankle', 'nose', 'wrist', 'tail']
    own = head(3, 2)
    found = frame_head_weights(start(4), names, own, ['nose', 'wrist', 'ankle'], frozen=True)
    given = head(4, 1)
    assert set(found) == {f'frame_head.{name}' for name in own}
    assert torch.equal(found['frame_head.deconv_layers.0.weight'], given['deconv_layers.0.weight'])
    for layer in ('final_layer.weight', 'final_layer.bias'):
        for row, joint in enumerate(['nose', 'wrist', 'ankle']):
            assert torch.equal(found[f'frame_head.{layer}'][row], given[layer][names.index(joint)])


def test_equal_counts_of_other_joints_are_not_taken_for_the_same():
    with pytest.raises(ValueError, match='has no joint wrist, which the frozen model.frame_head'):
        frame_head_weights(start(2), ['nose', 'knee'], head(2, 2), ['nose', 'wrist'], frozen=True)


def test_a_frame_head_that_learns_keeps_rows_that_the_start_lacks():
    own = head(2, 2)
    found = frame_head_weights(start(1), ['nose'], own, ['wrist', 'nose'], frozen=False)
    assert torch.equal(found['frame_head.final_layer.bias'][0], own['final_layer.bias'][0])
    assert torch.equal(found['frame_head.final_layer.bias'][1], head(1, 1)['final_layer.bias'][0])


def test_what_does_not_fit():
    with pytest.raises(ValueError, match='has 4 joints and no names of them; expected names in'):
        frame_head_weights(start(4), [], head(4, 2), list('abcd'), frozen=True)
    with pytest.raises(ValueError, match='has no head.deconv_layers.0.weight'):
        frame_head_weights({}, ['a'], head(1, 2), ['a'], frozen=True)
    narrow = {**head(4, 2), 'deconv_layers.0.weight': torch.zeros(2, 2, 2, 2)}
    with pytest.raises(ValueError, match=r'has shape \(4, 4, 2, 2\), .* needs \(2, 2, 2, 2\)'):
        frame_head_weights(start(4), list('abcd'), narrow, list('abcd'), frozen=True)


def test_a_frame_head_of_the_checkpoint_has_to_fit():
    """Weights that do not would keep their random values, MMEngine only warns of them."""
    own = head(4, 2)
    found = {f'frame_head.{name}': value for name, value in own.items()}
    check_own(found, own, frozen=True)
    lacking = {n: v for n, v in found.items() if n != 'frame_head.final_layer.bias'}
    with pytest.raises(ValueError, match=r'1 of the \d weights .*final_layer.bias is missing'):
        check_own(lacking, own, frozen=True)
    with pytest.raises(ValueError, match=r'has shape \(4, .*, expected \(3, '):
        check_own(found, head(3, 2), frozen=True)
    check_own(lacking, own, frozen=False)


# ---- in the runner -------------------------------------------------------------------------------

EXTRA = """
model['method'] = dict(_delete_=True, type='HeatmapReader')
model['frame_head'] = dict(type='HeatmapHead', **{{**model['head'], 'out_channels': 15,
    'loss': dict(type='KeypointMSELoss', use_target_weight=True)}})
for loader in (train_dataloader, val_dataloader):
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader['dataset']['indices'] = 2
del loader
default_hooks['checkpoint'] = dict(type='CheckpointHook', interval=1)
load_from = {load_from!r}
"""


def single_frame_checkpoint(config, path, meta):
    """A checkpoint as the runner writes it, of the single-frame model of a config."""
    config = copy.deepcopy(config)
    config.model.head.out_channels = len(meta['keypoint_id2name'])
    config.model.update(type='TopdownPoseEstimator')
    for key in ('method', 'frame_head', 'frame_head_frozen'):
        config.model.pop(key, None)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta)), path)
    return model.head.state_dict()


def run(tiny_config, root, tmp_path, meta, extra='', load=True, change=None):
    path = tmp_path / 'start.pth'
    config = Config.fromfile(
        tiny_config(root, extra=EXTRA.format(load_from=str(path) if load else None) + extra)
    )
    given = single_frame_checkpoint(config, path, meta)
    if change is not None:
        change(path)
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    runner = Runner.from_cfg(config)
    runner.train()
    return runner.model.frame_head.state_dict(), given


@pytest.mark.slow
def test_training_starts_with_the_single_frame_head_and_keeps_it(
    tiny_config, synthetic_root, tmp_path
):
    order = [JOINT_NAMES[(7 * index) % 15] for index in range(15)]
    meta = dict(keypoint_id2name=dict(enumerate(order)))
    found, given = run(tiny_config, synthetic_root, tmp_path, meta)
    for name, value in found.items():
        expected = given[name]
        if name.startswith('final_layer.'):
            expected = expected[[order.index(joint) for joint in JOINT_NAMES]]
        assert torch.equal(value, expected), name


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['another order', 'other joints', 'same', 'unknown'])
def test_a_frame_head_of_the_checkpoint_goes_by_names_too(
    tiny_config, synthetic_root, tmp_path, kind
):
    """As where a training of a video method goes on from another one's."""
    order = [JOINT_NAMES[(7 * index) % 15] for index in range(15)]
    if kind == 'other joints':
        order[3] = 'tail'
    if kind == 'same':
        order = list(JOINT_NAMES)
    meta = dict(keypoint_id2name=dict(enumerate(order)))

    def start_with_a_frame_head(path):
        content = torch.load(path, weights_only=False)
        weights = content['state_dict']
        own = {n: v for n, v in weights.items() if n.startswith('head.')}
        weights.update({f'frame_{n}': v + 1 for n, v in own.items()})
        torch.save({**content, 'meta': None} if kind == 'unknown' else content, path)

    arguments = tiny_config, synthetic_root, tmp_path, meta
    if kind == 'other joints':
        with pytest.raises(ValueError, match='has no joint .*which the frozen model.frame_head'):
            run(*arguments, change=start_with_a_frame_head)
        return
    found, given = run(*arguments, change=start_with_a_frame_head)
    for name, value in found.items():
        expected = given[name] + 1
        if kind == 'another order' and name.startswith('final_layer.'):
            expected = expected[[order.index(joint) for joint in JOINT_NAMES]]
        assert torch.equal(value, expected), name


@pytest.mark.slow
def test_names_given_for_the_start_say_nothing_of_a_trained_model(
    tiny_config, synthetic_root, tmp_path
):
    """`FrameHeadHook(joints)` describes a start; its own checkpoints have the model's joints."""

    def trained(path):
        content = torch.load(path, weights_only=False)
        weights = content['state_dict']
        own = {n: v for n, v in weights.items() if n.startswith('head.')}
        weights.update({f'frame_{n}': v + 1 for n, v in own.items()})
        torch.save(content, path)

    meta = dict(keypoint_id2name=dict(enumerate(JOINT_NAMES)))
    for joints in (JOINT_NAMES[::-1], [*JOINT_NAMES, 'left_ear', 'right_ear']):
        extra = f"default_hooks['frame_head'] = dict(type='FrameHeadHook', joints={list(joints)})\n"
        arguments = tiny_config, synthetic_root, tmp_path, meta, extra
        found, given = run(*arguments, change=trained)
        for name, value in found.items():
            assert torch.equal(value, given[name] + 1), name


@pytest.mark.slow
def test_published_models_lack_two_joints(tiny_config, synthetic_root, tmp_path):
    with pytest.raises(ValueError, match='has no joint head_bottom, head_top'):
        run(tiny_config, synthetic_root, tmp_path, dict(keypoint_id2name=COCO['keypoint_id2name']))
    extra = "model['frame_head_frozen'] = False\noptim_wrapper = dict(optimizer=dict(lr=0.0))\n"
    meta = dict(keypoint_id2name=COCO['keypoint_id2name'])
    found, given = run(tiny_config, synthetic_root, tmp_path, meta, extra)
    for joint in ('nose', 'left_knee'):
        row = found['final_layer.weight'][JOINT_NAMES.index(joint)]
        assert torch.equal(row, given['final_layer.weight'][COCO_JOINTS.index(joint)])


@pytest.mark.slow
def test_a_frozen_frame_head_of_a_damaged_checkpoint_is_refused(
    tiny_config, synthetic_root, tmp_path
):
    def start_without_the_last_layer(path):
        content = torch.load(path, weights_only=False)
        own = {f'frame_{n}': v for n, v in content['state_dict'].items() if n.startswith('head.')}
        content['state_dict'].update({n: v for n, v in own.items() if 'final_layer' not in n})
        torch.save(content, path)

    meta = dict(keypoint_id2name=dict(enumerate(JOINT_NAMES)))
    with pytest.raises(ValueError, match='2 of the .* weights of model.frame_head are not in the'):
        run(tiny_config, synthetic_root, tmp_path, meta, change=start_without_the_last_layer)


@pytest.mark.slow
def test_a_frozen_frame_head_needs_a_start(tiny_config, synthetic_root, tmp_path):
    meta = dict(keypoint_id2name=dict(enumerate(JOINT_NAMES)))
    with pytest.raises(ValueError, match=r'model.frame_head is frozen, but nothing is loaded'):
        run(tiny_config, synthetic_root, tmp_path, meta, load=False)
