"""Gathering of a clip's tokens by their indices.

Shapes: B clips, T frames, N tokens per frame, M chosen tokens per clip, D token width.
"""

from __future__ import annotations

from torch import Tensor


def gather_tokens(tokens: Tensor, indices: Tensor) -> Tensor:
    """The tokens (B, M, D) of clips (B, T, N, D) at ``indices`` (B, M), which are t * N + cell."""
    return tokens.flatten(1, 2).gather(1, indices[..., None].expand(-1, -1, tokens.shape[-1]))
