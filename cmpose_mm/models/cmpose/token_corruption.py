"""Corruption of feature tokens for the auxiliary tasks (eq. 1 of CM-Pose).

Which tokens of a clip are corrupted, and with which noise, depends only on the clip's seed (see
`cmpose_mm.models.layers.stateless_random`), not on the other clips of the batch, the process or the
device.

Shapes: B clips, T frames, N tokens per frame, D token width, M corrupted tokens per clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmpose_mm.models.layers import hash_rows, standard_normals

_MASK_STREAM, _NOISE_STREAM, _NOISE_VALUE_STREAM = range(3)


@dataclass
class CorruptedTokens:
    """Tokens, some of them corrupted.

    Attributes:
        tokens: (B, T, N, D) all tokens, corrupted or not.
        indices: (B, M) int64 indices t * N + cell of the corrupted tokens, those that eq. 1 flags
            with 0.
    """

    tokens: Tensor
    indices: Tensor


def choose_tokens(seeds: Tensor, stream: int, num_tokens: int, ratio: float) -> Tensor:
    """Random token indices without repetition, ``round(ratio * num_tokens)`` per clip.

    With a ratio above 0 it is at least one.

    Args:
        seeds: (B,) int64 seeds of the clips.
        stream: number of the purpose; different streams choose independently.
        num_tokens: tokens to choose from.
        ratio: share of them to choose, in [0, 1].

    Returns:
        (B, M) int64 indices in [0, num_tokens): those with the smallest hashes, which all differ.
    """
    hashes = hash_rows(seeds, stream, torch.arange(num_tokens, device=seeds.device))
    count = max(round(ratio * num_tokens), int(ratio > 0))
    return hashes.topk(count, largest=False).indices


def mask_tokens(tokens: Tensor, seeds: Tensor, ratio: float) -> CorruptedTokens:
    """Sets a random share of each clip's tokens to zero.

    Args:
        tokens: (B, T, N, D).
        seeds: (B,) int64 seeds of the clips.
        ratio: share of the T * N tokens to mask, p_tm of the paper.
    """
    flat = tokens.flatten(1, 2)
    indices = choose_tokens(seeds, _MASK_STREAM, flat.shape[1], ratio)
    masked = flat.scatter(1, indices[..., None].expand(-1, -1, flat.shape[2]), 0)
    return CorruptedTokens(masked.view_as(tokens), indices)


def noise_tokens(
    tokens: Tensor, seeds: Tensor, ratio: float, relative_std: float
) -> CorruptedTokens:
    """Adds Gaussian noise to a random share of each clip's tokens.

    The paper does not give the size of the noise. Chosen: ``relative_std`` times the standard
    deviation of *the clip's* tokens. With that of the batch, a clip's noise, and so the gradients,
    would depend on how the clips are split over processes.

    Args:
        tokens: (B, T, N, D).
        seeds: (B,) int64 seeds of the clips.
        ratio: share of the T * N tokens to add noise to, p_tn of the paper.
        relative_std: standard deviation of the noise, relative to that of the clip's tokens.
    """
    flat = tokens.flatten(1, 2)
    indices = choose_tokens(seeds, _NOISE_STREAM, flat.shape[1], ratio)
    # The noise is a constant: no gradient flows through its size.
    std = relative_std * flat.detach().float().std(dim=(1, 2), keepdim=True)
    noise = std * standard_normals(seeds, _NOISE_VALUE_STREAM, indices, flat.shape[2])
    index = indices[..., None].expand_as(noise)
    noised = flat.scatter_add(1, index, noise.to(flat.dtype))
    return CorruptedTokens(noised.view_as(tokens), indices)
