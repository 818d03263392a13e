"""torch.compile and torch.export accept the inference path, without a graph break."""

import shutil

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from tiny_models import randomize, tiny_config

from cmpose_mm import config_path
from cmpose_mm.models import ClipInput

needs_export = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6),
    reason='torch.export of modules with autocast regions needs torch >= 2.6',
)
needs_compile = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6),
    reason='torch.compile without graph breaks needs torch >= 2.6',
)


class Heatmaps(torch.nn.Module):
    """The model as a plain function from clips to heatmaps and what the method decided."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, clips):
        out = self.model.run_method(clips)
        return dict(heatmaps=self.model.head((out.key_features,)), **out.details)


def tiny(**fte):
    fte = dict(type='CausalTokenFTE', num_causal=1, num_neighbors=3, num_clusters=8, **fte)
    model = randomize(MODELS.build(tiny_config(fte=fte)), std=0.1)
    return Heatmaps(model.eval()), torch.randn(2, 3, 3, 128, 96)


def real(**fte):
    """The real size of everything but the number of the backbone's layers."""
    config = Config.fromfile(config_path('_base_/models/cmpose_vit-s.py')).model
    config.backbone.arch.num_layers = 2
    config.method.fte.update(fte)
    model = randomize(MODELS.build(config), std=0.03)
    return Heatmaps(model.eval()), torch.randn(2, 3, 3, 256, 192)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)


FTES = [dict(), dict(selection='union', normalize_merge=False), dict(causal_only=True)]


@pytest.mark.slow
@needs_compile
@pytest.mark.parametrize('size, fte', [*((tiny, fte) for fte in FTES), (real, {})])
def test_compile_in_one_graph(size, fte):
    model, clips = size(**fte)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
        assert_equal(compiled(clips), model(clips))


@pytest.mark.slow(60)
@needs_compile
@pytest.mark.skipif(not shutil.which('g++'), reason='torch.compile wants a C++ compiler on a CPU')
def test_compile_to_machine_code():
    """The method alone: generating code for the backbone too takes minutes."""
    model, _ = tiny()
    method, clip = model.model.method, ClipInput.of(torch.randn(2, 3, 32, 8, 6), key_index=1)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(method, fullgraph=True)(clip)
        expected = method(clip)
        assert_equal(compiled.details, expected.details)
        torch.testing.assert_close(
            compiled.key_features, expected.key_features, rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
@needs_export
@pytest.mark.parametrize('size, fte', [*((tiny, fte) for fte in FTES), (real, {})])
def test_export_with_any_batch(size, fte):
    model, clips = size(**fte)
    with torch.no_grad():
        batch = torch.export.Dim('batch', min=1, max=64)
        program = torch.export.export(model, (clips,), dynamic_shapes=({0: batch},))
        for number in (1, 3):
            other = torch.randn(number, *clips.shape[1:])
            assert_equal(program.module()(other), model(other))


@pytest.mark.slow
@needs_export
def test_the_auxiliary_tasks_are_not_exported():
    with_tasks, clips = tiny()
    without = Heatmaps(with_tasks.model)
    nodes = []
    for aux in (with_tasks.model.method.aux, None):
        without.model.method.aux = aux
        program = torch.export.export(without, (clips,))
        nodes.append([node.target for node in program.graph.nodes if node.op == 'call_function'])
    assert nodes[0] == nodes[1]
