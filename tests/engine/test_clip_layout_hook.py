"""Model and data agree on the clips, or one sentence at the start says where they do not."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DATA_SAMPLERS, init_default_scope
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmpose.registry import MODELS
from posetrack_samples import person, write_annolist_video
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from cmpose_mm import config_path
from cmpose_mm.datasets import PoseTrackVideoDataset
from cmpose_mm.engine import ClipLayoutHook, build_dataset
from cmpose_mm.engine.clip_layout_hook import (
    check_labels,
    check_output_joints,
    check_positions,
    warn_of_random_backbone,
)
from cmpose_mm.metrics import PoseTrackMetric

QUICK = """
for loader in (train_dataloader, val_dataloader):
    loader.update(batch_size=2, num_workers={workers}, persistent_workers=False)
    loader['dataset']['indices'] = 2
del loader
default_hooks['checkpoint'] = dict(type='CheckpointHook', interval=10)
"""
ITERATIONS = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1, val_interval=1)
train_dataloader['sampler'] = dict(_delete_=True, type='InfiniteSampler')
log_processor = dict(by_epoch=False)
"""


def runner(tiny_config, root, extra='', workers=0):
    config = Config.fromfile(tiny_config(root, extra=QUICK.format(workers=workers) + extra))
    return Runner.from_cfg(config)


@pytest.mark.slow
@pytest.mark.parametrize('extra, workers', [('', 0), (ITERATIONS, 1)])
def test_the_model_decides_how_long_clips_are(tiny_config, synthetic_root, extra, workers):
    """Also where MMEngine has started the data workers before."""
    made = runner(
        tiny_config, synthetic_root, extra + "model['method']['num_frames'] = 5\n", workers
    )
    assert made.cfg.train_dataloader.dataset.get('num_frames') is None
    made.train()
    for loop in (made.train_loop, made.val_loop):
        assert loop.dataloader.dataset.num_frames == 5
        assert loop.dataloader.dataset[0]['inputs'].shape[0] == 5


@pytest.mark.slow
def test_a_model_of_single_frames(tiny_config, synthetic_root):
    config = Config.fromfile(tiny_config(synthetic_root, extra=QUICK.format(workers=0)))
    config.model.type = 'TopdownPoseEstimator'
    del config.model['method']
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.dataset.pipeline[0] = dict(type='LoadImage')
    made = Runner.from_cfg(config)
    made.train()
    assert made.train_dataloader.dataset.num_frames == 1


CONTRADICTIONS = {
    "train_dataloader['dataset']['num_frames'] = 5": 'train_dataloader.dataset.num_frames is 5, '
    'but model.method.num_frames asks for 3',
    "val_dataloader['dataset']['num_frames'] = 1": 'val_dataloader.dataset.num_frames is 1, but '
    'model.method.num_frames asks for 3',
    "train_dataloader['dataset']['causal'] = True": 'train_dataloader.dataset.causal is True, so '
    'that the key frame is at 2 of 3 frames, but model.method.key_index is 1',
    "model['data_preprocessor'] = dict(type='PoseDataPreprocessor')": 'model.data_preprocessor is '
    'a PoseDataPreprocessor, but train_dataloader.dataset gives clips; expected type=.ClipData',
    "model['method']['key_index'] = 2": 'train_dataloader.dataset.causal is False, so that the key '
    'frame is at 1 of 3 frames, but model.method.key_index is 2',
    "val_dataloader['dataset']['pipeline'][2]['input_size'] = (192, 256)": 'val_dataloader.dataset'
    r'.pipeline: TopdownAffine has input_size=.192, 256., but model.head.decoder has .96, 128',
    "train_dataloader['dataset']['pipeline'][6]['encoder'] = dict(codec, type='MSRAHeatmap')": (
        "train_dataloader.dataset.pipeline: GenerateTarget's encoder is .*MSRAHeatmap"
    ),
    "val_evaluator['ann_file'] = val_evaluator['ann_file'].replace('val', 'train')": (
        'val_evaluator.ann_file does not belong to val_dataloader.dataset: PoseTrackMetric: .*1 '
        'image ids that the labels do not have'
    ),
    "train_dataloader['dataset']['metainfo'] = dict(from_file='configs/_base_/datasets/coco.py')": (
        'train_dataloader.dataset: metainfo has the 17 joints nose, left_eye, .*; expected '
        "PoseTrack's 15, which samples have: nose, head_bottom"
    ),
    "model['test_cfg'] = dict(output_keypoint_indices=[3])": (
        r'output_keypoint_indices is \[3\], but val_evaluator scores the 15 joints of val_data'
    ),
    "model['test_cfg'] = dict(output_keypoint_indices=[*range(14, -1, -1)])": (
        r'output_keypoint_indices is \[14, 13, .*expected None'
    ),
    "default_hooks['checkpoint'] = dict(save_best='posetrack17/AP')": 'default_hooks.checkpoint.'
    "save_best is 'posetrack17/AP', which val_evaluator does not give; expected one of .*/Head AP",
}


