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
        self.norm = nn.LayerNorm(embed_dims)
        self.hidden = nn.Linear(embed_dims, hidden_dims)
        self.gelu = nn.GELU()
        self.proj = nn.Linear(hidden_dims, embed_dims)
        nn.init.xavier_uniform_(self.hidden.weight)
        for zeros in (self.hidden.bias, self.proj.weight, self.proj.bias):
            nn.init.zeros_(zeros)

    def forward(self, x: Tensor) -> Tensor:
        """Refines x (..., D)."""
        return x + self.proj(self.gelu(self.hidden(self.norm(x))))
