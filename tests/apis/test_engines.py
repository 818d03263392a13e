"""Other engines compute the same; reading beside computing changes nothing."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from cmpose_mm import config_path
from cmpose_mm.apis import VideoPoseInferencer
from cmpose_mm.apis.engines import OnnxModule, use_engine
from cmpose_mm.apis.loading import find_config
from cmpose_mm.apis.read_ahead import read_ahead
from cmpose_mm.compat import TORCH_VERSION

needs_onnx = pytest.mark.skipif(TORCH_VERSION < (2, 1), reason='ONNX needs torch >= 2.1')
needs_compile = pytest.mark.skipif(
    not hasattr(torch.nn.Module, 'compile'), reason='torch before 2.2 has no Module.compile'
)


def model_of(name: str) -> torch.nn.Module:
    """With drawn weights and statistics, so that nothing is 0."""
    path = config_path(name) if name.endswith('.py') else find_config(name)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    config = Config.fromfile(path).model
    config.backbone.init_cfg = None
    model = MODELS.build(config)
    model.eval()  # returns nothing
    for values in model.state_dict().values():
        if values.is_floating_point() and values.ndim <= 1:
            values.uniform_(0.5, 1.5)
    return model


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize(
    'name',
    [
        'cmpose/cmpose_tiny.py',  # a vision transformer
        'single_frame_demo.py',
        'single_frame/single_frame_hrnet-w48_posetrack18.py',  # several maps
        'rtmpose-t-halpe26',
        'res50-coco',
    ],
)
def test_onnx_computes_the_maps_of_torch(name):
    pytest.importorskip('onnxruntime')
    backbone = model_of(name).backbone
    width, height = (64, 96)
    if hasattr(backbone, 'patch_embed'):
        height, width = backbone.img_size
    engine = OnnxModule(backbone)
    with torch.no_grad():
        for count in (1, 2, 5):
            images = torch.randn(count, 3, height, width)
            expected, found = backbone(images), engine(images)
            assert isinstance(found, torch.Tensor) == isinstance(expected, torch.Tensor)
            assert len(found) == len(expected)
            for a, b in zip(found, expected):
                assert_near(a, b)
    assert len(engine.sessions) == 1
    for session, _ in engine.sessions.values():  # its threads must not hold up those of torch
        options = session.get_session_options()
        assert options.get_session_config_entry('session.intra_op.allow_spinning') == '0'


@pytest.mark.slow
@needs_onnx
def test_images_of_another_size_are_computed_anew():
    pytest.importorskip('onnxruntime')
    backbone = model_of('res50-coco').backbone
    engine = OnnxModule(backbone)
    with torch.no_grad():
        for size in ((64, 48), (96, 64), (64, 48)):
            images = torch.randn(2, 3, *size)
            (found,), (expected,) = engine(images), backbone(images)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert list(engine.sessions) == [((3, 64, 48),), ((3, 96, 64),)]


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize(
    'name',
    [
        'cmpose/cmpose_tiny.py',
        'tdmi/tdmi_tiny.py',  # with a frame head
        'rtmpose-t-halpe26',  # two outputs
        'res50-coco',  # batch normalization, which training would change
        'single_frame/single_frame_hrnet-w48_posetrack18.py',  # several maps
    ],
)
def test_onnx_computes_the_heads_of_torch(name):
    pytest.importorskip('onnxruntime')
    model = model_of(name)
    heads = [h for h in (model.head, getattr(model, 'frame_head', None)) if h is not None]
    width, height = model.head.decoder.input_size
    with torch.no_grad():
        maps = model.backbone(torch.rand(1, 3, height, width))
        maps = [torch.rand(5, *m.shape[1:]) for m in (maps if isinstance(maps, tuple) else [maps])]
        if hasattr(model, 'method'):
            maps = maps[-1:]
        expected = [head(maps) for head in heads]
        use_engine(model, 'onnx')
        for count in (5, 1, 2):
            for head, outputs in zip(heads, expected):
                found = head([values[:count] for values in maps])
                assert isinstance(found, torch.Tensor) == isinstance(outputs, torch.Tensor)
                if isinstance(found, torch.Tensor):
                    found, outputs = [found], [outputs]
                assert len(found) == len(outputs)
                for a, b in zip(found, outputs):
                    assert_near(a, b[:count])
    for head in heads:
        assert not any(part.training for part in head.modules())
        ((session, _),) = head.forward.onnx.sessions.values()
        assert session is not None


class Several(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> list:
        return [[x, 2 * x]]


class Adaptive(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x, (5, 7))


class OfTwo(torch.nn.Module):
    """In its trace the batch has two items, wherever it is told."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(int(x.shape[0]), -1)