@pytest.mark.slow
@pytest.mark.parametrize('extra', CONTRADICTIONS)
def test_contradictions_name_both_keys(tiny_config, synthetic_root, extra):
    with pytest.raises(ValueError, match=CONTRADICTIONS[extra]):
        runner(tiny_config, synthetic_root, extra + '\n').train()


@pytest.mark.slow
def test_tests_are_checked_too(tiny_config, synthetic_root):
    extra = (
        'test_dataloader = dict(val_dataloader)\n'
        "test_dataloader['dataset'] = dict(val_dataloader['dataset'], causal=True)\n"
    )
    with pytest.raises(ValueError, match='test_dataloader.dataset.causal is True'):
        runner(tiny_config, synthetic_root, extra).test()


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['same', 'others', 'unknown', 'another order'])
def test_joints_of_a_checkpoint_are_compared_by_name(tiny_config, synthetic_root, tmp_path, kind):
    """As many joints as the data has are not enough."""
    made = runner(tiny_config, synthetic_root)
    path = str(tmp_path / 'start.pth')
    names = dict(made.val_dataloader.dataset.metainfo['keypoint_id2name'])
    if kind == 'others':
        names = {index: f'joint {index}' for index in names}
    if kind == 'another order':
        names[0], names[1] = names[1], names[0]
    meta = {} if kind == 'unknown' else dict(dataset_meta=dict(keypoint_id2name=names))
    torch.save(dict(state_dict=made.model.state_dict(), meta=meta), path)
    tested = runner(tiny_config, synthetic_root, f'load_from = {path!r}\n')
    if kind in ('same', 'unknown'):
        tested.test()
    else:
        message = 'trained on the joints .*, but test_dataloader.dataset has nose, head_bottom'
        with pytest.raises(ValueError, match=message):
            tested.test()
        runner(tiny_config, synthetic_root, f'load_from = {path!r}\n').train()  # a start


@pytest.mark.slow
@pytest.mark.parametrize(
    'kind, message',
    [
        (
            'a part',
            r"does not fit .*tiny\.py: \d+ of the model's weights are not in it .first method",
        ),
        ('nothing', r'does not fit .*weights are not in it .first backbone'),
        ('other shapes', r'does not fit .*: 1 weights have another shape .first head.final_layer'),
    ],
)
def test_a_checkpoint_of_another_model_is_not_tested(
    tiny_config, synthetic_root, tmp_path, kind, message
):
    """MMEngine would score random weights, and say so in a log line at most."""
    weights = runner(tiny_config, synthetic_root).model.state_dict()
    if kind == 'nothing':
        weights = {}
    if kind == 'a part':
        weights = {n: value for n, value in weights.items() if not n.startswith('method.')}
    if kind == 'other shapes':
        weights['head.final_layer.bias'] = torch.zeros(3)
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict=weights, meta={}), path)
    with pytest.raises(ValueError, match=message):
        runner(tiny_config, synthetic_root, f'load_from = {path!r}\n').test()
    with pytest.raises(ValueError, match=message):
        runner(tiny_config, synthetic_root, f'load_from = {path!r}\nresume = True\n').train()
    if kind == 'a part':
        runner(tiny_config, synthetic_root, f'load_from = {path!r}\n').train()  # a start


def test_clips_without_future_frames(tiny_config, synthetic_root):
    extra = "model['method']['key_index'] = 2\n"
    for loader in ('train', 'val'):
        extra += f"{loader}_dataloader['dataset']['causal'] = True\n"
    made = runner(tiny_config, synthetic_root, extra)
    made.train()
    assert made.train_dataloader.dataset[0]['data_samples'].key_index == 2


