"""Self-attention along one axis of a clip's tokens.

Shapes: B clips, T frames, P slots per frame, D token width, A attention width, h heads.
"""

from __future__ import annotations

import torch
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

    def forward(self, x: Tensor, position: Tensor | None = None) -> Tensor:
        """Refines x (B, T, P, D).

        Args:
            x: tokens.
            position: (P, D), added to the normalized tokens of which queries and keys are made, not
                to those of the values.
        """
        return x + self.proj(self.attend(*self.heads(x, position)).flatten(3))

    def heads(self, x: Tensor, position: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, T, P, h, A / h); arguments as in `forward`."""
        # Here and below: with unflatten the ONNX export would fix the number of clips.
        qkv = self.qkv(self.norm(x))
        if position is not None:
            # W (x + p) is computed as W x + W p, once for all frames.
            shift = F.linear(position, self.qkv.weight[: 2 * self.proj.in_features])
            qkv = qkv + F.pad(shift, (0, self.proj.in_features))
        qkv = qkv.reshape(-1, *x.shape[1:3], 3, self.num_heads, self.head_dims)
        return qkv.unbind(3)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What every slot reads, (B, T, P, h, A / h), from what `heads` gives."""
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


class NeighborhoodAttention(_ResidualAttention):
    """D_T of another kind: every cell attends to the 3x3 cells around it in all T frames.

    Outside the paper, whose D_T follows each slot along the frames and so sees what moves from one
    cell to the next only after D_S. At the border there are fewer cells. Slots beyond the h * w
    cells (keypoint tokens) attend to themselves, as in `TemporalAttention`. The parameters are
    those of `TemporalAttention`.
    """

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Refines x (B, T, P, D), whose first h * w slots are cell (y, x) at y * w + x.

        Args:
            x: tokens.
            grid: (h, w).
        """
        cells, exists = (part.to(x.device) for part in neighborhood(grid, x.shape[2]))
        queries, keys, values = self.heads(x)
        queries = (queries * self.head_dims**-0.5).unsqueeze(2)
        logits = [  # of each place of the neighborhood (B, T, T, P, h)
            (queries * keys.index_select(2, at).unsqueeze(1))
            .sum(-1)
            .masked_fill(~there.unsqueeze(1), -torch.inf)
            for at, there in zip(cells, exists)
        ]
        weights = torch.cat(logits, 2).softmax(dim=2).to(values.dtype).chunk(len(cells), 2)
        out = sum(
            (weight.unsqueeze(-1) * values.index_select(2, at).unsqueeze(1)).sum(2)
            for weight, at in zip(weights, cells)
        )
        return x + self.proj(out.flatten(3))


def neighborhood(grid: tuple[int, int], num_slots: int) -> tuple[Tensor, Tensor]:
    """The 3x3 cells around each cell, row by row.

    Args:
        grid: (h, w).
        num_slots: P; slots beyond the h * w cells have only themselves, in the middle.

    Returns:
        (9, P) int64 slots, the slot itself where there is no cell; (9, P) bool, whether there is.
    """
    height, width = grid
    slots = torch.arange(num_slots)
    is_cell = slots < height * width
    y, x = slots // width, slots % width
    cells, exists = [], []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            there = is_cell & (y + down >= 0) & (y + down < height)
            there = there & (x + right >= 0) & (x + right < width)
            if down == right == 0:
                there = torch.ones_like(is_cell)
            cells.append(torch.where(there, slots + down * width + right, slots))
            exists.append(there)
    return torch.stack(cells), torch.stack(exists)