class WeightsOfTwo(torch.nn.Module):
    """Likewise, but other batches are computed, wrongly."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / int(x.shape[0])


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize(
    'module, why',
    [
        (Several(), 'its outputs are nested'),
        (Adaptive(), 'Unsupported: ONNX export of operator '),
        (OfTwo(), '[ONNXRuntimeError] '),
        (WeightsOfTwo(), 'ONNX Runtime computes something else'),
    ],
)
def test_what_onnx_cannot_hold_stays_with_torch(module, why, logged):
    pytest.importorskip('onnxruntime')
    engine, images = OnnxModule(module), torch.randn(4, 3, 9, 9)
    for _ in range(2):
        found, expected = engine(images), module(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    (told,) = logged()
    assert told.startswith(f"engine='onnx': {type(module).__name__} stays with torch: {why}")
    assert '\n' not in told


@pytest.mark.slow
@needs_onnx
def test_a_head_that_reads_lists_of_lists_stays_as_it_is():
    pytest.importorskip('onnxruntime')
    model = model_of('mspn50-coco')
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.head(model.backbone(images))
        use_engine(model, 'onnx')
        found = model.head(model.backbone(images))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.slow(30)
@pytest.mark.parametrize(
    'engine, options',
    [
        pytest.param('onnx', {}, marks=needs_onnx),
        pytest.param('onnx', dict(crops='track'), marks=needs_onnx),
        pytest.param('compile', {}, marks=needs_compile),
    ],
)
def test_poses_are_those_of_torch(engine, options, clip_folder, clip_labels, monkeypatch):
    """Of the model that ships: heatmaps of drawn weights are so flat that rounding moves peaks."""
    if engine == 'onnx':
        pytest.importorskip('onnxruntime')
    else:  # what comes after the graph takes minutes; that it computes the same is torch's affair
        compile_module = torch.nn.Module.compile
        monkeypatch.setattr(
            torch.nn.Module,
            'compile',
            lambda module, **kwargs: compile_module(module, backend='eager', **kwargs),
        )
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
    expected = list(VideoPoseInferencer(**options)(clip_folder, clip_labels))
    model = VideoPoseInferencer(engine=engine, **options)
    results = list(model(clip_folder, clip_labels))
    assert len(results) == len(expected) == 5
    assert sum(len(result.data_sample.pred_instances) for result in results) >= 5
    for result, reference in zip(results, expected):
        found, poses = (r.data_sample.pred_instances for r in (result, reference))
        np.testing.assert_array_equal(found.track_ids, poses.track_ids)
        np.testing.assert_allclose(found.keypoints, poses.keypoints, atol=0.01)
        np.testing.assert_allclose(found.keypoint_scores, poses.keypoint_scores, atol=1e-4)
    if engine == 'compile':
        assert torch._dynamo.utils.counters['stats']['unique_graphs'] > 0


def test_wrong_arguments(monkeypatch):
    model = torch.nn.Module()
    with pytest.raises(ValueError, match=r"^engine is 'tensorrt', expected one of torch, compile"):
        use_engine(model, 'tensorrt')
    with pytest.raises(ValueError, match=r"^engine='onnx' computes on the CPU, found the device c"):
        use_engine(model, 'onnx', 'cuda:0')
    with pytest.raises(ValueError, match=r"^half='bf16' does not work with engine='onnx'"):
        VideoPoseInferencer(engine='onnx', half='bf16')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setitem(sys.modules, 'onnx', None)
    model.backbone = torch.nn.Identity()
    with pytest.raises(ModuleNotFoundError, match=r"^onnx is not installed, and engine='onnx'"):
        use_engine(model, 'onnx')


# ------------------------------------------------------------------------------------ reading ahead


def numbers(count: int, log: list):
    try:
        for number in range(count):
            log.append(number)
            yield number
        if count == 3:
            raise OSError('cut off')
    finally:
        log.append('closed')


@pytest.mark.parametrize('ahead', [1, 4, 10])
def test_items_come_in_order_and_no_more_are_read_than_allowed(ahead):
    log: list = []
    for number in (items := read_ahead(numbers(8, log), ahead)):
        time.sleep(0.01)
        read = len([entry for entry in log if entry != 'closed'])
        assert number < read <= min(number + 1 + ahead, 8)
    assert log == [*range(8), 'closed'] and list(items) == []


@pytest.mark.parametrize('ahead', [1, 2, 3, 4])
def test_an_error_comes_where_the_item_was_expected(ahead):
    log, got = [], []
    with pytest.raises(OSError, match='cut off'):
        for number in read_ahead(numbers(3, log), ahead):
            got.append(number)
    assert got == [0, 1, 2] and log[-1] == 'closed'


def test_who_has_enough_ends_the_reading():
    log: list = []
    source = numbers(1000, log)  # held, so that nothing but its end closes it
    items = read_ahead(source, 2)
    assert next(items) == 0
    items.close()
    assert log[-1] == 'closed' and len(log) < 6
    assert not [t for t in threading.enumerate() if t.name.startswith('read_ahead')]
