"""Every shipped config parses and builds, and follows MMPose's ViTPose where it claims to."""

import inspect
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS, TRANSFORMS

from cmpose_mm import config_path
from cmpose_mm.ablation import EXPERIMENTS
from cmpose_mm.models.cmpose import CausalTokenFTE, CrissCrossSTNeck

SIZES = {'s': 'small', 'b': 'base', 'l': 'large', 'h': 'huge'}
FOLDER = Path(config_path('_base_/runtime.py')).parents[1]
CONFIGS = sorted(
    {
        path.relative_to(FOLDER).as_posix()
        for pattern in (
            '*.py',
            'single_frame/*.py',
            '*/*_tiny.py',
            'cmpose/cmpose_literal_*.py',
            '[!_]*/*jhmdb*.py',
            'tdmi/*_posetrack*.py',
            'jmpose/*_posetrack*.py',
            'stdpose/*_posetrack*.py',
            'hkm/*_posetrack*.py',
            'heatmap_warp/*_posetrack*.py',
        )  # fmt: skip
        for path in FOLDER.glob(pattern)
    }
)


WHOLE = ('tdmi', 'jmpose', 'stdpose', 'hkm', 'heatmap_warp')


def load(name: str) -> Config:
    config = Config.fromfile(config_path(name))
    init_default_scope(config.default_scope)
    return config


def paper_config(size: str, year: int) -> str:
    return (
        f'cmpose_vit_posetrack{year}.py' if size == 'b' else f'cmpose_vit-{size}_posetrack{year}.py'
    )


def test_all_sizes_and_datasets_are_there():
    assert {paper_config(size, year) for size in SIZES for year in (17, 18, 21)} <= set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_config_is_consistent(name):
    config = load(name)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        for transform in loader.dataset.pipeline:
            TRANSFORMS.build(transform)
    codec = config.model.head.decoder
    affine = [t for t in config.train_dataloader.dataset.pipeline if 'TopdownAffine' in t.type]
    target = [t for t in config.train_dataloader.dataset.pipeline if t.type == 'GenerateTarget']
    assert target[0].encoder == codec
    assert affine[0].input_size == codec.input_size
    assert config.default_hooks.epoch_seed.type == 'EpochSeedHook'
    if 'jhmdb' not in name:
        assert config.default_hooks.checkpoint.save_best == 'posetrack/AP'
        assert config.val_evaluator.prefix == 'posetrack'
    assert config.randomness.seed == 0


@pytest.mark.parametrize(
    'name', [*(n for n in CONFIGS if 'posetrack' in n), 'stdpose/stdpose_propagate.py']
)
def test_the_learning_rate_is_for_the_batch(name):
    """Of one GPU where the rate is for 30 clips, of the paper's two where it is for 32."""
    config = load(name)
    base = config.auto_scale_lr.base_batch_size
    assert config.train_dataloader.batch_size * {30: 1, 32: 2}[base] == base


def test_embeddings_have_no_weight_decay():
    config = load('cmpose_vit-s_posetrack18.py')
    config.model.method.neck.update(position='learned', grid=(16, 12))
    config.model.backbone.pop('init_cfg', None)
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    decay = {
        id(p): group['weight_decay'] for group in optimizer.param_groups for p in group['params']
    }
    of_embeddings = {
        name: decay[id(value)]
        for name, value in model.named_parameters()
        if name.rsplit('.', 1)[-1]
        in ('pos_embed', 'position_embed', 'keypoint_tokens', 'temporal_embed')
    }
    assert len(of_embeddings) == 4 and not any(of_embeddings.values())
    assert max(decay.values()) == 0.01


@pytest.mark.parametrize('size', SIZES)
def test_backbone_and_head_are_those_of_vitpose(size):
    ours = load(paper_config(size, 18)).model
    name = f'td-hm_ViTPose-{SIZES[size]}_8xb64-210e_coco-256x192.py'
    theirs = Config.fromfile(
        f'{mmpose_configs()}/body_2d_keypoint/topdown_heatmap/coco/{name}'
    ).model
    theirs.backbone.pop('init_cfg')
    assert ours.backbone == theirs.backbone
    ours.head.out_channels = theirs.head.out_channels
    assert ours.head == theirs.head
    assert ours.test_cfg == theirs.test_cfg
    for key in ('mean', 'std', 'bgr_to_rgb'):
        assert ours.data_preprocessor[key] == theirs.data_preprocessor[key]


