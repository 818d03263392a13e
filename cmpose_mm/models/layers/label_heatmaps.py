"""Heatmaps of labeled poses, drawn on the device.

Shapes: K joints, H' x W' heatmap cells, input pixels as width and height, h x w cells of a feature
map, N = h * w, cell (y, x) at y * w + x.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_heatmaps(
    poses: Tensor,
    size: tuple[int, int],
    input_size: tuple[int, int],
    sigma: float,
    udp: bool = True,
) -> Tensor:
    """Gaussians of height 1 around joints, equal to the targets that MMPose's codecs draw.

    Args:
        poses: (..., K, 3) x, y in pixels of the input, and 1 where labeled, otherwise 0.
        size: (H', W') cells.
        input_size: (width, height) of the input in pixels.
        sigma: in cells.
        udp: as ``UDPHeatmap``, which cuts Gaussians off 3 sigma cells from the cell that the joint
            is in. (Where 3 sigma is no whole number, it draws those at the left and the upper
            border a cell too far, which is not repeated here.) Otherwise as
            ``MSRAHeatmap(unbiased=True)``, which does not cut them off.

    Returns:
        (..., K, H', W') float32 in [0, 1]; zeros where a joint is not labeled, or so far outside
        that the codec draws nothing.
    """
    poses = poses.float()
    radius = 3 * sigma
    factors = []
    for axis, (length, pixels) in enumerate(zip(size[::-1], input_size)):
        scale = (length - 1) / (pixels - 1) if udp else length / pixels
        center = poses[..., axis, None] * scale
        place = torch.arange(length, device=poses.device, dtype=poses.dtype)
        if udp:
            middle = (center + 0.5).trunc()
            drawn = (place >= (middle - radius).trunc()) & (place < (middle + radius + 1).trunc())
        else:
            drawn = (center - radius < length) & (center + radius + 1 >= 0)
        factors.append(torch.exp(-((place - center) ** 2) / (2 * sigma**2)) * drawn)
    x, y = factors
    return y[..., :, None] * x[..., None, :] * (poses[..., 2, None, None] > 0)


def inside_crop(heatmaps: Tensor) -> Tensor:
    """Whether a label heatmap shows its joint, not only the edge of its Gaussian.

    Where it stays below 0.5, the joint is outside of the crop (with sigma 2, by more than two
    cells). Its maximum, or the edge scaled to sum to 1, would say that it is at the border.

    Args:
        heatmaps: (B, K, H', W') label heatmaps with peaks of 1.

    Returns:
        (B, K) bool.
    """
    return heatmaps.amax((2, 3)) >= 0.5


def heat_of_cells(heatmaps: Tensor, grid: tuple[int, int]) -> Tensor:
    """The share of a heatmap's heat in each cell of a feature map.

    Args:
        heatmaps: (B, K, H', W'), not negative.
        grid: (h, w).

    Returns:
        (B, K, N) float32, means over the cells' parts of the heatmap, which sum to 1; zeros for a
        heatmap without heat.
    """
    heat = F.adaptive_avg_pool2d(heatmaps.float(), grid).flatten(2)
    return heat / heat.sum(2, keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)
