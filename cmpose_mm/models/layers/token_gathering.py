"""Gathering of a clip's tokens by their indices, and their return.

Shapes: B clips, T frames, N tokens per frame, M chosen tokens per clip, D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .token_clustering import restore_tokens


def gather_tokens(tokens: Tensor, indices: Tensor) -> Tensor:
    """The tokens (B, M, D) of clips (B, T, N, D) at ``indices`` (B, M), which are t * N + cell."""
    return tokens.flatten(1, 2).gather(1, indices[..., None].expand(-1, -1, tokens.shape[-1]))


def put_tokens(tokens: Tensor, chosen: Tensor, indices: Tensor) -> Tensor:
    """Tokens of a frame with some of them replaced, the inverse of `gather_tokens`.

    Args:
        tokens: (B, N, D).
        chosen: (B, M, D), what replaces them.
        indices: (B, M) int64, the place of each, all different within a clip.

    Returns:
        (B, N, D) with the dtype of ``tokens``.
    """
    numbers = torch.arange(indices.shape[1], device=indices.device).expand_as(indices)
    nowhere = torch.full_like(tokens[..., 0], -1, dtype=torch.int64)
    return restore_tokens(tokens, chosen, nowhere.scatter(1, indices, numbers))
