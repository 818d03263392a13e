"""Exported models compute what the models compute, without the packages that made them."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.apis import init_model
from mmpose.models.heads import RegressionHead
from processes import quick_python
from run_tools import run_tool
from torch import nn

from cmpose_mm import config_path
from cmpose_mm.apis import export
from cmpose_mm.apis.export import export_onnx, export_torch, largest_difference, pose_metadata
from cmpose_mm.apis.loading import load_pose_model
from cmpose_mm.compat import TORCH_VERSION as TORCH
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_SIGMAS
from cmpose_mm.weights import shipped_model

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'export_onnx.py'
pytestmark = [
    pytest.mark.slow,  # processes
    pytest.mark.skipif(TORCH < (2, 1), reason='ONNX needs torch >= 2.1'),
]
needs_torch_export = pytest.mark.skipif(TORCH < (2, 6), reason='needs torch >= 2.6')

WITHOUT = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked!r}:
            raise ModuleNotFoundError(f'{{name}} is not installed here')
sys.meta_path.insert(0, Blocker())
sys.argv = {argv!r}
"""

TINY = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64),
        img_size=(128, 96),
    ),
    method=dict(
        embed_dims=32,
        neck=dict(num_blocks=1, num_heads=2),
        fte=dict(num_causal=1, num_neighbors=3, num_clusters=8),
    ),
    head=dict(
        in_channels=32,
        deconv_out_channels=(32, 32),
        decoder=dict(input_size=(96, 128), heatmap_size=(24, 32)),
    ),
)


VIT_S = 'cmpose_vit-s_posetrack18.py'


def build(name, *changes):
    """A model without any weight at its initial value, whose heatmaps are as large as real ones."""
    config = Config.fromfile(config_path(name))
    for change in changes:
        config.merge_from_dict(dict(model=copy.deepcopy(change)))
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'TopdownAffine':
            step.input_size = config.model.head.decoder.input_size
    torch.manual_seed(0)
    model = init_model(config, None, device='cpu')
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
        model.head.final_layer.weight /= abs(mmpose_heatmaps(model, clips_of(model, 2))).max()
    return model


def tiny(**method):
    """A ViT of width 32 on crops of 96 x 128 pixels, 6 x 8 cells."""
    return build(VIT_S, TINY, dict(method=method))


