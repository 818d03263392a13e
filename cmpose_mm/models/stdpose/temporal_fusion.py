"""Temporal feature fusion (TFF) of STDPose: a transformer over the tokens of all frames.

Shapes: B clips, T frames, N = h * w cells of a frame, D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import TransformerLayer

MAX_DISTANCE = 8
"""Frames farther away than this share the embedding of that distance."""


class TemporalFeatureFusion(nn.Module):
    """The key frame's tokens after they have read all frames' tokens.

    *Paper* (a review): the frames' tokens plus a learnable position embedding go into a
    transformer. *Chosen*: an embedding for each cell and one for each signed distance in frames,
    both zero before training; `TransformerLayer`, which starts as the identity; attention over all
    T * N tokens. In the last layer only the key frame's tokens read, since only they are used.

    Args:
        embed_dims: D.
        grid: (h, w), cells of the map.
        num_layers: at least 1.
        num_heads: of the attention, divides D.
    """

    def __init__(self, embed_dims: int, grid: tuple[int, int], num_layers: int, num_heads: int):
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(grid[0] * grid[1], embed_dims))
        self.temporal_embed = nn.Parameter(torch.zeros(2 * MAX_DISTANCE + 1, embed_dims))
        self.layers = nn.ModuleList(
            TransformerLayer(embed_dims, num_heads) for _ in range(num_layers)
        )

    def forward(self, tokens: Tensor, offsets: Tensor, key_index: int) -> Tensor:
        """Refined tokens (B, N, D) of the key frame.

        Args:
            tokens: (B, T, N, D).
            offsets: (B, T) int64 signed distances from the key frame, in frames.
            key_index: its position.
        """
        distances = offsets.clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE
        x = tokens + self.pos_embed + self.temporal_embed[distances].unsqueeze(2)
        *layers, last = self.layers
        for layer in layers:
            # With unflatten the ONNX export would fix the number of clips.
            x = layer(x.flatten(1, 2)).reshape(-1, *tokens.shape[1:])
        return last(x[:, key_index], x.flatten(1, 2))
