"""CM-Pose's multitask learning network: criss-cross spatio-temporal attention (eq. 4-7).

Shapes: B clips, T frames, N feature tokens per frame, K keypoint tokens, P = N + K slots per frame,
D token width, A attention width, M corrupted tokens per clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import SpatialAttention, TemporalAttention, gather_tokens

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


class CrissCrossBlock(nn.Module):
    """One block D_T(D_S(X)) (+) D_S(D_T(X)); see `CrissCrossSTNeck`."""

    def __init__(
        self,
        embed_dims: int,
        attention_dims: int,
        num_heads: int,
        shared_pathways: bool,
        fusion: str,
    ):
        super().__init__()
        widths = embed_dims, attention_dims, num_heads
        self.spatial = SpatialAttention(*widths)
        self.temporal = TemporalAttention(*widths)
        if not shared_pathways:
            self.spatial_second = SpatialAttention(*widths)
            self.temporal_second = TemporalAttention(*widths)
        self.shared_pathways = shared_pathways
        self.fusion = FUSIONS[fusion](embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        return self.fusion(*self.pathways(x))

    def pathways(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D_T(D_S(X)) and D_S(D_T(X)), before their fusion."""
        if self.shared_pathways:
            spatial_second, temporal_second = self.spatial, self.temporal
        else:
            spatial_second, temporal_second = self.spatial_second, self.temporal_second
        return self.temporal(self.spatial(x)), spatial_second(temporal_second(x))


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
    leaves it open: pre-norm residual attention modules, 1 block, concatenation projected back to D,
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
    ):
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f'CrissCrossSTNeck: num_blocks is {num_blocks}, expected at least 1')
        if fusion not in FUSIONS:
            raise ValueError(
                f'CrissCrossSTNeck: fusion is {fusion!r}, expected one of {sorted(FUSIONS)}'
            )
        self.keypoint_tokens = nn.Parameter(torch.empty(num_keypoints, embed_dims))
        self.temporal_embed = nn.Parameter(torch.zeros(num_frames, embed_dims))
        self.blocks = nn.Sequential(
            *(
                CrissCrossBlock(
                    embed_dims, attention_dims or embed_dims, num_heads, shared_pathways, fusion
                )
                for _ in range(num_blocks)
            )
        )
        nn.init.trunc_normal_(self.keypoint_tokens, std=0.02)

    def forward(self, tokens: Tensor, corrupted: Sequence[CorruptedTokens] = ()) -> NeckOutput:
        """Refines the tokens of B clips, and those of the auxiliary tasks in the same batch.

        The tasks need only their corrupted tokens. The last fusion works on each token alone, so it
        leaves out the other tokens of the tasks.

        Args:
            tokens: (B, T, N, D) feature tokens, cell (y, x) at y * w + x.
            corrupted: for each auxiliary task, the same clips' tokens after corruption.
        """
        num_clips, num_frames, num_tokens, _ = tokens.shape
        num_keypoints = len(self.keypoint_tokens)
        if corrupted:
            tokens = torch.cat([tokens, *(task.tokens for task in corrupted)])
        keypoint_tokens = self.keypoint_tokens.expand(tokens.shape[0], num_frames, -1, -1)
        x = torch.cat([tokens, keypoint_tokens.to(tokens.dtype)], dim=2)
        x = x + self.temporal_embed[:, None]
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        if not corrupted:
            return NeckOutput(*last(x).split([num_tokens, num_keypoints], dim=2))

        slots = [task.indices + task.indices // num_tokens * num_keypoints for task in corrupted]
        clean, needed = [], []  # of each pathway (B, T, P, D) and (B, the tasks' M together, D)
        for path in last.pathways(x):
            of_clean, *of_tasks = path.split(num_clips)
            clean.append(of_clean)
            needed.append(torch.cat([gather_tokens(*pair) for pair in zip(of_tasks, slots)], 1))
        refined = last.fusion(*clean).split([num_tokens, num_keypoints], dim=2)
        restored = last.fusion(*needed).split([task.shape[1] for task in slots], dim=1)
        return NeckOutput(*refined, restored)
