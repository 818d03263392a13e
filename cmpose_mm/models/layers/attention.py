"""Self-attention along one axis of a clip's tokens.

Shapes: B clips, T frames, P slots per frame, D token width, A attention width, h heads.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _ResidualAttention(nn.Module):
    """Pre-norm residual multi-head self-attention over (B, T, P, D); subclasses choose the axis.

    The output projection starts at zero: the module starts as the identity (chosen).

    Args:
        embed_dims: D.
        attention_dims: A, width of queries, keys and values, all heads together.
        num_heads: h, divides A.

    Raises:
        ValueError: if h does not divide A.
    """

    def __init__(self, embed_dims: int, attention_dims: int, num_heads: int):
        super().__init__()
        if attention_dims % num_heads:
            raise ValueError(
                f'attention_dims {attention_dims} is not a multiple of num_heads {num_heads}'
            )
        self.num_heads = num_heads
        self.head_dims = attention_dims // num_heads
        self.norm = nn.LayerNorm(embed_dims)
        self.qkv = nn.Linear(embed_dims, 3 * attention_dims)
        self.proj = nn.Linear(attention_dims, embed_dims)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        # Here and below: with unflatten the ONNX export would fix the number of clips.
        qkv = self.qkv(self.norm(x))
        qkv = qkv.reshape(-1, *x.shape[1:3], 3, self.num_heads, self.head_dims)
        queries, keys, values = qkv.unbind(3)  # each (B, T, P, h, A / h)
        return x + self.proj(self.attend(queries, keys, values).flatten(3))

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        raise NotImplementedError


class SpatialAttention(_ResidualAttention):
    """D_S: every slot attends to the P slots of its own frame."""

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        # Four axes: no fused kernel accepts five, neither on the CPU nor on CUDA.
        num_frames = queries.shape[1]
        queries, keys, values = (x.flatten(0, 1).transpose(1, 2) for x in (queries, keys, values))
        out = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2)
        return out.reshape(-1, num_frames, *out.shape[1:])


class TemporalAttention(_ResidualAttention):
    """D_T: every slot attends to the same slot of the T frames."""

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        # Written out: with a sequence of three, the fused kernel is several times slower.
        queries = queries * queries.shape[-1] ** -0.5
        logits = (queries.unsqueeze(2) * keys.unsqueeze(1)).sum(-1)  # (B, T, T, P, h)
        weights = logits.softmax(dim=2).to(values.dtype)
        return (weights.unsqueeze(-1) * values.unsqueeze(1)).sum(2)