def mmpose_configs() -> Path:
    import mmpose

    return Path(mmpose.__file__).parent / '.mim' / 'configs'


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_model_builds_and_predicts_a_map(name, monkeypatch):
    """Large models on torch's device without memory: only their sizes count.

    There the methods of `WHOLE` run, too, of the others (and those that need labels) backbone and
    head.
    """
    config = load(name)
    small = any(part in name for part in ('vit-s', 'tiny', 'demo', 'experiments'))
    if not small:  # on that device there is no autocast
        monkeypatch.setattr(torch, 'autocast', lambda *args, **kwargs: nullcontext())
    whole = small or name.split('/')[0] in WHOLE
    whole = whole and not config.model.get('method', {}).get('labels')
    shape = heatmap_shape(config.model, 'cpu' if small else 'meta', whole)
    map_width, map_height = config.model.head.decoder.heatmap_size
    assert shape == (1, 15, map_height, map_width)


@pytest.mark.slow
def test_another_backbone(tmp_path):
    """The config that docs/train.md shows, without its download."""
    text = (Path(__file__).parents[1] / 'docs/train.md').read_text()
    section = text.split('## Another backbone')[1].split('\n## ')[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith('    ')]
    path = tmp_path / 'own.py'
    path.write_text('\n'.join(lines))
    config = load(str(path))
    assert config.load_from is None and config.model.method.aux.detach_input
    assert config.model.backbone.init_cfg.checkpoint == 'torchvision://resnet50'
    del config.model.backbone.init_cfg
    assert heatmap_shape(config.model, 'cpu', whole=True) == (1, 15, 64, 48)
    model = MODELS.build(config.model)
    (features,) = model.extract_frames(torch.zeros(1, 3, 256, 192)).maps
    assert features.shape == (1, 1024, 16, 12)


SHAPES: dict[str, torch.Size] = {}


def heatmap_shape(model: dict, device: str, whole: bool) -> torch.Size:
    """That of the heatmaps; configs of several releases share a model, which runs once."""
    key = repr((model, device, whole))
    if key not in SHAPES:
        width, height = model.head.decoder.input_size
        with torch.device(device), torch.no_grad():
            built = MODELS.build(model)
            built.eval()
            images = torch.zeros(1, 3, height, width)
            if whole:
                heatmaps = built(images, None, mode='tensor')
            else:
                heatmaps = built.head((built.extract_frames(images).features,))
        SHAPES[key] = heatmaps.shape
    return SHAPES[key]


@pytest.mark.parametrize('name', ['vit', 'vit-s', 'hrnet-w48'])
@pytest.mark.parametrize('year', [17, 18, 21])
def test_first_stages(name, year):
    config = load(f'single_frame/single_frame_{name}_posetrack{year}.py')
    assert config.model.method == dict(type='KeyFrameOnly', num_frames=1)
    assert config.model.head.out_channels == 15
    assert config.test_dataloader.dataset.dataset_name == f'posetrack{year}'
    assert 'coco' in config.load_from and config.train_dataloader.dataset.get('num_frames') is None


@pytest.mark.parametrize('name', [name for name in CONFIGS if 'jhmdb' in name])
def test_no_jhmdb_config_chooses_on_test_clips(name):
    """Test clips are scored once, after the last step, and no checkpoint is picked by them."""
    config = load(name)
    assert config.train_dataloader.dataset.ann_file == 'annotations/train'
    assert config.val_dataloader.dataset.ann_file == 'annotations/test'
    assert config.default_hooks.checkpoint.save_best is None
    loop = config.train_cfg
    assert loop.val_interval == (loop.get('max_iters') or loop.max_epochs)
    pck, ap = config.test_evaluator
    assert (pck.type, ap.type) == ('PoseTrackPCK', 'PoseTrackMetric')
    assert pck.prefix == ap.prefix == 'posetrack'
    assert 'ann_file' not in pck and 'ann_file' not in ap
    assert config.model.head.out_channels == 15