@pytest.mark.slow
def test_one_frame_in_training_and_three_in_tests(tiny_config, synthetic_root):
    extra = (
        "model['method'] = dict(_delete_=True, type='StackedFrames')\n"
        "model['head']['type'] = 'HeatmapAverageHead'\n"
    )
    made = runner(tiny_config, synthetic_root, extra)
    made.train()
    assert made.train_dataloader.dataset.num_frames == 1
    assert made.val_dataloader.dataset.num_frames == 3


COMPARES = """
train_dataloader['batch_size'] = 4
train_dataloader['dataset']['indices'] = 5
"""


@pytest.mark.slow
def test_a_last_batch_that_is_too_small_is_told_at_the_first_step(tiny_config, synthetic_root):
    def trained(extra):
        made = runner(tiny_config, synthetic_root, COMPARES + extra)
        made.model.method.least_clips = 2
        try:
            made.train()
        finally:
            steps.append(made.iter)

    steps = []
    with pytest.raises(ValueError, match=(
        'drop_last is False, and the last batch of an epoch has 1 of 4 clips, but model.method of '
        'type CMPose compares the clips of a batch and needs at least 2; expected drop_last=True'
    )):  # fmt: skip
        trained('')
    trained("train_dataloader['drop_last'] = True\n")
    trained("train_dataloader['dataset']['indices'] = 6\n")
    trained(ITERATIONS)
    # A run that never gets there.
    trained(ITERATIONS.replace("type='InfiniteSampler'", "type='DefaultSampler', shuffle=True"))
    assert steps == [0, 1, 2, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize('method, least', [('tdmi', 2), ('jmpose', 3)])
def test_what_the_methods_need(synthetic_root, tmp_path, method, least):
    config = Config.fromfile(config_path(f'{method}/{method}_tiny.py'))
    config.work_dir, config.load_from = str(tmp_path), None
    config.train_dataloader.update(batch_size=4, num_workers=0, drop_last=False)
    config.train_dataloader.update(persistent_workers=False)
    config.train_dataloader.dataset.update(data_root=f'{synthetic_root}/', indices=5)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    made = Runner.from_cfg(config)
    with pytest.raises(ValueError, match=f'1 of 4 clips, .* needs at least {least}; expected drop'):
        made.train()
    assert made.iter == 0


@pytest.mark.slow
def test_a_loss_that_starts_late_is_checked_then(tiny_config, synthetic_root):
    made = runner(tiny_config, synthetic_root, COMPARES)
    step = made.model.train_step

    def train_step(*args, **kwargs):
        made.model.method.least_clips = 2 if made.iter == 1 else 1
        return step(*args, **kwargs)

    made.model.train_step = train_step
    with pytest.raises(ValueError, match='the last batch of an epoch has 1 of 4 clips'):
        made.train()
    assert made.iter == 1


@DATA_SAMPLERS.register_module(force=True)
class RoundingUp(Sampler):
    """As MMPose's MultiSourceSampler: it says 5, and gives what fills whole batches."""

    def __init__(self, dataset, seed=None, round_up=True):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __iter__(self):
        return iter([0, 1, 2, 3, 4, 0, 1, 2])


@pytest.mark.slow
def test_batches_of_other_samplers_are_not_guessed(tiny_config, synthetic_root):
    extra = "train_dataloader['sampler'] = dict(_delete_=True, type='RoundingUp')\n"
    made = runner(tiny_config, synthetic_root, COMPARES + extra)
    made.model.method.least_clips = 2
    made.train()
    assert made.iter == 2


@pytest.mark.slow
def test_a_training_without_a_step_is_refused(tiny_config, synthetic_root):
    extra = 'train_dataloader.update(batch_size=3, drop_last=True)\n'
    with pytest.raises(ValueError, match=(
        'train_dataloader.batch_size is 3 with drop_last=True, but each process has 2 samples'
    )):  # fmt: skip
        runner(tiny_config, synthetic_root, extra).train()
    made = runner(tiny_config, synthetic_root, extra + ITERATIONS)
    made.train()  # its sampler begins anew without an end
    assert made.iter == 1


@pytest.mark.slow
def test_datasets_built_without_a_runner_fit_too(synthetic_root):
    config = Config.fromfile(config_path('cmpose/cmpose_tiny.py'))
    config.train_dataloader.dataset.update(data_root=str(synthetic_root))
    assert config.train_dataloader.dataset.get('num_frames') is None
    for method, length in (
        (dict(type='KeyFrameOnly'), 1),
        (dict(config.model.method, num_frames=5), 5),
        (None, 1),
    ):
        config.model.pop('method')
        config.model.method = method
        assert build_dataset(config, 'train_dataloader').num_frames == length
    config.train_dataloader.dataset.num_frames = 3
    config.model.method = dict(type='KeyFrameOnly')
    with pytest.raises(ValueError, match='train_dataloader.dataset.num_frames is 3'):
        build_dataset(config, 'train_dataloader')


def test_labels_of_other_videos_without_ids_are_told_before_the_test(tmp_path):
    """PoseTrack17's ids count the videos: those of a part are other videos' in the whole."""
    for split, names in (('val', 'ab'), ('part', 'b')):
        for name in names:
            write_annolist_video(tmp_path, split, f'00000{name}', [[person()], [person()]])
    init_default_scope('mmpose')
    for split, refused in (('val', False), ('part', True)):
        dataset = PoseTrackVideoDataset(
            'posetrack17', num_frames=3, ann_file=f'annotations/{split}', data_root=str(tmp_path),
            data_prefix=dict(img=''), test_mode=True, pipeline=[],
        )  # fmt: skip
        evaluator = Evaluator([PoseTrackMetric(str(tmp_path / 'annotations/val'))])
        evaluator.dataset_meta = dataset.metainfo
        loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset), evaluator=evaluator)
        if not refused:
            check_labels(loop, 'test')
            continue
        with pytest.raises(ValueError, match='test_evaluator.ann_file does not .* id 1000000'):
            check_labels(loop, 'test')