def clips_of(model, number, seed=1):
    width, height = model.cfg.model.head.decoder.input_size
    generator = torch.Generator().manual_seed(seed)
    shape = (number, model.method.num_frames, 3, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def mmpose_heatmaps(model, clips):
    """Heatmaps as MMPose's own path gives them: preprocessor on a list of clips, tensor mode."""
    data = model.data_preprocessor(dict(inputs=list(clips), data_samples=[]))
    with torch.no_grad():
        return model(data['inputs'], None, mode='tensor').numpy()


def run_onnx(path, clips):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session.run(None, {'clips': clips.numpy()})[0]


def assert_onnx_equals(model, path, clips, atol=1e-4):
    expected = mmpose_heatmaps(model, clips)
    assert expected.std() > 100 * atol
    found = run_onnx(path, clips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


# ---- ONNX -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'make',
    [
        tiny,
        lambda: build('cmpose_demo.py'),
        lambda: build(VIT_S),
    ],
    ids=['tiny', 'demo (ResNet)', 'ViT-S'],
)
def test_onnxruntime_gives_the_same_heatmaps(make, tmp_path):
    model = make()
    export_onnx(model, tmp_path / 'pose.onnx')
    for number in (1, 2, 5):
        assert_onnx_equals(model, tmp_path / 'pose.onnx', clips_of(model, number, seed=number))


VARIANTS = {
    'union': dict(fte=dict(selection='union')),
    'literal merging': dict(fte=dict(normalize_merge=False)),
    'causal tokens only': dict(fte=dict(causal_only=True)),
    'no FTE': dict(fte=None),
    'weighted sums': dict(
        neck=dict(fusion='weighted_sum', shared_pathways=False), temporal_fusion='weighted_sum'
    ),
    'five frames, causal': dict(num_frames=5, key_index=4),
}


@pytest.mark.parametrize('variant', VARIANTS)
def test_variants_of_the_method(variant, tmp_path):
    model = tiny(**VARIANTS[variant])
    export_onnx(model, tmp_path / 'pose.onnx')
    assert_onnx_equals(model, tmp_path / 'pose.onnx', clips_of(model, 3))


class MiddleAndLast(nn.Module):
    """Another method: it says no more of itself than the estimator asks for."""

    num_frames = 3

    def forward(self, features, clip_seeds=None):
        from cmpose_mm.models.method import MethodOutput

        return MethodOutput(features[:, 1] - features[:, 2])


def test_another_method(tmp_path):
    model = tiny()
    model.method = MiddleAndLast()
    export_onnx(model, tmp_path / 'pose.onnx')
    assert_onnx_equals(model, tmp_path / 'pose.onnx', clips_of(model, 3))
    assert pose_metadata(model)['key_index'] == 1


def test_ties_of_the_selection_go_to_the_lower_cell(tmp_path):
    """Without queries all similarities are equal: each joint's cell is a matter of ties."""
    model = tiny()
    nn.init.zeros_(model.method.fte.query.weight)
    nn.init.zeros_(model.method.fte.query.bias)
    clips = clips_of(model, 2)
    data = model.data_preprocessor(dict(inputs=list(clips), data_samples=[]))
    with torch.no_grad():
        details = model.run_method(data['inputs']).details
    assert details['causal_tokens'].flatten(1).tolist() == [list(range(15))] * 2
    export_onnx(model, tmp_path / 'pose.onnx')
    assert_onnx_equals(model, tmp_path / 'pose.onnx', clips)


def test_ties_of_the_clustering(tmp_path):
    """Gray frames and no position embedding: all tokens are equal, all distances zero."""
    model = tiny()
    nn.init.zeros_(model.backbone.pos_embed)
    clips = torch.full_like(clips_of(model, 2), 90)
    export_onnx(model, tmp_path / 'pose.onnx')
    np.testing.assert_allclose(
        run_onnx(tmp_path / 'pose.onnx', clips), mmpose_heatmaps(model, clips), rtol=0, atol=1e-4
    )


def test_without_normalization_and_without_channel_conversion(tmp_path):
    plain = tiny()
    changed = dict(data_preprocessor=dict(type='ClipDataPreprocessor', _delete_=True))
    model = build(VIT_S, TINY, changed)
    export_onnx(model, tmp_path / 'pose.onnx')
    assert_onnx_equals(model, tmp_path / 'pose.onnx', clips_of(model, 2))
    assert not np.allclose(
        run_onnx(tmp_path / 'pose.onnx', clips_of(model, 2)),
        mmpose_heatmaps(plain, clips_of(model, 2)),
        atol=1e-2,
    )
    assert pose_metadata(model)['mean'] is None


def test_sizes_and_types_of_the_file(tmp_path):
    export_onnx(tiny(), tmp_path / 'new folder' / 'pose.onnx', opset=16)
    model = onnx.load(tmp_path / 'new folder' / 'pose.onnx')
    assert [(item.domain, item.version) for item in model.opset_import] == [('', 16)]
    (found,) = model.graph.input
    sizes = [dim.dim_param or dim.dim_value for dim in found.type.tensor_type.shape.dim]
    assert (found.name, sizes) == ('clips', ['batch', 3, 3, 128, 96])
    assert found.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    (heatmaps,) = model.graph.output
    sizes = [dim.dim_param or dim.dim_value for dim in heatmaps.type.tensor_type.shape.dim]
    assert (heatmaps.name, sizes[0], sizes[1]) == ('heatmaps', 'batch', 15)
    assert [path.name for path in (tmp_path / 'new folder').iterdir()] == ['pose.onnx']


def test_large_models_keep_their_weights_in_a_second_file(tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'MAX_ONE_FILE', 0)
    model, path = tiny(), tmp_path / 'pose.onnx'
    export_onnx(model, path)
    size = (tmp_path / 'pose.onnx.data').stat().st_size
    export_onnx(model, path)
    assert (tmp_path / 'pose.onnx.data').stat().st_size == size > path.stat().st_size / 10
    assert_onnx_equals(model, path, clips_of(model, 2))


def test_the_exporter_is_left_as_it_was(tmp_path):
    """The translation of argsort serves this export alone."""
    export_onnx(tiny(), tmp_path / 'pose.onnx')

    class Sort(nn.Module):
        def forward(self, values):
            return values.argsort(dim=1, stable=True)

    old = {'dynamo': False} if TORCH >= (2, 5) else {}
    with pytest.raises(Exception, match='(?i)sort'):
        torch.onnx.export(
            Sort(), (torch.rand(2, 3),), str(tmp_path / 'sort.onnx'), opset_version=17, **old
        )


def test_metadata(tmp_path):
    model = tiny()
    export_onnx(model, tmp_path / 'pose.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'pose.onnx'))
    meta = json.loads(session.get_modelmeta().custom_metadata_map['cmpose_mm'])
    codec = meta.pop('codec')
    names = list(JOINT_NAMES)
    assert [names[i] for i in meta.pop('flip_indices')] == [
        name.replace('left', '*').replace('right', 'left').replace('*', 'right') for name in names
    ]
    assert [names.index('left_ankle'), names.index('left_knee')] in meta.pop('skeleton')
    assert [round(value, 3) for value in meta.pop('mean')] == [123.675, 116.28, 103.53]
    assert [round(value, 3) for value in meta.pop('std')] == [58.395, 57.12, 57.375]
    assert meta == dict(
        config='cmpose_vit-s_posetrack18.py',
        num_frames=3,
        key_index=1,
        frame_stride=1,
        input_size=[96, 128],
        heatmap_size=[24, 32],
        channel_order='BGR',
        box_padding=1.25,
        use_udp=True,
        joints=names,
        sigmas=list(JOINT_SIGMAS),
        joint_set='posetrack18',
    )
    assert codec['type'] == 'UDPHeatmap'
    assert (codec['sigma'], codec['blur_kernel_size'], codec['heatmap_type']) == (2, 11, 'gaussian')
    assert pose_metadata(tiny(**VARIANTS['five frames, causal']))['key_index'] == 4


# ---- torch.export ---------------------------------------------------------------------------


@needs_torch_export
def test_torch_export_runs_in_a_process_without_our_packages(tmp_path):
    model = tiny()
    export_torch(model, tmp_path / 'pose.pt2')
    clips = {number: clips_of(model, number) for number in (1, 2, 5)}
    torch.save(clips, tmp_path / 'clips.pt')
    blocked = ('cmpose_mm', 'mmpose', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain')
    code = WITHOUT.format(blocked=blocked, argv=['']) + (
        'import json, torch\n'
        "files = {'metadata.json': ''}\n"
        "program = torch.export.load('pose.pt2', extra_files=files)\n"
        "clips = torch.load('clips.pt')\n"
        'with torch.no_grad():\n'
        '    maps = {number: program.module()(clip) for number, clip in clips.items()}\n'
        "torch.save(maps, 'maps.pt')\n"
        "print(json.loads(files['metadata.json'])['num_frames'])\n"
    )
    process = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ['3']
    for number, maps in torch.load(tmp_path / 'maps.pt').items():
        expected = mmpose_heatmaps(model, clips[number])
        np.testing.assert_allclose(maps.numpy(), expected, rtol=0, atol=1e-5)


@needs_torch_export
def test_a_torch_program_that_can_not_be_written(tmp_path):
    (tmp_path / 'pose.pt2').mkdir()
    with pytest.raises(OSError, match='pose.pt2'):
        export_torch(tiny(), tmp_path / 'pose.pt2')


@pytest.mark.skipif(TORCH >= (2, 6), reason='needs torch < 2.6')
def test_old_torch_says_what_it_lacks(tmp_path):
    with pytest.raises(NotImplementedError, match='needs torch 2.6 or later'):
        export_torch(tiny(), tmp_path / 'pose.pt2')


def test_torch_that_can_not_write_attention(tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'TORCH_VERSION', (2, 0))
    with pytest.raises(NotImplementedError, match='ONNX needs torch 2.1 or later, found'):
        export_onnx(tiny(), tmp_path / 'pose.onnx')
    assert not list(tmp_path.iterdir())


# ---- errors ---------------------------------------------------------------------------------


def test_head_without_heatmaps(tmp_path):
    model = tiny()
    model.head = RegressionHead(in_channels=32, num_joints=15)
    with pytest.raises(ValueError, match='model.head is RegressionHead, expected a HeatmapHead'):
        export_onnx(model, tmp_path / 'pose.onnx')
    assert not (tmp_path / 'pose.onnx').exists()


def test_pipeline_without_a_crop(tmp_path):
    model = tiny()
    pipeline = model.cfg.test_dataloader.dataset.pipeline
    pipeline[:] = [step for step in pipeline if step.type != 'TopdownAffine']
    with pytest.raises(ValueError, match='expected a TopdownAffine among them'):
        export_onnx(model, tmp_path / 'pose.onnx')


def test_model_of_single_frames(tmp_path):
    model = init_model(config_path('single_frame_demo.py'), device='cpu')
    message = 'single_frame_demo.py: model is TopdownPoseEstimator, expected a VideoTopdownPose'
    for export_file in (export_onnx, export_torch)[: 1 + (TORCH >= (2, 6))]:
        with pytest.raises(ValueError, match=message):
            export_file(model, tmp_path / 'pose.file')


def test_operators_of_too_low_a_version(tmp_path):
    with pytest.raises(ValueError, match='opset is 13, expected at least 14'):
        export_onnx(tiny(), tmp_path / 'pose.onnx', opset=13)
    with pytest.raises(ValueError, match='opset is 99, which torch .* can not write'):
        export_onnx(tiny(), tmp_path / 'pose.onnx', opset=99)
    export_onnx(tiny(), tmp_path / 'pose.onnx', opset=14)


def test_missing_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ModuleNotFoundError, match='pip install onnx'):
        export_onnx(tiny(), tmp_path / 'pose.onnx')


SWIN = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=8,
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 1, 1),
        window_size=7,
        out_indices=(3,),
    ),
    neck=None,
    head=dict(
        in_channels=64, deconv_out_channels=(8, 8, 8), deconv_kernel_sizes=(4, 4, 4)
    ),
)  # fmt: skip
LITE_HRNET = dict(
    backbone=dict(
        _delete_=True,
        type='LiteHRNet',
        in_channels=3,
        extra=dict(
            stem=dict(stem_channels=8, out_channels=8, expand_ratio=1),
            num_stages=1,
            stages_spec=dict(
                num_modules=(1,),
                num_branches=(2,),
                num_blocks=(1,),
                module_type=('LITE',),
                with_fuse=(True,),
                reduce_ratios=(8,),
                num_channels=((8, 16),),
            ),
            with_head=True,
        ),
    ),
    neck=None,
    head=dict(in_channels=8, deconv_out_channels=None, deconv_kernel_sizes=None),
)


