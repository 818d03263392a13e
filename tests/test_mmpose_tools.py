"""MMPose's own tools work with our models; a single image stands for all frames of a clip."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpose.apis import MMPoseInferencer, inference_topdown, init_model
from mmpose.apis.inferencers.utils import default_det_models
from processes import quick_python

from cmpose_mm import config_path
from cmpose_mm.compat import import_mmdet
from cmpose_mm.weights import shipped_model

pytestmark = pytest.mark.slow  # processes

TOOLS = Path(mmpose.__file__).parent / '.mim' / 'tools'

DETECTOR = """
_base_ = [{base!r}]
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=2),
    ),
)
"""


@pytest.fixture(params=['tiny', 'demo'])
def files(request, tiny_config, synthetic_root, tmp_path):
    """Config and checkpoint of a model with drawn weights: a tiny ViT, and the demo's ResNet."""
    config = config_path('cmpose_demo.py')
    if request.param == 'tiny':
        config = tiny_config(synthetic_root, extra="model['test_cfg'] = dict(output_details=True)")
    torch.manual_seed(0)
    model = init_model(config, None, device='cpu')
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    checkpoint = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return str(config), str(checkpoint)


@pytest.fixture
def image(synthetic_root) -> str:
    return str(next((Path(synthetic_root) / 'images' / 'val').glob('*/*.jpg')))


