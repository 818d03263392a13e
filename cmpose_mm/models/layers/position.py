"""Positions of a grid's cells as vectors.

Shapes: h x w cells, N = h * w, cell (y, x) at y * w + x, D token width.
"""

from __future__ import annotations

import numpy as np
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
    # In NumPy: a constant of an exported graph, where not every runtime has a cosine of doubles.
    sides, dims = [int(side) for side in grid], int(embed_dims)  # tensors while they are traced
    frequencies = 10000.0 ** (-4 * np.arange(dims // 4) / dims)
    y, x = np.indices(sides)[..., None] * frequencies
    parts = [np.sin(y), np.cos(y), np.sin(x), np.cos(x)]
    return torch.from_numpy(2**0.5 * np.concatenate(parts, axis=2).reshape(-1, dims))