class Numbered(Dataset):
    """Its samples are the number of frames that they would have, as the workers know it."""

    num_frames, causal, neighbor_poses, metainfo = None, False, False, {}

    def set_num_frames(self, num_frames):
        self.num_frames = num_frames

    @property
    def key_index(self):
        return (self.num_frames or 3) // 2

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.num_frames or 3


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_that_were_started_before_give_the_model_s_clips(persistent):
    """As MMEngine before 0.10.12 starts them where iterations are counted."""
    loader = DataLoader(Numbered(), batch_size=2, num_workers=1, persistent_workers=persistent)
    loop = SimpleNamespace(
        dataloader=loader, dataloader_iterator=_InfiniteDataloaderIterator(loader)
    )
    assert next(loop.dataloader_iterator).tolist() == [3, 3]
    model = nn.Module()
    model.method = SimpleNamespace(num_frames=5, key_index=2)
    ClipLayoutHook().before_run(
        SimpleNamespace(model=model, _train_loop=loop, _val_loop=None, _test_loop=None)
    )
    assert next(loop.dataloader_iterator).tolist() == [5, 5]


def vit(height: int, width: int) -> nn.Module:
    return MODELS.build(
        dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8),
            img_size=(height, width),
            patch_size=16,
            out_type='featmap',
            with_cls_token=False,
        )
    )


def test_positions_of_another_grid_are_resized_or_refused():
    """Those that MMPretrain resizes pass; those that it fails on are refused before it does."""
    backbones = {cells: vit(16 * cells[0], 16 * cells[1]) for cells in ((4, 3), (6, 4), (4, 4))}
    for given, source in backbones.items():
        positions = source.pos_embed.detach()
        for own, backbone in backbones.items():
            for class_token in (0, 1) if given == own else (0,):
                more = torch.cat([torch.zeros(1, class_token, 8), positions], dim=1)
                weights = {'module.backbone.pos_embed': more}
                if given == own or given == (4, 4):
                    check_positions(backbone, weights)
                    backbone.load_state_dict({'pos_embed': more}, strict=False)
                else:
                    message = f'positions of {given[0] * given[1]} cells, but .* {own[0] * own[1]},'
                    with pytest.raises(ValueError, match=message):
                        check_positions(backbone, weights)
                    with pytest.raises((AssertionError, RuntimeError)):
                        backbone.load_state_dict({'pos_embed': more}, strict=False)
    check_positions(nn.Linear(2, 2), {'backbone.pos_embed': positions})
    check_positions(backbone, {})
    (features,) = backbones[4, 3](torch.zeros(1, 3, 96, 80))  # as the message promises
    assert features.shape == (1, 8, 6, 5)