def run_tool(name: str, *arguments: str) -> str:
    process = subprocess.run(
        [quick_python(), '-W', 'ignore', '-m', 'cmpose_mm', str(TOOLS / name), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout
    return process.stdout


def test_inference_topdown(files, image):
    """Equals the model on a clip of T equal frames, made by our own transforms."""
    model = init_model(*files, device='cpu')
    boxes = np.array([[20, 10, 80, 110], [60, 20, 120, 100]], np.float32)
    found = inference_topdown(model, image, boxes)

    pipeline = list(model.cfg.test_dataloader.dataset.pipeline)
    pipeline[0] = dict(type='LoadClip', num_frames=3)
    samples = [
        Compose(pipeline)(
            dict(img_path=image, bbox=box[None], bbox_score=np.ones(1), **model.dataset_meta)
        )
        for box in boxes
    ]
    assert all(sample['inputs'].shape[:2] == (3, 3) for sample in samples)
    with torch.no_grad():
        expected = model.test_step(pseudo_collate(samples))
    assert len(found) == 2
    for a, b in zip(found, expected):
        assert a.pred_instances.keypoints.std() > 1
        np.testing.assert_allclose(
            a.pred_instances.keypoints, b.pred_instances.keypoints, rtol=0, atol=0.01
        )


def test_inferencer_on_the_whole_image(files, image, tmp_path):
    inferencer = MMPoseInferencer(
        pose2d=files[0], pose2d_weights=files[1], det_model='whole_image', device='cpu'
    )
    (result,) = inferencer(image, out_dir=str(tmp_path / 'out'), return_vis=True)
    ((person,),) = result['predictions']
    (expected,) = inference_topdown(init_model(*files, device='cpu'), image)
    np.testing.assert_allclose(
        person['keypoints'], expected.pred_instances.keypoints[0], rtol=0, atol=0.01
    )
    height, width = cv2.imread(image).shape[:2]
    np.testing.assert_allclose(np.ravel(person['bbox']), [0, 0, width, height])
    assert result['visualization'][0].shape == (height, width, 3)
    name = Path(image).stem
    assert (tmp_path / 'out' / 'visualizations' / f'{name}.jpg').is_file()
    assert (tmp_path / 'out' / 'predictions' / f'{name}.json').is_file()


@pytest.mark.parametrize('size, config', [('small', 'cmpose'), ('small_rendered', 'rendered')])
def test_inferencer_with_the_models_that_ship(image, size, config):
    pose = str(config_path(f'shipped/shipped_{config}.py')), str(shipped_model(size)[1])
    inferencer = MMPoseInferencer(*pose, device='cpu', det_model='whole_image')
    (result,) = inferencer(image)
    ((person,),) = result['predictions']
    (expected,) = inference_topdown(init_model(*pose, device='cpu'), image)
    np.testing.assert_allclose(
        person['keypoints'], expected.pred_instances.keypoints[0], rtol=0, atol=0.01
    )


@pytest.mark.full_stack
def test_inferencer_takes_the_detector_for_people(files, image, tmp_path, monkeypatch):
    """MMPose picks it by the module of our dataset's class; only its weights are others here."""
    import_mmdet()
    from mmdet.apis import inference_detector, init_detector

    base = config_path_of_mmdet('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    config, weights = tmp_path / 'detector.py', tmp_path / 'detector.pth'
    config.write_text(DETECTOR.format(base=base))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = init_detector(str(config), None, device='cpu')
    meta = dict(dataset_meta=dict(classes=('person', 'car')))
    torch.save(dict(state_dict=detector.state_dict(), meta=meta), weights)
    people = dict(model=str(config), weights=str(weights), cat_ids=(0,))
    monkeypatch.setitem(default_det_models, 'body', people)

    inferencer = MMPoseInferencer(pose2d=files[0], pose2d_weights=files[1], device='cpu')
    (result,) = inferencer(image, bbox_thr=0.3, nms_thr=0.3)
    (persons,) = result['predictions']
    assert len(persons) > 1
    detections = inference_detector(detector, image).pred_instances
    boxes = detections.bboxes[detections.labels == 0].numpy()
    for person in persons:
        assert np.abs(boxes - np.ravel(person['bbox'])).max(1).min() < 0.01
        assert np.std(person['keypoints']) > 1


def config_path_of_mmdet(name: str) -> str:
    import mmdet

    return str(Path(mmdet.__file__).parent / '.mim' / 'configs' / name)


def test_flops_are_those_of_all_frames(tiny_config, synthetic_root):
    """Against a count by hand, of one image's input that becomes T frames.

    MMEngine counts a multiplication with its addition as one, layer and batch normalization as 5
    and 2 an element, and no attention products (``scaled_dot_product_attention``), for any ViT. The
    model is of the paper's letter.
    """
    letter = Config.fromfile(config_path('cmpose/literal.py')).literal
    letter.fte.num_clusters = 8
    extra = ''.join(
        f"model['method'][{part!r}].update({letter[part].to_dict()!r})\n" for part in letter
    )
    config = tiny_config(synthetic_root, extra=extra)
    output = run_tool('analysis_tools/get_flops.py', config, '--input-shape', '128', '96')

    frames, cells, width, joints, clusters = 3, 8 * 6, 32, 15, 8
    narrow = Config.fromfile(config).model.method.neck.attention_dims
    patches = frames * cells * (16 * 16 * 3) * width
    layer = frames * cells * (width * 3 * width + width * width + 2 * width * 32 + 2 * 5 * width)
    backbone = patches + layer + frames * cells * 5 * width
    slots = frames * (cells + joints)
    attention = slots * (width * 3 * narrow + narrow * width + 5 * width)
    neck = 4 * attention + slots * 2 * width * width
    fusion = cells * frames * width * width
    queries, similarity = 2 * joints * width * width, joints * width * cells
    fte = queries + similarity + cells * width * cells + clusters * cells * width
    upsampling = 16 * width * width * (cells + 4 * cells) + 2 * width * (4 + 16) * cells
    head = upsampling + 16 * cells * width * joints
    expected = backbone + neck + fusion + fte + head
    assert f'Flops: {expected / 1e6:.3f}M' in output
    (found,) = re.findall(r'^\|  backbone +\| +\S+ +\| +(\S+)M', output, re.MULTILINE)
    assert float(found) == round(backbone / 1e6, 3)


def test_visualization_hook(tiny_config, synthetic_root):
    """In a runner's test and validation; the weights are untrained, so every joint is drawn."""
    extra = """
visualizer = dict(name='of_this_test')
model['test_cfg'] = dict(flip_test=True, output_heatmaps=True, output_details=True)
default_hooks['checkpoint'] = dict(save_best=None)  # needs a training before
default_hooks['visualization'] = dict(
    type='PoseVisualizationHook', enable=True, interval=1, kpt_thr=-100
)
"""
    config = Config.fromfile(tiny_config(synthetic_root, 'hook', extra))
    for loader in (config.val_dataloader, config.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    torch.manual_seed(0)
    runner = Runner.from_cfg(config)
    num_samples = len(runner.test_dataloader.dataset)
    runner.test()
    runner.val()
    pictures = {path.name: path for path in Path(config.work_dir).glob('*/vis_data/vis_image/*')}
    kinds = [name.rsplit('_', 1)[0] for name in pictures]
    assert kinds.count('test_img') == num_samples > 1
    assert kinds.count('val_img') == len(runner.val_dataloader)
    frame = cv2.imread(runner.test_dataloader.dataset[0]['data_samples'].img_path)
    picture = cv2.imread(str(pictures['test_img_1.png']))
    assert picture.shape[1] == frame.shape[1]
    assert np.abs(picture[: len(frame)].astype(int) - frame).mean() > 1


def test_browse_dataset_shows_the_labels(tiny_config, synthetic_root, tmp_path):
    config = tiny_config(synthetic_root)
    run_tool(
        'misc/browse_dataset.py', config, '--mode', 'original', '--not-show',
        '--output-dir', str(tmp_path / 'out'), '--max-item-per-dataset', '3',
    )  # fmt: skip
    pictures = sorted((tmp_path / 'out').iterdir())
    assert len(pictures) == 3
    frame = sorted((Path(synthetic_root) / 'images' / 'train').glob('*/000000.jpg'))[0]
    frame, picture = cv2.imread(str(frame)), cv2.imread(str(pictures[0]))
    assert picture.shape == frame.shape
    assert (np.abs(picture.astype(int) - frame) > 40).any(2).sum() > 50  # the skeleton