def test_a_batch_that_becomes_a_constant(tmp_path):
    """Swin's windows are counted as a number when it is traced: other batches came out wrong."""
    model = build('baselines/key_frame_only_tiny.py', SWIN)
    message = 'pose.onnx: can not hold this model for batches of any size.* SwinTransformer'
    with pytest.raises(ValueError, match=message):
        export_onnx(model, tmp_path / 'pose.onnx')
    if TORCH >= (2, 6):
        with pytest.raises(ValueError, match='pose.pt2: torch.export can not write this model: '):
            export_torch(model, tmp_path / 'pose.pt2')
    assert not list(tmp_path.iterdir())


def test_operators_that_onnx_lacks(tmp_path):
    model = build('baselines/key_frame_only_tiny.py', LITE_HRNET)
    with pytest.raises(ValueError, match='pose.onnx: ONNX can not hold this model: ') as error:
        export_onnx(model, tmp_path / 'pose.onnx')
    assert len(str(error.value)) < 300 and '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())


# ---- the command ----------------------------------------------------------------------------


def command(*arguments, cwd):
    """In a process of its own."""
    return subprocess.run(
        [quick_python(), '-W', 'ignore', str(TOOL), *arguments],
        cwd=cwd, capture_output=True, text=True,
    )  # fmt: skip


