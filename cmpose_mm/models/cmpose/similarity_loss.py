"""Supervision of S in eq. 8 by the labels, which the paper does not have.

Shapes: B clips, K joints, N = h * w cells, H' x W' heatmap cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cmpose_mm.models.layers import (
    heat_of_cells,
    inside_crop,
    num_processes,
    sum_over_processes,
)


def similarity_loss(
    log_similarity: Tensor, heatmaps: Tensor, weights: Tensor, grid: tuple[int, int]
) -> Tensor:
    """Mean cross-entropy of S_k against the place of joint k, over the labeled joints.

    *Chosen*, outside the paper's letter: there, Q and K learn only through the weights of the
    merging, so that nothing tells a keypoint token which joint it is. The target is the joint's
    label heatmap, pooled to the cells and scaled to sum to 1 (`heat_of_cells`).

    The mean is over the labeled joints of all processes, so that N processes compute the gradients
    of one with an N times larger batch. Without any labeled joint the loss is 0, and its gradient
    with respect to S is 0, not missing.

    Args:
        log_similarity: (B, K, N) log of S.
        heatmaps: (B, K, H', W') label heatmaps, not negative, with peaks of 1.
        weights: (B, K), 0 for joints without a label, between 0 and 1 for doubtful ones. Joints
            outside of the crop have no weight, see `inside_crop`.
        grid: (h, w).

    Returns:
        Scalar, in nats.
    """
    targets = heat_of_cells(heatmaps, grid)
    weights = weights.to(targets.dtype) * inside_crop(heatmaps)
    total = (weights * -(targets * log_similarity).sum(2)).sum()
    count = sum_over_processes(weights.sum().detach())
    # Not clamped to a tiny number: with a gradient scaled for half precision, 0 / tiny becomes NaN.
    return num_processes() * total / torch.where(count > 0, count, torch.ones_like(count))