@pytest.mark.parametrize('size', ['', '-s'])
def test_jhmdb_has_the_recipe_of_the_paper(size):
    """But for the data and the choice of a checkpoint."""
    for folder, prefix in (('cmpose', 'cmpose'), ('single_frame', 'single_frame')):
        ours, theirs = (
            load(f'{folder}/{prefix}_vit{size}_{data}.py') for data in ('jhmdb', 'posetrack18')
        )
        for key in ('model', 'load_from', 'optim_wrapper', 'param_scheduler'):
            assert ours[key] == theirs[key], key
        assert ours.train_cfg.max_epochs == theirs.train_cfg.max_epochs
        assert ours.train_dataloader.dataset.pipeline == theirs.train_dataloader.dataset.pipeline
        assert ours.train_dataloader.dataset.data_root == 'data/jhmdb/'


def test_hrnet_is_mmposes():
    theirs = Config.fromfile(
        f'{mmpose_configs()}/body_2d_keypoint/topdown_heatmap/posetrack18/'
        'td-hm_hrnet-w48_8xb64-20e_posetrack18-384x288.py'
    )
    ours = load('single_frame/single_frame_hrnet-w48_posetrack18.py')
    assert ours.model.backbone.extra == theirs.model.backbone.extra
    assert ours.model.test_cfg == theirs.model.test_cfg and ours.load_from == theirs.load_from
    for key in ('type', 'input_size', 'heatmap_size', 'sigma'):
        assert ours.codec[key] == theirs.codec[key]


@pytest.mark.slow
def test_names_of_before_are_the_same_configs():
    names = [path.name for path in FOLDER.glob('*.py')]
    assert len(names) == 14
    for name in names:
        folder = name.split('_vit')[0].removesuffix('_demo.py')
        assert load(name).to_dict() == load(f'{folder}/{name}').to_dict()
    old = load('_base_/models/cmpose_vit-s.py')
    assert old.model == load('cmpose_vit-s_posetrack17.py').model
    assert old.load_from == old.coco_weights
    assert old.optim_wrapper == load('_base_/schedule_20e.py').optim_wrapper


@pytest.mark.parametrize('data', ['posetrack17', 'posetrack18', 'posetrack21', 'jhmdb'])
def test_literal_configs_keep_the_letter_of_the_paper(data):
    """Whatever readings.py chooses: the modules' defaults, and all else as in the config."""
    literal, chosen = (load(f'cmpose/cmpose_{k}vit_{data}.py') for k in ('literal_', ''))
    readings = Config.fromfile(config_path('cmpose/literal.py')).literal
    for part, module in (('neck', CrissCrossSTNeck), ('fte', CausalTokenFTE)):
        defaults = inspect.signature(module).parameters
        for name, value in readings[part].items():
            assert literal.model.method[part].pop(name) == value
            chosen.model.method[part].pop(name, None)
            assert value == defaults[name].default or (name, value) == ('num_clusters', 33)
    for key in ('model', 'train_dataloader', 'optim_wrapper', 'test_evaluator', 'load_from'):
        assert literal[key] == chosen[key], key
    letter = EXPERIMENTS['cmpose/causal']['letter'](load('cmpose_demo.py'))
    assert {f'model.method.{p}.{n}': v for p in readings for n, v in readings[p].items()} == letter
    assert MODELS.build(dict(load('cmpose/cmpose_tiny.py').model.method)).reading == ''


