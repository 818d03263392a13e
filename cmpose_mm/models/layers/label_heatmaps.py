"""Heatmaps of labeled poses, drawn on the device.

Shapes: K joints, W x H input pixels, W' x H' heatmap cells; any leading axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def draw_heatmaps(
    poses: Tensor, input_size: tuple[int, int], heatmap_size: tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    """A Gaussian of height 1 for each labeled joint, as MMPose's codec ``UDPHeatmap`` draws it.

    Within rounding the same, down to its edges: the Gaussian ends at 3 ``sigma``, and a joint so
    far out that nothing of it falls onto the map is not drawn. (Where 3 ``sigma`` is no whole
    number, the codec draws joints at the left and upper border a cell aside; so does this.)

    Args:
        poses: (..., K, 3) x, y in pixels of the input, and above 0 where labeled.
        input_size: (W, H).
        heatmap_size: (W', H').
        sigma: in cells.

    Returns:
        Heatmaps (..., K, H', W'), zeros where not drawn; and (..., K) bool, whether drawn.
    """
    drawn = poses[..., 2] > 0
    factors = []
    for axis, (pixels, cells) in enumerate(zip(input_size, heatmap_size)):
        center = poses[..., axis] * ((cells - 1) / (pixels - 1))
        nearest = (center + 0.5).trunc()
        left, right = (nearest - 3 * sigma).trunc(), (nearest + 3 * sigma + 1).trunc()
        drawn = drawn & (left < cells) & (right >= 0)
        columns = torch.arange(cells, device=poses.device, dtype=poses.dtype)
        places = columns - left[..., None]
        middle = math.floor((6 * sigma + 1) / 2) + center - nearest
        factor = (-((places - middle[..., None]) ** 2) / (2 * sigma**2)).exp()
        inside = (places >= 0) & (columns < right[..., None])
        factors.append(torch.where(inside, factor, 0))
    x, y = factors
    heatmaps = y[..., :, None] * x[..., None, :]
    return torch.where(drawn[..., None, None], heatmaps, 0), drawn
