"""Deformable cross attention that stays at a person's body.

Shapes: B clips, I frames that are read, Q queries, D token width, M heads, P points of a query in
each frame, h x w cells, N = h * w. Positions are x and y in cells; 0 is the center of the first
cell, which has the index y * w + x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import sampled_attention

REFERENCES = ('query', 'body')


@dataclass
class BodyBox:
    """The box of a person's cells, by the centers of its outermost cells.

    Attributes:
        low, high: (B, 2) x and y of its corners.
    """

    low: Tensor
    high: Tensor

    @property
    def center(self) -> Tensor:
        """(B, 2)."""
        return (self.low + self.high) / 2

    @property
    def reach(self) -> Tensor:
        """b (B, 2), half the width and height in cells; at least 1/2, as a cell is 1 wide."""
        return (self.high - self.low + 1) / 2

    def clamp(self, points: Tensor) -> Tensor:
        """Points (B, ..., 2), moved into the box plus one cell on each side."""
        shape = -1, *[1] * (points.ndim - 2), 2
        low, high = (self.low - 1).reshape(shape), (self.high + 1).reshape(shape)
        return torch.minimum(torch.maximum(points, low), high)


def cell_positions(cells: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Centers (B, Q, 2) of cells (B, Q), given by their indices."""
    rows = cells // width
    return torch.stack([cells - rows * width, rows], dim=-1).to(dtype)


def body_box(positions: Tensor) -> BodyBox:
    """The box of cells with centers (B, Q, 2)."""
    return BodyBox(positions.amin(dim=1), positions.amax(dim=1))


def ring_points(num_heads: int, num_points: int) -> Tensor:
    """(M, P, 2): a direction for each head, on the edge of a square, at distances 1, ..., P.

    As the offsets of Deformable DETR start.
    """
    angles = torch.arange(num_heads) * (2 * math.pi / num_heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    directions = directions / directions.abs().amax(dim=-1, keepdim=True)
    return directions[:, None] * torch.arange(1, num_points + 1)[:, None]


class BodyAttention(nn.Module):
    """What cells of the key frame's body read around them in other frames.

    ::

        Y_q = sum_m W_m sum_i sum_p a_mip W'_m F_i(x_mip)
        reference='query':  x_mip = p_q + b tanh(Delta_mip)
        reference='body':   x_mip = c + b Delta_mip / P

    for the query q at the cell p_q; c and b are the center and half the size of the body's box,
    Delta and a linear in q, a a softmax over (i, p), F_i bilinear and zero outside of the map. The
    points are clamped to the box plus one cell.

    *Paper* (its abstract): deformable cross attention, confined to regions centered on the target's
    body. *Chosen*: all of the above; the second form is that of boxes in Deformable DETR.
    Before training, a is uniform and the points lie on its rings, which end in the first form at
    P / (P + 1) b (further out, tanh has hardly a gradient) and in the second at b; W_m is zero, and
    so is Y. Positions and sums are computed in float32 (or float64, if that is given), even under
    autocast.

    Args:
        embed_dims: D.
        num_frames: I.
        num_heads: M, divides D.
        num_points: P.
        reference: one of `REFERENCES`, see above.
    """

    def __init__(
        self,
        embed_dims: int,
        num_frames: int,
        num_heads: int = 8,
        num_points: int = 4,
        reference: str = 'query',
    ):
        super().__init__()
        self.shape = num_heads, num_frames, num_points
        self.reference = reference
        count = num_heads * num_frames * num_points
        self.offsets = nn.Linear(embed_dims, 2 * count)
        self.weights = nn.Linear(embed_dims, count)
        self.value = nn.Linear(embed_dims, embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        for linear in (self.offsets, self.weights, self.proj):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.xavier_uniform_(self.value.weight)
        nn.init.zeros_(self.value.bias)
        rings = ring_points(num_heads, num_points)
        if reference == 'query':
            rings = (rings / (num_points + 1)).atanh()
        with torch.no_grad():
            self.offsets.bias.copy_(rings[:, None].expand(-1, num_frames, -1, -1).flatten())

    def forward(
        self, queries: Tensor, positions: Tensor, box: BodyBox, maps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reads the frames.

        Args:
            queries: (B, Q, D).
            positions: (B, Q, 2) of the queries.
            box: of the body.
            maps: (B, I, D, h, w).

        Returns:
            Y (B, Q, D); the points (B, Q, M, I, P, 2); and their weights a (B, Q, M, I, P).
        """
        height, width = maps.shape[-2:]
        num_heads, num_frames, num_points = self.shape
        # With unflatten the ONNX export would fix the number of clips.
        shape = -1, queries.shape[1], num_heads, num_frames, num_points
        values = self.value(maps.flatten(3).transpose(2, 3))  # (B, I, N, D)
        offsets, logits = self.offsets(queries), self.weights(queries)
        with torch.autocast(queries.device.type, enabled=False):
            offsets, logits, values = (
                tensor if tensor.dtype == torch.float64 else tensor.float()
                for tensor in (offsets, logits, values)
            )
            points = self.points(offsets.reshape(*shape, 2), positions, box)
            weights = logits.reshape(shape).flatten(3).softmax(dim=-1).reshape(shape)
            values = values.transpose(2, 3).reshape(
                -1, num_frames, num_heads, values.shape[3] // num_heads, height, width
            )
            out = sampled_attention(values, points, weights)
        return self.proj(out.to(self.proj.weight.dtype)), points, weights

    def points(self, offsets: Tensor, positions: Tensor, box: BodyBox) -> Tensor:
        """Points (B, Q, M, I, P, 2) of offsets Delta of that shape; the rest as in `forward`."""
        reach = box.reach[:, None, None, None, None]
        if self.reference == 'query':
            points = positions[:, :, None, None, None] + reach * offsets.tanh()
        else:
            points = box.center[:, None, None, None, None] + reach * offsets / self.shape[2]
        return box.clamp(points)


def weights_by_cell(points: Tensor, weights: Tensor, grid: tuple[int, int]) -> Tensor:
    """How much weight falls on each cell, (B, N); points outside of the map do not count.

    Args:
        points: (B, Q, M, I, P, 2); each counts at its nearest cell.
        weights: (B, Q, M, I, P).
        grid: (h, w).
    """
    height, width = grid
    points, weights = points.detach().flatten(1, 4), weights.detach().flatten(1)
    x, y = points.round().to(torch.int64).unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    cells = torch.where(inside, y * width + x, 0)
    total = torch.zeros_like(weights[:, :1]).expand(-1, height * width)
    return total.scatter_add(1, cells, torch.where(inside, weights, 0))
