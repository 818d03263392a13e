"""The feed-forward part of a transformer layer.

Shapes: D token width.
"""

from __future__ import annotations

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Pre-norm residual MLP on each token: x + W_2 GELU(W_1 norm(x)).

    W_2 starts at zero: the module starts as the identity (*chosen*).

    Args:
        embed_dims: D.
        hidden_dims: width between the two layers.

    Raises:
        ValueError: if ``hidden_dims`` is below 1.
    """

    def __init__(self, embed_dims: int, hidden_dims: int):
        super().__init__()
        if hidden_dims < 1:
            raise ValueError(f'FeedForward: hidden_dims is {hidden_dims}, expected at least 1')
        self.norm_mlp = nn.LayerNorm(embed_dims)
        self.mlp = nn.Sequential(
            nn.Linear(embed_dims, hidden_dims), nn.GELU(), nn.Linear(hidden_dims, embed_dims)
        )
        nn.init.xavier_uniform_(self.mlp[0].weight)
        for zeros in (self.mlp[0].bias, self.mlp[2].weight, self.mlp[2].bias):
            nn.init.zeros_(zeros)

    def forward(self, x: Tensor) -> Tensor:
        """Refines x (..., D)."""
        return x + self.mlp(self.norm_mlp(x))
