"""CM-Pose's multitask learning network: criss-cross spatio-temporal attention (eq. 4-7).

Shapes: B clips, T frames, N feature tokens per frame, K keypoint tokens, P = N + K slots per frame,
D token width, A attention width, M corrupted tokens per clip, h x w cells, N = h * w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.layers import (
    FeedForward,
    NeighborhoodAttention,
    SpatialAttention,
    TemporalAttention,
    check_counts,
    check_flags,
    gather_tokens,
    sine_cosine_position,
)

from .token_corruption import CorruptedTokens


@dataclass
class NeckOutput:
    """Refined tokens.

    Attributes:
        tokens: (B, T, N, D) feature tokens.
        keypoint_tokens: (B, T, K, D) keypoint tokens of every frame.
        restored: for each auxiliary task, its corrupted tokens (B, M, D), refined.
    """

    tokens: Tensor
    keypoint_tokens: Tensor
    restored: tuple[Tensor, ...] = ()


class ConcatFusion(nn.Module):
    """Concatenates two token sets along the channels and projects 2D -> D; starts as their mean."""

    def __init__(self, embed_dims: int):
        super().__init__()
        self.proj = nn.Linear(2 * embed_dims, embed_dims)
        with torch.no_grad():
            half = torch.eye(embed_dims) / 2
            self.proj.weight.copy_(torch.cat([half, half], dim=1))
            self.proj.bias.zero_()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.proj(torch.cat([a, b], dim=-1))


class WeightedSumFusion(nn.Module):
    """Weighted sum of two token sets, with weights for each token; starts as their mean.

    The two weights are the softmax of a linear function of the concatenated channels.
    """

    def __init__(self, embed_dims: int):
        super().__init__()
        self.gate = nn.Linear(2 * embed_dims, 2)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        weight_a, weight_b = self.gate(torch.cat([a, b], dim=-1)).softmax(-1).split(1, dim=-1)
        return weight_a * a + weight_b * b


FUSIONS = {'concat': ConcatFusion, 'weighted_sum': WeightedSumFusion}
TEMPORAL = {'slot': TemporalAttention, 'neighborhood': NeighborhoodAttention}
POSITIONS = (None, 'sine_cosine', 'learned')
FEED_FORWARDS = (None, 'separate', 'shared')


class CrissCrossBlock(nn.Module):
    """One block D_T(D_S(X)) (+) D_S(D_T(X)); see `CrissCrossSTNeck`."""

    def __init__(
        self,
        embed_dims: int,
        attention_dims: int,
        num_heads: int,
        shared_pathways: bool,
        fusion: str,
        temporal: str = 'slot',
        feed_forward: str | None = None,
        feed_forward_dims: int | None = None,
    ):
        super().__init__()
        widths = embed_dims, attention_dims, num_heads
        self.spatial = SpatialAttention(*widths)
        self.temporal = TEMPORAL[temporal](*widths)
        if not shared_pathways:
            self.spatial_second = SpatialAttention(*widths)
            self.temporal_second = TEMPORAL[temporal](*widths)
        self.shared_pathways = shared_pathways
        self.fusion = FUSIONS[fusion](embed_dims)
        self.in_neighborhood = temporal == 'neighborhood'
        owners = dict(separate=('spatial', 'temporal'), shared=('both',)).get(feed_forward, ())
        pathways = ('',) if shared_pathways else ('', '_second')
        self.feed_forward = nn.ModuleDict(
            {
                owner + pathway: FeedForward(embed_dims, feed_forward_dims or embed_dims)
                for pathway in pathways
                for owner in owners
            }
        )

    def forward(
        self, x: Tensor, position: Tensor | None = None, grid: tuple[int, int] | None = None
    ) -> Tensor:
        return self.fusion(*self.pathways(x, position, grid))

    def pathways(
        self, x: Tensor, position: Tensor | None = None, grid: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """D_T(D_S(X)) and D_S(D_T(X)), before their fusion.

        Args:
            x: (B, T, P, D).
            position: (P, D) for queries and keys of D_S.
            grid: (h, w), for a D_T that looks around.
        """
        place = (grid,) if self.in_neighborhood else ()
        first = self._module('spatial', '', x, position)
        second = '' if self.shared_pathways else '_second'
        return (
            self._module('temporal', '', first, *place),
            self._module('spatial', second, self._module('temporal', second, x, *place), position),
        )

    def _module(self, kind: str, pathway: str, x: Tensor, *arguments) -> Tensor:
        """D_S or D_T: attention, then the feed-forward layer if there is one."""
        x = getattr(self, kind + pathway)(x, *arguments)
        for owner in (kind + pathway, 'both' + pathway):
            if owner in self.feed_forward:
                x = self.feed_forward[owner](x)
        return x


class CrissCrossSTNeck(nn.Module):
    """Relates the tokens of a clip in space and time along two crossing pathways (eq. 4-7).

    ::

        feature tokens (B,T,N,D)      keypoint tokens (K,D), copied to every frame
                 \\__________ concatenate __________/
                                  |
              + temporal embedding (T,D)  =  X (B,T,N+K,D)
                                  |
           .------- num_blocks x -+----------.
           |     .----------------+----------------.
           |    D_S  N+K slots of a frame         D_T  T frames of a slot
           |     |                                 |
           |    D_T                               D_S
           |     '----- fusion: Linear 2D -> D ----'
           '----------------------+----------.
                                  |
             tokens (B,T,N,D), keypoint_tokens (B,T,K,D)

    Paper: the two pathways, the keypoint tokens, the shared D_S and D_T. Chosen, since the paper
    leaves it open: a learned embedding of each frame's place in the clip, keypoint tokens copied to
    every frame, pre-norm residual attention modules, 1 block, concatenation projected back to D,
    and an initialization that makes the neck *the identity*: the attention modules' output
    projections and the temporal embedding start at zero, and the fusion as the mean of the two
    pathways. So fine-tuning starts with the outputs of the single-frame model.

    All parameters receive gradients in every configuration.

    Args:
        embed_dims: D, width of the feature tokens.
        num_keypoints: K.
        num_frames: T.
        num_blocks: number of blocks, at least 1.
        num_heads: attention heads; divides ``attention_dims``.
        attention_dims: A, width of queries, keys and values, all heads together; None for
            ``embed_dims``. A block costs about 16 D A + 2 D^2 multiply-adds per token.
        shared_pathways: both pathways of a block use the same D_S and D_T.
        fusion: ``'concat'``, or ``'weighted_sum'`` for weights computed for each token.
        position: where a feature token is, for queries and keys of D_S (*chosen*; the paper names
            no position): None for nowhere, as in the paper's letter, so that the masked tokens of a
            frame are all alike to D_S; ``'sine_cosine'`` adds `sine_cosine_position`;
            ``'learned'`` a vector for each cell. Keypoint tokens have no position, values neither.
        grid: (h, w) of the feature maps; needed for ``position='learned'``, which fits no other.
        temporal: ``'slot'``: D_T as in the paper, along the T frames of a slot.
            ``'neighborhood'``: a variant *outside the paper*, `NeighborhoodAttention`: D_T looks at
            the 3x3 cells around each in all frames.
        feed_forward: MLPs behind the attention of D_S and D_T (*chosen*; the paper says "module"):
            None, ``'separate'`` for one each, ``'shared'`` for one that both use. See
            `FeedForward`. With separate pathways, each pathway has its own.
        feed_forward_dims: F, their hidden width; None for ``embed_dims``. In a block they cost
            8 D F multiply-adds per token.

    Raises:
        ValueError: if an argument is outside these ranges.
    """

    def __init__(
        self,
        embed_dims: int,
        num_keypoints: int = 15,
        num_frames: int = 3,
        num_blocks: int = 1,
        num_heads: int = 8,
        attention_dims: int | None = None,
        shared_pathways: bool = True,
        fusion: str = 'concat',
        position: str | None = None,
        grid: tuple[int, int] | None = None,
        temporal: str = 'slot',
        feed_forward: str | None = None,
        feed_forward_dims: int | None = None,
    ):
        super().__init__()
        if isinstance(num_blocks, Integral) and num_blocks < 1:
            raise ValueError(f'CrissCrossSTNeck: num_blocks is {num_blocks}, expected at least 1')
        for name, value, known in (
            ('fusion', fusion, sorted(FUSIONS)),
            ('position', position, [*POSITIONS]),
            ('temporal', temporal, sorted(TEMPORAL)),
            ('feed_forward', feed_forward, [*FEED_FORWARDS]),
        ):
            if value not in known:
                raise ValueError(f'CrissCrossSTNeck: {name} is {value!r}, expected one of {known}')
        check_flags('CrissCrossSTNeck', **{'neck.shared_pathways': shared_pathways})
        sizes = {'neck.embed_dims': embed_dims, 'neck.num_frames': num_frames}
        check_counts('CrissCrossSTNeck', **sizes)
        if grid is not None and position != 'learned':
            raise ValueError(
                f'CrissCrossSTNeck: grid is {grid!r} and position {position!r}, expected a grid '
                "with position='learned' alone"
            )
        if position == 'learned':
            is_pair = isinstance(grid, Sequence) and len(grid) == 2
            if not is_pair or not all(isinstance(n, int) and n > 0 for n in grid):
                raise ValueError(
                    f"CrissCrossSTNeck: position is 'learned' and grid is {grid!r}, expected the "
                    '(h, w) cells of the feature maps, such as (16, 12)'
                )
        if position == 'sine_cosine' and embed_dims % 4:
            raise ValueError(
                f"CrissCrossSTNeck: position is 'sine_cosine' and embed_dims {embed_dims}, "
                'expected a multiple of 4'
            )
        if feed_forward_dims is not None:
            check_counts('CrissCrossSTNeck', **{'neck.feed_forward_dims': feed_forward_dims})
            if feed_forward is None:
                raise ValueError(
                    f'CrissCrossSTNeck: feed_forward_dims is {feed_forward_dims}, but feed_forward '
                    f'is None; expected one of {[*FEED_FORWARDS[1:]]}'
                )
        numbers = dict(num_keypoints=num_keypoints, num_blocks=num_blocks, num_heads=num_heads,
                       attention_dims=attention_dims or embed_dims)  # fmt: skip
        check_counts('CrissCrossSTNeck', **{f'neck.{name}': n for name, n in numbers.items()})
        if numbers['attention_dims'] % num_heads:
            raise ValueError(
                f'CrissCrossSTNeck: model.method.neck: attention_dims {numbers["attention_dims"]} '
                f'is not a multiple of num_heads {num_heads}'
            )
        self.keypoint_tokens = nn.Parameter(torch.empty(num_keypoints, embed_dims))
        self.temporal_embed = nn.Parameter(torch.zeros(num_frames, embed_dims))
        self.blocks = nn.Sequential(
            *(
                CrissCrossBlock(
                    embed_dims,
                    attention_dims or embed_dims,
                    num_heads,
                    shared_pathways,
                    fusion,
                    temporal,
                    feed_forward,
                    feed_forward_dims,
                )
                for _ in range(num_blocks)
            )
        )
        nn.init.trunc_normal_(self.keypoint_tokens, std=0.02)
        self.position, self.temporal, self.feed_forward = position, temporal, feed_forward
        self.feed_forward_dims = feed_forward_dims or embed_dims
        self.grid = None if grid is None else tuple(grid)
        if position == 'learned':
            self.position_embed = nn.Parameter(torch.empty(self.grid[0] * self.grid[1], embed_dims))
            nn.init.trunc_normal_(self.position_embed, std=0.02)

    @property
    def reading(self) -> dict[str, str]:
        """Switches that differ from the paper's letter and change what the neck computes."""
        letter = dict(position=None, temporal='slot', feed_forward=None)
        found = {name: getattr(self, name) for name in letter}
        found = {name: value for name, value in found.items() if value != letter[name]}
        if self.grid:  # cells in another order fit as well
            found['grid'] = 'x'.join(map(str, self.grid))
        if self.feed_forward and self.feed_forward_dims != self.temporal_embed.shape[1]:
            found['feed_forward_dims'] = str(self.feed_forward_dims)
        return found

    def positions(self, grid: tuple[int, int], tokens: Tensor) -> Tensor | None:
        """(N + K, D) vectors for queries and keys of D_S, with the dtype of the tokens.

        Raises:
            ValueError: if learned positions are those of another grid.
        """
        if self.position is None:
            return None
        if self.position == 'learned':
            if tuple(grid) != self.grid:
                raise ValueError(
                    f'CrissCrossSTNeck: the feature maps have {grid[0]} x {grid[1]} cells, but '
                    f'position is learned for grid={self.grid}; expected the same'
                )
            position = self.position_embed
        else:
            position = sine_cosine_position(grid, tokens.shape[-1])
        return F.pad(
            position.to(tokens.dtype).to(tokens.device), (0, 0, 0, len(self.keypoint_tokens))
        )

    def forward(
        self,
        tokens: Tensor,
        corrupted: Sequence[CorruptedTokens] = (),
        grid: tuple[int, int] | None = None,
    ) -> NeckOutput:
        """Refines the tokens of B clips, and those of the auxiliary tasks in the same batch.

        The tasks need only their corrupted tokens. The last fusion works on each token alone, so it
        leaves out the other tokens of the tasks.

        Args:
            tokens: (B, T, N, D) feature tokens, cell (y, x) at y * w + x.
            corrupted: for each auxiliary task, the same clips' tokens after corruption.
            grid: (h, w) of the feature maps, needed if the neck knows places: with ``position`` or
                ``temporal='neighborhood'``.

        Raises:
            ValueError: if such a neck is not told the grid, or it has another number of cells.
        """
        if grid is None and (self.position is not None or self.temporal != 'slot'):
            raise ValueError(
                'CrissCrossSTNeck: position or temporal need to know where tokens are; expected '
                'grid, the (h, w) cells of the feature maps'
            )
        num_clips, num_frames, num_tokens, _ = tokens.shape
        if grid is not None and grid[0] * grid[1] != num_tokens:
            raise ValueError(
                f'CrissCrossSTNeck: grid is {tuple(grid)}, expected the (h, w) of {num_tokens} '
                'feature tokens'
            )
        num_keypoints = len(self.keypoint_tokens)
        if corrupted:
            tokens = torch.cat([tokens, *(task.tokens for task in corrupted)])
        keypoint_tokens = self.keypoint_tokens.expand(tokens.shape[0], num_frames, -1, -1)
        x = torch.cat([tokens, keypoint_tokens.to(tokens.dtype)], dim=2)
        x = x + self.temporal_embed[:, None]
        place = self.positions(grid, x), grid
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, *place)
        if not corrupted:
            return NeckOutput(*last(x, *place).split([num_tokens, num_keypoints], dim=2))

        slots = [task.indices + task.indices // num_tokens * num_keypoints for task in corrupted]
        clean, needed = [], []  # of each pathway (B, T, P, D) and (B, the tasks' M together, D)
        for path in last.pathways(x, *place):
            of_clean, *of_tasks = path.split(num_clips)
            clean.append(of_clean)
            needed.append(torch.cat([gather_tokens(*pair) for pair in zip(of_tasks, slots)], 1))
        refined = last.fusion(*clean).split([num_tokens, num_keypoints], dim=2)
        restored = last.fusion(*needed).split([task.shape[1] for task in slots], dim=1)
        return NeckOutput(*refined, restored)
