"""Maps on another grid: means down, bilinear up, each axis by itself."""

import pytest
import torch
import torch.nn.functional as F

from cmpose_mm.models.layers import StageMaps, resample


def test_resample_has_means_down_and_bilinear_up():
    x = torch.randn(2, 3, 8, 6)
    torch.testing.assert_close(
        resample(x, (4, 3)), x.reshape(2, 3, 4, 2, 3, 2).mean((3, 5)), rtol=0, atol=1e-6
    )
    up = F.interpolate(x, (16, 18), mode='bilinear', align_corners=False)
    assert torch.equal(resample(x, (16, 18)), up)
    assert resample(x, (8, 6)) is x


@pytest.mark.parametrize('transposed', [False, True])
def test_resample_treats_each_axis_by_itself(transposed):
    """Finer along y and coarser along x, and the other way round."""
    x, size = torch.randn(2, 3, 8, 3), (2, 6)
    rows = x.reshape(2, 3, 2, 4, 3).mean(3)
    expected = F.interpolate(rows, size, mode='bilinear', align_corners=False)
    if transposed:
        x, size, expected = x.mT, size[::-1], expected.mT
    torch.testing.assert_close(resample(x, size), expected, rtol=0, atol=1e-6)


def test_frozen_biases():
    maps = StageMaps([4, 5, 6], 8, [0, 2], 2)
    maps.freeze_biases(1)
    frozen = [name for name, p in maps.named_parameters() if not p.requires_grad]
    assert frozen == ['projections.0.1.bias']
    StageMaps([8, 8], None, [0, 1], 1).freeze_biases(2)  # maps as they are: nothing to freeze