@pytest.mark.slow
def test_a_start_with_other_positions_is_refused(tiny_config, synthetic_root, tmp_path):
    made = runner(tiny_config, synthetic_root)
    weights = made.model.state_dict()
    weights['backbone.pos_embed'] = weights['backbone.pos_embed'][:, 1:]
    path = str(tmp_path / 'start.pth')
    torch.save(dict(state_dict=weights, meta={}), path)
    with pytest.raises(ValueError, match='positions of 47 cells, but model.backbone.img_size asks'):
        runner(tiny_config, synthetic_root, f'load_from = {path!r}\n').train()


def test_a_head_of_more_joints_may_put_out_those_of_the_dataset():
    """The order is the user's then: who scores 2 of 3 joints knows which."""

    class Scores:
        check_image_ids = None

    model, loop = nn.Module(), SimpleNamespace()
    model.head, model.test_cfg = nn.Linear(1, 1), dict(output_keypoint_indices=[2, 0])
    loop.dataloader = SimpleNamespace(
        dataset=SimpleNamespace(metainfo=dict(keypoint_id2name={0: 'a', 1: 'b'}))
    )
    loop.evaluator = SimpleNamespace(metrics=[Scores()])
    model.head.out_channels = 3
    check_output_joints(model, loop, 'val')
    model.head.out_channels = 2
    with pytest.raises(ValueError, match='the 2 joints of val_dataloader.dataset in their order'):
        check_output_joints(model, loop, 'val')
    model.test_cfg = dict(output_keypoint_indices=[0, 1])
    check_output_joints(model, loop, 'val')
    model.test_cfg = dict(output_keypoint_indices=[0])
    with pytest.raises(ValueError, match='the 2 joints of'):
        check_output_joints(model, loop, 'val')
    loop.evaluator.metrics = [object()]  # of others, who know what they read
    check_output_joints(model, loop, 'val')


@pytest.mark.parametrize('frozen', [True, False])
def test_a_frozen_backbone_of_random_weights_is_told(frozen, caplog):
    model = nn.Module()
    model.backbone, model.freeze_backbone = nn.Linear(2, 2), frozen
    logger = MMLogger.get_current_instance()

    def said(loaded: set) -> str:
        caplog.clear()
        logger.addHandler(caplog.handler)
        warn_of_random_backbone(model, loaded)
        logger.removeHandler(caplog.handler)
        return ' '.join(record.getMessage() for record in caplog.records)

    some = {'backbone.weight', 'head.bias'}
    assert ('2 of the 2 weights of the backbone were in no checkpoint' in said(set())) == frozen
    assert ('1 of the 2 weights' in said(some) and '(first: bias)' in said(some)) == frozen
    assert said({'backbone.weight', 'backbone.bias'}) == ''
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x')
    assert said(set()) == ''
    del model.backbone.init_cfg
    model.init_cfg = [dict(type='Pretrained', checkpoint='x')]
    assert said(set()) == ''


@pytest.mark.slow
def test_a_training_that_is_stopped_in_its_last_validation_validates(
    tiny_config, synthetic_root, tmp_path
):
    """MMEngine saves the last checkpoint before it; without this there is no best one."""

    class Killed(Hook):
        def before_val(self, runner):
            raise RuntimeError('killed')

    extra = (
        # MMEngine keeps the best score by this name and the second that a run begins in
        "experiment_name = 'stopped'\n"
        'train_cfg = dict(max_epochs=1)\n'
        "default_hooks['checkpoint'] = dict(type='CheckpointHook', interval=1, "
        "save_best='posetrack/AP', rule='greater')\n"
    )
    first = runner(tiny_config, synthetic_root, extra)
    first.register_hook(Killed())
    with pytest.raises(RuntimeError, match='killed'):
        first.train()
    folder = Path(first.work_dir)
    assert (folder / 'epoch_1.pth').exists() and not list(folder.glob('best_*'))
    again = runner(tiny_config, synthetic_root, extra + 'resume = True\n')
    again.train()
    assert again.epoch == 1 and len(list(folder.glob('best_*epoch_1.pth'))) == 1
