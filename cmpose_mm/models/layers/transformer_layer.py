"""A layer of a transformer, in which some tokens may read from others.

Shapes: B clips, Q tokens that are refined, P tokens that are read, D token width, h heads.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import check_heads
from .feed_forward import FeedForward


class TransformerLayer(FeedForward):
    """Pre-norm residual multi-head attention, then the pre-norm residual MLP that it inherits.

    ::

        x = x + W_o attention(norm(x), norm(context))
        x = x + W_2 GELU(W_1 norm'(x))

    The last projections of both parts start at zero: the layer starts as the identity (*chosen*).

    Args:
        embed_dims: D.
        num_heads: h, divides D.

    Raises:
        ValueError: if h does not divide D.
    """

    def __init__(self, embed_dims: int, num_heads: int = 8):
        check_heads('TransformerLayer', num_heads, embed_dims)
        super().__init__(embed_dims, 4 * embed_dims)
        self.num_heads = num_heads
        self.norm_attention = nn.LayerNorm(embed_dims)
        self.query = nn.Linear(embed_dims, embed_dims)
        self.key_value = nn.Linear(embed_dims, 2 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        for linear in (self.query, self.key_value):
            nn.init.xavier_uniform_(linear.weight)
        for zeros in (self.query.bias, self.key_value.bias, self.proj.weight, self.proj.bias):
            nn.init.zeros_(zeros)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Refines x (B, Q, D) by what it reads in ``context`` (B, P, D); None for x itself."""
        x = x + self.proj(self.attend(x, x if context is None else context))
        return super().forward(x)

    def attend(self, x: Tensor, context: Tensor) -> Tensor:
        """What each token of x reads, (B, Q, D); arguments as in `forward`."""

        def heads(tensor: Tensor) -> Tensor:  # (B, h, tokens, D / h)
            # With unflatten the ONNX export would fix the number of clips.
            shape = tensor.shape[1], self.num_heads, tensor.shape[2] // self.num_heads
            return tensor.reshape(-1, *shape).transpose(1, 2)

        queries = self.query(self.norm_attention(x))
        keys, values = self.key_value(self.norm_attention(context)).chunk(2, dim=-1)
        out = F.scaled_dot_product_attention(*map(heads, (queries, keys, values)))
        return out.transpose(1, 2).flatten(2)
