"""Combination of what a method found in a clip with the key frame's features.

Shapes: B clips, D feature channels, h x w feature cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .residual_chain import ResidualChain


class KeyAggregation(nn.Module):
    """F + P(ResidualChain_3([parts])), the head's input.

    P is a 1x1 convolution that starts at zero, so before training the result is F, and the model is
    its single-frame model (*chosen*). With ``residual=False`` it is ResidualChain_3([parts]) with D
    channels, which starts at random (*code* of TDMI).

    Args:
        key_channels: D.
        in_channels: channels of all parts together.
        channels: width of the chain.
        residual: see above.
    """

    def __init__(self, key_channels: int, in_channels: int, channels: int, residual: bool = True):
        super().__init__()
        self.residual = residual
        self.chain = ResidualChain(in_channels, channels if residual else key_channels, 3)
        if residual:
            self.proj = nn.Conv2d(channels, key_channels, 1)
            nn.init.zeros_(self.proj.weight)
            nn.init.zeros_(self.proj.bias)

    def forward(self, key: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """Combines the maps.

        Args:
            key: (B, D, h, w) features F of the key frame.
            parts: maps (B, C_i, h, w).

        Returns:
            (B, D, h, w).
        """
        out = self.chain(torch.cat(list(parts), dim=1))
        return key + self.proj(out) if self.residual else out
