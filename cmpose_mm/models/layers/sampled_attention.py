"""Weighted sums of what several maps hold at points between their cells.

Shapes: B clips, I maps, Q queries, M heads, P points of a query in each map, C channels of a head,
h x w cells.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def sampled_attention(values: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """sum_i sum_p weights_mip values_im(points_mip) for each query and head.

    ``values`` is read by bilinear interpolation, with zeros outside of the map.

    Args:
        values: (B, I, M, C, h, w).
        points: (B, Q, M, I, P, 2), x and y in cells; 0 is the center of the first cell.
        weights: (B, Q, M, I, P).

    Returns:
        (B, Q, M * C).

    Source: deformable attention as in Zhu et al., "Deformable DETR", ICLR 2021, with maps of one
    size in place of levels.
    """
    num_maps, num_heads, channels, height, width = (int(size) for size in values.shape[1:])
    size = points.new_tensor([width, height])
    grid = (2 * points + 1) / size - 1
    # With unflatten the ONNX export would fix the number of clips.
    grid = grid.permute(0, 3, 2, 1, 4, 5).reshape(-1, *points.shape[1:2], *points.shape[4:])
    sampled = F.grid_sample(
        values.reshape(-1, channels, height, width),
        grid,
        mode='bilinear',
        padding_mode='zeros',
        align_corners=False,
    )  # (B I M, C, Q, P)
    sampled = sampled * weights.permute(0, 3, 2, 1, 4).flatten(0, 2).unsqueeze(1)
    out = sampled.sum(-1).reshape(-1, num_maps, num_heads * channels, points.shape[1])
    return out.sum(1).transpose(1, 2)
