"""Deformable convolution: both implementations against loops, mmcv, and plain convolutions."""

import pytest
import slow_information as slow
import torch
import torch.nn.functional as F
from tiny_models import randomize

from cmpose_mm.compat import TORCH_VERSION
from cmpose_mm.models.layers import DEFORM_BACKENDS, ModulatedDeform
from cmpose_mm.models.layers.modulated_deform import offset_groups

backends = pytest.mark.parametrize('backend', DEFORM_BACKENDS)


def inputs(groups=4, channels=8, size=(5, 4), scale=2.0):
    """Arguments in float64, with displacements that also leave the map."""
    height, width = size
    return (
        torch.randn(2, channels, height, width, dtype=torch.float64),
        scale * torch.randn(2, 18 * groups, height, width, dtype=torch.float64),
        torch.rand(2, 9 * groups, height, width, dtype=torch.float64),
        torch.randn(3, channels, 3, 3, dtype=torch.float64),
        torch.randn(3, dtype=torch.float64),
    )


@backends
@pytest.mark.parametrize('dilation', [1, 3])
@pytest.mark.parametrize('size', [(5, 4), (3, 1)])
def test_it_is_the_sum_over_displaced_taps(backend, dilation, size):
    x, offsets, mask, weight, bias = inputs(size=size)
    found = DEFORM_BACKENDS[backend](x, offsets, mask, weight, bias, dilation)
    for number in range(2):
        parts = (part.numpy() for part in (x[number], offsets[number], mask[number], weight, bias))
        expected = torch.from_numpy(slow.deform(*parts, dilation))
        torch.testing.assert_close(found[number], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('dilation', [1, 3])
def test_both_have_the_same_gradients(dilation):
    gradients = []
    for backend in DEFORM_BACKENDS:
        torch.manual_seed(0)
        tensors = [tensor.requires_grad_() for tensor in inputs()]
        out = DEFORM_BACKENDS[backend](*tensors, dilation)
        out.square().sum().backward()
        gradients.append([tensor.grad for tensor in tensors])
    for ours, theirs in zip(*gradients):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@backends
@pytest.mark.parametrize('dilation', [1, 3])
def test_without_displacement_it_is_a_convolution(backend, dilation):
    x, offsets, mask, weight, bias = inputs()
    found = DEFORM_BACKENDS[backend](
        x, torch.zeros_like(offsets), torch.ones_like(mask), weight, bias, dilation
    )
    expected = F.conv2d(x, weight, bias, padding=dilation, dilation=dilation)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.full_stack
def test_it_equals_mmcv_s_operator():
    from mmcv.ops import modulated_deform_conv2d

    x, offsets, mask, weight, bias = (tensor.float() for tensor in inputs())
    theirs = modulated_deform_conv2d(x, offsets, mask, weight, bias, 1, 3, 3, 1, 4)
    for deform in DEFORM_BACKENDS.values():
        ours = deform(x, offsets, mask, weight, bias, 3)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@backends
@pytest.mark.parametrize('dilation', [1, 3])
def test_offsets_and_weights_come_from_the_condition(backend, dilation):
    module = randomize(ModulatedDeform(8, 5, dilation, backend)).double()
    x, cond = torch.randn(1, 8, 4, 3).double(), torch.randn(1, 5, 4, 3).double()
    with torch.no_grad():
        found, mask = module(x, cond)
    state = slow.numbers(module)
    expected, weights = slow.modulated(x[0].numpy(), cond[0].numpy(), {
        f'm.{name}': value for name, value in state.items()
    }, 'm', dilation)  # fmt: skip
    torch.testing.assert_close(found[0], torch.from_numpy(expected), rtol=0, atol=1e-10)
    torch.testing.assert_close(mask[0], torch.from_numpy(weights), rtol=0, atol=1e-12)


def test_it_starts_as_half_a_convolution():
    module = ModulatedDeform(24, 7)
    x = torch.randn(2, 24, 6, 5)
    found, mask = module(x, torch.randn(2, 7, 6, 5))
    assert mask.shape == (2, 9 * 12, 6, 5) and (mask == 0.5).all()
    expected = F.conv2d(x, module.conv.weight / 2, module.conv.bias, padding=1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@backends
def test_under_autocast_positions_stay_exact(backend):
    """In bfloat16, a position of 79.75 cells would be one of 80."""
    module = ModulatedDeform(8, 3, backend=backend)
    module.offsets.bias.data.fill_(-20.25)  # exact in bfloat16
    x = torch.rand(1, 8, 4, 100)
    cond = torch.zeros(1, 3, 4, 100)
    with torch.no_grad():
        expected, _ = module(x, cond)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            found, _ = module(x, cond)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@backends
def test_weights_in_half_precision(backend):
    """The result has their type, and is near that in float32."""
    module = randomize(ModulatedDeform(8, 5, backend=backend), std=0.1)
    x, cond = torch.randn(2, 8, 6, 5), torch.randn(2, 5, 6, 5)
    with torch.no_grad():
        expected, _ = module(x, cond)
        found, _ = module.bfloat16()(x.bfloat16(), cond.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().mean() < 0.03 * expected.abs().mean()


def test_displacements_that_are_no_numbers():
    """A training that diverges ends in a sentence, not in a crash of the process."""
    x, offsets, mask, weight, bias = inputs()
    offsets[0, 3, 2, 1] = torch.nan
    infinite = torch.where(offsets.isnan(), torch.inf, offsets)
    with pytest.raises(ValueError, match='displacements are NaN, expected numbers; the training'):
        DEFORM_BACKENDS['torchvision'](x, offsets, mask, weight, bias, 1)
    found = DEFORM_BACKENDS['grid_sample'](x, offsets, mask, weight, bias, 1)
    lost = found.isnan()
    assert lost[0, :, 2, 1].all() and lost.sum() == 3
    found = DEFORM_BACKENDS['grid_sample'](x, infinite, mask, weight, bias, 1)
    assert torch.equal(found.isnan(), lost)
    assert DEFORM_BACKENDS['torchvision'](x, infinite, mask, weight, bias, 1).isfinite().all()


@backends
@pytest.mark.parametrize('value', [-1e30, 1e30])
def test_displacements_far_outside_read_nothing(backend, value):
    x, offsets, mask, weight, bias = inputs()
    offsets = torch.full_like(offsets, value)
    found = DEFORM_BACKENDS[backend](x, offsets, mask, weight, bias, 1)
    torch.testing.assert_close(found, bias.view(1, 3, 1, 1).expand_as(found), rtol=0, atol=0)


@pytest.mark.slow
@backends
def test_it_compiles_in_one_graph(backend):
    module = randomize(ModulatedDeform(8, 5, backend=backend), std=0.1).eval()
    x, cond = torch.randn(1, 8, 4, 3), torch.randn(1, 5, 4, 3)
    torch._dynamo.reset()
    with torch.no_grad():
        expected, _ = module(x, cond)
        found, _ = torch.compile(module, backend='aot_eager', fullgraph=True)(x, cond)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    TORCH_VERSION < (2, 6), reason='torch.export of autocast regions needs torch >= 2.6'
)
def test_exports_need_no_operator_of_torchvision():
    module = randomize(ModulatedDeform(8, 5, backend='torchvision'), std=0.1).eval()
    inputs = torch.randn(1, 8, 4, 3), torch.randn(1, 5, 4, 3)
    program = torch.export.export(module, inputs)
    graphs = [m.graph for m in program.graph_module.modules() if hasattr(m, 'graph')]
    targets = [str(node.target) for graph in graphs for node in graph.nodes]
    assert any('grid_sampler' in target for target in targets)
    assert not any('torchvision' in target for target in targets)
    with torch.no_grad():
        for found, expected in zip(program.module()(*inputs), module(*inputs)):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_groups():
    assert [offset_groups(channels) for channels in (48, 128, 8, 96)] == [12, 8, 8, 12]
    with pytest.raises(ValueError, match='ModulatedDeform: channels is 20, expected a multiple of'):
        ModulatedDeform(20, 3)
    with pytest.raises(
        ValueError, match="ModulatedDeform: backend is 'mmcv', expected one of 'grid_sample', "
    ):
        ModulatedDeform(48, 3, backend='mmcv')