def test_readings_are_chosen_in_one_place(tmp_path):
    """A copy of the configs in which readings.py chooses otherwise."""
    shutil.copytree(FOLDER, tmp_path / 'configs')
    text = (
        "readings = dict(neck=dict(position='learned', grid=(16, 12)), "
        "fte=dict(num_causal=4, num_neighbors=5, num_clusters=40, restoring='residual'))\n"
    )
    (tmp_path / 'configs' / 'cmpose' / 'readings.py').write_text(text)
    files = [f'cmpose/models/cmpose_vit-{size}.py' for size in SIZES]
    files += ['cmpose/cmpose_small.py', 'cmpose_demo.py', 'experiments/cmpose_360.py']
    for file in files:
        method = Config.fromfile(tmp_path / 'configs' / file).model.method
        assert method.neck.position == 'learned', file
        assert (method.fte.num_clusters, method.fte.restoring) == (40, 'residual')
    path = tmp_path / 'configs' / 'cmpose' / 'cmpose_literal_vit_posetrack18.py'
    method = Config.fromfile(path).model.method
    assert method.neck.position is None
    assert (method.fte.num_clusters, method.fte.restoring) == (33, 'replace')


@pytest.mark.parametrize('file', ['cmpose_vit_posetrack18.py', 'cmpose/cmpose_small.py'])
def test_the_chosen_readings_are_a_variant_that_was_compared(file):
    """The one that docs/causal_tokens.md names."""
    method = load(file).model.method
    chosen = EXPERIMENTS['cmpose/causal']['supervised S, position, residual, layer'](load(file))
    defaults = {
        part: inspect.signature(module).parameters
        for part, module in (('neck', CrissCrossSTNeck), ('fte', CausalTokenFTE))
    }
    for key, value in chosen.items():
        part, name = key.split('.')[2:]
        assert method[part].get(name, defaults[part][name].default) == value, key


@pytest.mark.parametrize('year', [17, 18, 21])
@pytest.mark.parametrize('method', ['tdmi', 'jmpose'])
def test_recipe_of_the_code_of_tdmi_and_jmpose(method, year):
    config = load(f'{method}/{method}_hrnet-w48_posetrack{year}.py')
    first = load(f'single_frame/single_frame_hrnet-w48_posetrack{year}.py')
    assert config.model.backbone == first.model.backbone and config.model.head == first.model.head
    assert config.model.get('frame_head', first.model.head) == first.model.head
    assert config.model.freeze_backbone and config.model.method.num_frames == 5
    assert config.optim_wrapper.optimizer.lr == 1e-3
    assert config.optim_wrapper.optimizer.weight_decay == 0.01
    assert config.train_cfg.max_epochs == 20 and config.train_dataloader.batch_size == 30
    (step,) = config.param_scheduler
    assert (step.milestones, step.gamma) == ([6, 12, 18], 0.1)
    transforms = {t.type: t for t in config.train_dataloader.dataset.pipeline}
    box = transforms['RandomBBoxTransform']
    assert (box.scale_factor, box.rotate_factor, box.rotate_prob) == ((0.65, 1.35), 45, 0.6)
    assert transforms['TopdownAffine'].input_size == (288, 384)
    for kind in ('hrnet-w48', 'vit'):
        config = load(f'{method}/{method}_{kind}_posetrack{year}.py')
        assert config.train_dataloader.drop_last and config.model.freeze_backbone
        assert config.test_dataloader.dataset.dataset_name == f'posetrack{year}'
        assert f'single_frame_{kind}_posetrack{year}/epoch_20.pth' in config.load_from


@pytest.mark.parametrize('year', [17, 18, 21])
def test_recipe_of_the_paper(year):
    config = load(paper_config('b', year))
    assert config.train_cfg.max_epochs == 20
    assert config.optim_wrapper.optimizer.type == 'AdamW'
    assert config.optim_wrapper.optimizer.lr == 2e-4
    (step,) = config.param_scheduler
    assert (step.milestones, step.gamma) == ([5, 12, 18], 0.1)
    transforms = {t.type: t for t in config.train_dataloader.dataset.pipeline}
    assert transforms['GetBBoxCenterScale'].padding == 1.25
    assert transforms['RandomBBoxTransform'].rotate_factor == 45
    assert transforms['RandomBBoxTransform'].scale_factor == (0.65, 1.35)
    assert {'RandomHalfBody', 'ClipRandomFlip'} <= set(transforms)
    assert config.test_dataloader.dataset.dataset_name == f'posetrack{year}'
    assert str(year) in config.test_evaluator.ann_file
