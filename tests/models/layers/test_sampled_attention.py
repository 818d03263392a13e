"""Sums at points between cells, against loops in float64 and against mmcv's reference."""

import numpy as np
import pytest
import slow_transformer
import torch

from cmpose_mm.models.layers import sampled_attention

CLIPS, MAPS, HEADS, CHANNELS, QUERIES, POINTS, HEIGHT, WIDTH = 2, 3, 2, 4, 5, 3, 4, 6


def inputs():
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    values = uniform(CLIPS, MAPS, HEADS, CHANNELS, HEIGHT, WIDTH) - 0.5
    # Some lie up to two cells outside of the map, some on its edge and on centers of cells.
    points = uniform(CLIPS, QUERIES, HEADS, MAPS, POINTS, 2) * torch.tensor([9, 7]) - 2
    points[:, 0] = points[:, 0].round()
    points[:, 1, 0, 0, 0] = torch.tensor([WIDTH - 1, HEIGHT - 1])
    points[:, 1, 0, 0, 1] = torch.tensor([-0.5, -1])
    weights = uniform(CLIPS, QUERIES, HEADS, MAPS, POINTS)
    return values, points, weights


def test_it_is_what_the_loops_give():
    values, points, weights = inputs()
    found = sampled_attention(values, points, weights)
    for b in range(CLIPS):
        parts = (part[b].numpy() for part in (values, points, weights))
        expected = slow_transformer.sampled_attention(*parts)
        assert np.abs(expected).max() > 0.5
        np.testing.assert_allclose(found[b], expected, rtol=0, atol=1e-12)


@pytest.mark.full_stack
def test_it_equals_mmcv_s_reference():
    """Maps are mmcv's levels; its points are fractions of the map, from edge to edge."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    values, points, weights = inputs()
    theirs = multi_scale_deformable_attn_pytorch(
        values.permute(0, 1, 4, 5, 2, 3).flatten(1, 3),
        torch.tensor([[HEIGHT, WIDTH]] * MAPS),
        (points + 0.5) / torch.tensor([WIDTH, HEIGHT]),
        weights,
    )
    torch.testing.assert_close(sampled_attention(values, points, weights), theirs)


def test_gradients():
    tensors = [tensor.requires_grad_() for tensor in inputs()]
    # Off the centers of cells, where the interpolation has a kink.
    tensors[1] = (tensors[1].detach().floor() + 0.3).requires_grad_()
    small = [tensors[0][:1, :, :, :1], tensors[1][:1, :2], tensors[2][:1, :2]]
    assert torch.autograd.gradcheck(sampled_attention, small)
