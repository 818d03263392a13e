"""How well each cell of a frame fits each joint.

Shapes: B clips, K joints, N tokens (cells of a frame), D token width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def keypoint_similarity(
    tokens: Tensor,
    keypoint_tokens: Tensor,
    query: nn.Linear,
    key: nn.Linear,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Log of softmax(Q K^T / sqrt D), Q from the joints' tokens and K from those of the cells.

    One head. Turn autocast off around it, so that it is computed in ``dtype``.

    Args:
        tokens: (B, N, D).
        keypoint_tokens: (B, K, D), or (K, D) for the same in all clips.
        query: D -> D, on the joints' tokens.
        key: D -> D on the cells' tokens, without a bias, which would cancel in the softmax.
        dtype: of the products with the cells, and of the softmax. Queries have that of the weights.

    Returns:
        (B, K, N) in ``dtype``; its exponential sums to one over the cells.
    """
    # q (W f) is computed as (q W) f, so that K instead of N tokens are multiplied by W.
    queries = query(keypoint_tokens.to(query.weight.dtype)) @ key.weight
    logits = queries.to(dtype) @ tokens.to(dtype).transpose(1, 2)
    return (logits * tokens.shape[2] ** -0.5).log_softmax(dim=2)
