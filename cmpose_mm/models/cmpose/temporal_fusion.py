"""Fusion of a clip's tokens into those of the key frame.

Shapes: B clips, T frames, N tokens per frame, D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConcatTemporalFusion(nn.Module):
    """Concatenates the T tokens of a cell along the channels and projects T * D -> D.

    The paper names a temporal fusion layer but does not describe it; this one is chosen here. It
    starts as the identity on the key frame.

    Args:
        embed_dims: D.
        num_frames: T.
        key_index: position of the key frame in the clip.
    """

    def __init__(self, embed_dims: int, num_frames: int, key_index: int):
        super().__init__()
        self.proj = nn.Linear(num_frames * embed_dims, embed_dims)
        with torch.no_grad():
            self.proj.weight.zero_()
            key_weight = self.proj.weight.unflatten(1, (num_frames, embed_dims))[:, key_index]
            key_weight.copy_(torch.eye(embed_dims))
            self.proj.bias.zero_()

    def forward(self, tokens: Tensor) -> Tensor:
        """Fuses (B, T, N, D) into (B, N, D)."""
        return self.proj(tokens.transpose(1, 2).flatten(2))


class WeightedSumTemporalFusion(nn.Module):
    """Sum over the frames with one learned weight per frame; starts as the key frame alone.

    The arguments are those of `ConcatTemporalFusion`.
    """

    def __init__(self, embed_dims: int, num_frames: int, key_index: int):
        super().__init__()
        weights = torch.zeros(num_frames)
        weights[key_index] = 1
        self.weights = nn.Parameter(weights)

    def forward(self, tokens: Tensor) -> Tensor:
        """Fuses (B, T, N, D) into (B, N, D)."""
        return (self.weights[:, None, None] * tokens).sum(1)


TEMPORAL_FUSIONS = {'concat': ConcatTemporalFusion, 'weighted_sum': WeightedSumTemporalFusion}