def test_command(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    outputs = ['pose.onnx'] + ['pose.pt2'] * (TORCH >= (2, 6))
    process = command(config, checkpoint, *outputs, '--check', cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for name in outputs:
        assert (tmp_path / name).is_file()
        assert f'{name}: heatmaps differ from the model by at most ' in process.stdout


def test_command_with_wrong_arguments(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    process = run_tool(TOOL, config, checkpoint, 'pose.pth', cwd=tmp_path)
    assert 'pose.pth: expected a name that ends in .onnx or .pt2' in process.stderr
    process = run_tool(TOOL, config, 'no.pth', 'pose.onnx', cwd=tmp_path)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith('no.pth: checkpoint not found')
    (tmp_path / 'file').touch()
    process = run_tool(TOOL, config, checkpoint, 'file/pose.onnx', cwd=tmp_path)
    assert process.returncode == 1 and 'Traceback' not in process.stderr
    assert re.search("(exists|Not a directory): 'file'$", process.stderr)


@needs_torch_export
def test_the_check_sees_another_model(tmp_path):
    model = tiny()
    export_onnx(model, tmp_path / 'pose.onnx')
    export_torch(model, tmp_path / 'pose.pt2')
    paths = [tmp_path / 'pose.onnx', tmp_path / 'pose.pt2']
    assert all(largest_difference(model, path) < 1e-4 for path in paths)
    with torch.no_grad():
        model.method.temporal_fusion.proj.bias.add_(0.1)
    assert all(largest_difference(model, path) > 1e-3 for path in paths)


def test_the_check_sees_what_is_no_number(tiny_model, tmp_path):
    """NaN is above no limit, and max() loses it."""
    config, checkpoint = tiny_model()
    weights = torch.load(checkpoint, map_location='cpu', weights_only=False)
    weights['state_dict']['head.final_layer.bias'][3] = float('nan')
    torch.save(weights, tmp_path / 'nan.pth')
    process = command(config, 'nan.pth', 'pose.onnx', '--check', cwd=tmp_path)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith('Heatmaps are not finite')


# ---- the example ----------------------------------------------------------------------------


def run_example(*arguments, cwd):
    """The printed joints, {name: (x, y, score)}, of the example where only its needs are there."""
    blocked = ('torch', 'mmpose', 'mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'cmpose_mm', 'onnx')
    script = str(ROOT / 'examples' / 'run_onnx.py')
    code = WITHOUT.format(blocked=blocked, argv=[script, *map(str, arguments)])
    process = subprocess.run(
        [sys.executable, '-c', f'{code}runpy.run_path({script!r}, run_name="__main__")'],
        cwd=cwd, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    rows = [line.split() for line in process.stdout.splitlines()]
    return {name: tuple(map(float, values)) for name, *values in rows}


@pytest.mark.parametrize('number', [1, 3])
def test_example_agrees_with_mmpose(number, clip_folder, tmp_path):
    """To 0.1 pixels of the image. With drawn weights maxima are flat, and rounding moves them."""
    init_default_scope('mmpose')
    model = load_pose_model(*shipped_model())
    model.test_cfg['flip_test'] = False
    export_onnx(model, tmp_path / 'pose.onnx')
    paths = [str(path) for path in sorted(Path(clip_folder).iterdir())[:number]]
    box = [30.5, 12.0, 81.0, 108.5]
    found = run_example(
        'pose.onnx', *paths, '--box', *box, '--out', tmp_path / 'joints.png', cwd=tmp_path
    )

    frames = [cv2.imread(path) for path in paths]
    data = dict(img=frames * (3 // number), bbox=np.array([box], np.float32))
    data.update(bbox_score=np.ones(1, np.float32), **model.dataset_meta)
    batch = pseudo_collate([Compose(model.cfg.test_dataloader.dataset.pipeline)(data)])
    with torch.no_grad():
        expected = model.test_step(batch)[0].pred_instances
    assert list(found) == list(JOINT_NAMES)
    values = np.array(list(found.values()))
    assert len(np.unique(values[:, :2].round(), axis=0)) > 5
    np.testing.assert_allclose(values[:, :2], expected.keypoints[0], rtol=0, atol=0.1)
    np.testing.assert_allclose(values[:, 2], expected.keypoint_scores[0], rtol=0, atol=1e-3)
    picture = cv2.imread(str(tmp_path / 'joints.png'))
    assert picture.shape == frames[0].shape and (picture != frames[number // 2]).any()


def test_example_with_wrong_images(clip_folder, tmp_path):
    export_onnx(tiny(), tmp_path / 'pose.onnx')
    path = str(next(Path(clip_folder).iterdir()))
    for images in ([path, path], [str(tmp_path / 'none.jpg')]):
        process = subprocess.run(
            [sys.executable, str(ROOT / 'examples' / 'run_onnx.py'), 'pose.onnx', *images,
             '--box', '1', '1', '50', '80'],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert process.returncode == 1
        assert 'expected 1 or 3 readable images' in process.stderr.splitlines()[-1]
