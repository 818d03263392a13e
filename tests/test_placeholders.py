"""MMPose without mmcv's operators, MMDetection and xtcocotools: what works, and what is said.

Each case runs in a process of its own, in which parts of the environment are hidden or broken; so
the same tests hold on every stack.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import quick_python

pytestmark = pytest.mark.slow  # processes

ROOT = Path(__file__).resolve().parents[1]
LIGHT = ('mmcv._ext', 'mmdet', 'xtcocotools')
HIDE = """
import json, sys, warnings
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {hidden!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
said = []
warnings.showwarning = lambda message, *_: said.append(str(message))

def error_of(function):
    try:
        function()
    except Exception as error:
        return f'{{type(error).__name__}}: {{error}}'
"""


def run(code: str, hidden: tuple[str, ...] = (), path: Path | None = None) -> dict:
    """Runs code, which puts what it finds into `result`, in a new process."""
    code = f'{HIDE.format(hidden=hidden)}\nresult = {{}}\n{code}\nprint(json.dumps(result))'
    folders = [str(path)] if path else []
    env = dict(
        os.environ, PYTHONPATH=os.pathsep.join([*folders, str(ROOT)]), MKL_THREADING_LAYER='GNU'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope='module')
def light() -> dict:
    """What a process of the light stack finds that tried to import MMPose first."""
    return run(
        """
import importlib.util
result['first'] = error_of(lambda: __import__('mmpose.apis'))
import cmpose_mm
import mmpose.apis, mmpose.datasets, mmpose.models, mmpretrain.models
result['said'] = list(said)
result['mmdet'] = error_of(lambda: __import__('mmdet'))
result['mmdet.registry'] = error_of(lambda: __import__('mmdet.registry'))
result['has_mmdet'] = mmpose.apis.inferencers.base_mmpose_inferencer.has_mmdet

from mmengine.utils.dl_utils import mmcv_full_available
result['operators'] = mmcv_full_available()
from mmpose.models.heads.hybrid_heads import dekr_head
result['dekr'] = dekr_head.has_mmcv_full

def operator():
    from mmcv.ops import nms_rotated
def attention():
    from mmpose.models.heads.transformer_heads.transformers.deformable_detr_layers import (
        DeformableDetrTransformerEncoderLayer)
    DeformableDetrTransformerEncoderLayer()
def detector():
    from cmpose_mm.apis.person_boxes import PersonDetector
    PersonDetector('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py', None)
def crowd():
    from xtcocotools.cocoeval import COCOeval
    COCOeval(iouType='keypoints_crowd')
for function in (operator, attention, detector, crowd):
    result[function.__name__] = error_of(function)
result['probed'] = hasattr(sys.modules['mmcv.ops'], '_private')
names = ('mmcv.ops', 'mmdet.utils', 'xtcocotools.coco', 'mmcv._ext', 'mmdet')
result['specs'] = [importlib.util.find_spec(name) is not None for name in names]

import os, torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from mmpose.utils import register_all_modules
register_all_modules()
config = Config.fromfile(os.path.join(os.path.dirname(mmpose.__file__),
    '.mim/configs/body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py'))
config.model.backbone.init_cfg = None
model = MODELS.build(config.model)
sample = PoseDataSample(metainfo=dict(input_size=(128, 128), img_shape=(128, 128)))
sample.gt_instance_labels = InstanceData(
    bboxes=torch.tensor([[10.0, 10, 100, 100]]), labels=torch.zeros(1, dtype=torch.long),
    keypoints=torch.rand(1, 17, 2) * 80 + 10, keypoints_visible=torch.ones(1, 17),
    areas=torch.tensor([8000.0]), bbox_labels=torch.zeros(1, dtype=torch.long))
result['rtmo_loss'] = error_of(lambda: model(torch.rand(1, 3, 128, 128), [sample], mode='loss'))
""",
        hidden=LIGHT,
    )


def test_mmpose_imports_even_after_it_failed(light):
    assert 'xtcocotools' in light['first']
    assert [text for text in light['said'] if 'pkg_resources' not in text] == []  # of mmengine


def test_missing_packages_stay_absent(light):
    for name in ('mmdet', 'mmdet.registry'):
        assert light[name].startswith('ModuleNotFoundError')
    assert light['has_mmdet'] is light['operators'] is light['dekr'] is light['probed'] is False
    assert light['specs'] == [True, True, True, False, False]


@pytest.mark.parametrize(
    'use, said',
    [
        ('operator', 'mmcv.ops.nms_rotated needs compiled operators, which mmcv-lite does not '
         'have; replace it by onedl-mmcv or mmcv'),
        ('attention', 'mmcv.ops.MultiScaleDeformableAttention needs compiled operators'),
        ('detector', 'A detector of MMDetection needs MMDetection, which is not installed; '
         '`pip install --no-deps onedl-mmdetection`'),
        ('crowd', "iou_type='keypoints_crowd' with use_area=True needs xtcocotools"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_when_it_is_used(light, use, said):
    message = light[use].split(': ', 1)[1]
    assert message.startswith(said)
    assert 'docs/install.md' in message and '\n' not in message


def test_rtmo_builds_and_says_what_its_loss_needs(light):
    assert light['rtmo_loss'].startswith(
        'ModuleNotFoundError: mmdet.utils.reduce_mean needs MMDetection, which is not installed; '
    )


@pytest.fixture(scope='module')
def broken(tmp_path_factory) -> dict:
    """What is said where all three parts are there and none of them loads."""
    folder = tmp_path_factory.mktemp('broken')
    files = {
        'mmdet/__init__.py': "raise AssertionError('MMCV==2.2.0 is used but incompatible.')",
        'xtcocotools/__init__.py': '',
        'xtcocotools/cocoeval.py': "raise ValueError('numpy.dtype size changed')",
        'onedl_mmcv-2.2.0.dist-info/METADATA': 'Name: onedl-mmcv\nVersion: 2.2.0\n',
        'mmcv_full-1.7.2.dist-info/METADATA': 'Name: mmcv-full\nVersion: 1.7.2\n',
        'mmengine-0.10.7.dist-info/METADATA': 'Name: mmengine\nVersion: 0.10.7\n',
        'mmengine_lite-0.10.7.dist-info/METADATA': 'Name: mmengine-lite\nVersion: 0.10.7\n',
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return run(
        f"""
import mmcv
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
mmcv.__path__.insert(0, {str(folder)!r})
open({str(folder)!r} + '/_ext' + EXTENSION_SUFFIXES[0], 'w').write('built for another torch')
import cmpose_mm, mmpose.apis, mmpose.models, mmpretrain.models
result['said'] = list(said)
result['mmdet'] = error_of(lambda: __import__('mmdet'))
def operator():
    from mmcv.ops import MultiScaleDeformableAttention
    MultiScaleDeformableAttention()
result['operator'] = error_of(operator)
from mmengine.utils.dl_utils import mmcv_full_available
result['operators'] = mmcv_full_available()
from mmpose.evaluation.metrics import coco_metric
result['coco'] = coco_metric.COCOeval.__module__
""",
        path=folder,
    )


@pytest.mark.parametrize(
    'said',
    [
        "MMPose needs mmcv's compiled operators, which do not load (ImportError: ",
        'MMPose needs MMDetection, whose import fails (AssertionError: MMCV==2.2.0 is used',
        'MMPose needs xtcocotools, which does not load (ValueError: numpy.dtype size changed); '
        '`pip install cython`, then `pip install --force-reinstall',
    ],
)
def test_what_does_not_load_is_told_on_import(broken, said):
    (message,) = [text for text in broken['said'] if text.startswith(said)]
    assert 'docs/install.md' in message


@pytest.mark.parametrize(
    'first, second', [('mmcv-full', 'onedl-mmcv'), ('mmengine', 'mmengine-lite')]
)
def test_packages_that_overwrite_each_other_are_told(broken, first, second):
    (message,) = [
        text for text in broken['said'] if 'overwrite files of each other' in text and first in text
    ]
    assert second in message.split(' are ')[0] and second in message.split('pip uninstall -y ')[1]


def test_mmpose_works_without_what_does_not_load(broken):
    assert broken['mmdet'].startswith('ModuleNotFoundError')
    assert broken['operator'].startswith('ModuleNotFoundError: mmcv.ops.MultiScale')
    assert broken['operators'] is False
    assert broken['coco'] == 'cmpose_mm.coco_api'


@pytest.mark.parametrize('name, package', [('mmcv', 'mmcv-lite'), ('mmengine', 'onedl-mmengine')])
def test_mmpose_without_mmcv_or_mmengine(name, package):
    result = run("result['import'] = error_of(lambda: __import__('cmpose_mm'))", hidden=(name,))
    assert result['import'].startswith(f'ModuleNotFoundError: MMPose is installed, but {name} is ')
    assert f'`pip install --no-deps {package}`' in result['import']


def test_without_any_coco_package():
    result = run(
        """
import cmpose_mm
from xtcocotools import mask
from xtcocotools.coco import COCO
result['coco'] = error_of(lambda: COCO('labels.json'))
result['mask'] = error_of(lambda: mask.decode(None))
""",
        hidden=(*LIGHT, 'pycocotools'),
    )
    for key, name in (('coco', 'coco.COCO'), ('mask', 'mask.decode')):
        assert result[key] == (
            f'ModuleNotFoundError: xtcocotools.{name} needs xtcocotools, which is not installed; '
            '`pip install pycocotools` brings what COCO keypoints need.'
        )


def test_a_script_that_imports_mmpose_first(tmp_path):
    (tmp_path / 'beside.py').write_text('VALUE = 3')
    script = tmp_path / 'script.py'
    script.write_text('import sys, mmpose.apis, beside\nprint(__name__, beside.VALUE, sys.argv)')
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, '-W', 'ignore', '-m', 'cmpose_mm']
    done = subprocess.run([*command, script, '--a', 'b'], capture_output=True, text=True, env=env)
    assert done.stdout == f'__main__ 3 {[str(script), "--a", "b"]}\n', done.stderr
    command[0] = quick_python()
    done = subprocess.run([*command, 'no.py'], capture_output=True, text=True, env=env)
    assert done.returncode == 1
    assert done.stderr == (
        'there is no file no.py; expected: python -m cmpose_mm SCRIPT [ARGUMENT ...]\n'
    )


@pytest.mark.full_stack
def test_nothing_that_works_is_replaced():
    result = run("""
import cmpose_mm, mmcv.ops, mmdet.registry, mmdet.utils, xtcocotools.coco, xtcocotools.mask
names = ('mmcv.ops', 'mmdet.utils', 'xtcocotools', 'xtcocotools.coco', 'xtcocotools.mask')
result['files'] = [bool(getattr(sys.modules[name], '__file__', None)) for name in names]
result['said'] = [text for text in said if 'needs' in text or 'overwrite' in text]
""")
    assert result == dict(files=[True] * 5, said=[])


@pytest.mark.light_stack
def test_new_processes_find_mmpose(tmp_path):
    """Where processes are not forked, a data worker unpickles the dataset before all else."""
    script = tmp_path / 'script.py'
    script.write_text(
        'import multiprocessing, sys\n'
        'from torch.utils.data import DataLoader\n'
        'if __name__ == "__main__":\n'
        '    import cmpose_mm\n'
        '    from mmpose.datasets import CombinedDataset, CocoDataset\n'
        f'    coco = dict(type="CocoDataset", ann_file={str(write_coco(tmp_path))!r})\n'
        '    data = CombinedDataset(dict(from_file="configs/_base_/datasets/coco.py"), [coco])\n'
        '    for method in multiprocessing.get_all_start_methods():\n'
        '        loader = DataLoader(data, num_workers=1, multiprocessing_context=method,\n'
        '                            collate_fn=list)\n'
        '        assert {batch[0]["img_id"] for batch in loader} == {3, 4}, method\n'
        '        print(method)\n'
    )
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert 'spawn' in done.stdout


# ---- pycocotools in place of xtcocotools -----------------------------------------------------


def write_coco(folder: Path, rng: np.random.Generator | None = None) -> Path:
    """A COCO label file of two images and, with `rng`, of what real label files hold."""
    rng = rng or np.random.default_rng(0)
    images = [
        dict(id=number, file_name=f'{number}.jpg', width=200, height=100) for number in (3, 4)
    ]
    labels = []
    for number in range(6):
        joints = np.column_stack([rng.uniform(0, [200, 100], (17, 2)), rng.integers(0, 3, 17)])
        if number == 5:
            joints[:, 2] = 0
        label = dict(
            id=number, image_id=3 + number % 2, category_id=1, keypoints=joints.ravel().tolist(),
            num_keypoints=17, bbox=[10.0 * number, 5, 60, 80], area=float(rng.uniform(900, 20000)),
        )  # fmt: skip
        if number == 4:
            label['iscrowd'] = 1
        labels.append(label)
    content = dict(
        images=images, annotations=labels, categories=[dict(id=1, name='person', keypoints=[])]
    )
    path = folder / 'coco.json'
    path.write_text(json.dumps(content))
    return path


@pytest.mark.full_stack
@pytest.mark.parametrize('seed', range(20))
def test_pycocotools_gives_the_numbers_of_xtcocotools(seed, tmp_path):
    """With what the two treat differently: id 0, wrong num_keypoints, no iscrowd, empty results."""
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    from cmpose_mm import coco_api

    rng = np.random.default_rng(seed)
    path = write_coco(tmp_path, rng)
    results = []
    for label in json.loads(path.read_text())['annotations'] * 2:
        joints = np.reshape(label['keypoints'], (17, 3)).astype(float)
        joints[:, :2] += rng.normal(0, rng.choice([1, 8, 40]), (17, 2))
        joints[:, 2] = rng.uniform(0, 1, 17) * (rng.random() > 0.2)
        results.append(
            dict(
                image_id=label['image_id'], category_id=1, keypoints=joints.ravel().tolist(),
                score=float(rng.random()),
            )
        )  # fmt: skip
    file = tmp_path / 'results.json'
    file.write_text(json.dumps(results))
    sigmas = rng.uniform(0.02, 0.1, 17)
    stats = []
    for dataset, evaluator in ((COCO, COCOeval), (coco_api.COCO, coco_api.COCOeval)):
        labels = dataset(str(path))
        evaluation = evaluator(labels, labels.loadRes(str(file)), 'keypoints', sigmas, True)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        stats.append(evaluation.stats)
    assert 0 < stats[0][0] < 1
    np.testing.assert_allclose(stats[1], stats[0], rtol=0, atol=1e-12)


@pytest.mark.light_stack
def test_coco_metric_of_mmpose(tmp_path):
    """Perfect predictions of all persons that count have AP 1; a label with id 0 is one of them."""
    from mmpose.evaluation.metrics import CocoMetric
    from mmpose.registry import DATASETS

    path = write_coco(tmp_path)
    dataset = DATASETS.build(
        dict(type='CocoDataset', ann_file=str(path), test_mode=True, pipeline=[])
    )
    metric = CocoMetric(ann_file=str(path), use_area=True)
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if not info['keypoints_visible'].any():
            continue
        instances = dict(
            keypoints=info['keypoints'], keypoint_scores=np.ones((1, 17)),
            bbox_scores=np.ones(1), bboxes=info['bbox'],
        )  # fmt: skip
        sample = dict(
            id=info['id'], img_id=info['img_id'], category_id=1, pred_instances=instances,
            gt_instances=dict(bbox_scales=np.ones((1, 2)), bbox_scores=np.ones(1)),
        )  # fmt: skip
        metric.process([], [sample])
    assert metric.evaluate(size=len(dataset))['coco/AP'] == pytest.approx(1)


def test_mmpretrain_beside_a_transformers_that_is_too_new(tmp_path):
    """Its multimodal models are left out; backbones can be built."""
    package, info = tmp_path / 'transformers', tmp_path / 'transformers-5.17.0.dist-info'
    package.mkdir(), info.mkdir()
    # torch 2.1's compiler patches this class of any transformers that is installed.
    (package / '__init__.py').write_text('from . import configuration_utils\n')
    (package / 'configuration_utils.py').write_text('class PretrainedConfig:\n    pass\n')
    (package / 'activations.py').write_text('ACT2FN = {}\n')
    (package / 'modeling_utils.py').write_text('class PreTrainedModel:\n    pass\n')
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: transformers\nVersion: 5.17.0\n')
    found = run(
        """
import cmpose_mm
from mmpose.registry import MODELS
from mmengine.registry import init_default_scope
init_default_scope('mmpose')
arch = dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=32)
MODELS.build(dict(type='mmpretrain.VisionTransformer', arch=arch, img_size=64))
result['multimodal'] = error_of(lambda: MODELS.build(dict(type='mmpretrain.BlipCaption')))
""",
        hidden=LIGHT,
        path=tmp_path,
    )
    assert 'requires extra multi-modal dependencies' in found['multimodal']
