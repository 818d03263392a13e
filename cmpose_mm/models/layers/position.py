"""Positions of a grid's cells as vectors.

Shapes: h x w cells, N = h * w, cell (y, x) at y * w + x, D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sine_cosine_position(grid: tuple[int, int], embed_dims: int) -> Tensor:
    """Sines and cosines of the cells' positions at D / 4 wavelengths.

    Channels: sin(y), cos(y), sin(x), cos(x), D / 4 each, at the frequencies 10000^(-4 i / D), times
    the square root of 2, so that the mean square of a vector is 1.

    Args:
        grid: (h, w).
        embed_dims: D, a multiple of 4.

    Returns:
        (N, D) float64.

    Raises:
        ValueError: if D is no multiple of 4.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, for two axes as in MAE.
    """
    if embed_dims % 4:
        raise ValueError(
            f'sine-cosine positions need a width that is a multiple of 4, found {embed_dims}'
        )
    height, width = grid
    steps = torch.arange(embed_dims // 4, dtype=torch.float64)
    frequencies = 10000.0 ** (-4 * steps / embed_dims)
    # Of y (h, 1, D / 4), of x (1, w, D / 4), both spread over the grid.
    of_y = (torch.arange(height)[:, None, None] * frequencies).expand(-1, width, -1)
    of_x = (torch.arange(width)[None, :, None] * frequencies).expand(height, -1, -1)
    parts = [of_y.sin(), of_y.cos(), of_x.sin(), of_x.cos()]
    return (2**0.5 * torch.cat(parts, dim=2)).flatten(0, 1)
