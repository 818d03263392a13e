"""Losses that teach HKM's masks where a person is. Not in the paper, and off by default.

Shapes: B clips, K joints, h x w cells of the map, N = h * w, H' x W' cells of a heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cmpose_mm.models.layers import resample

LARGEST = 0.999
"""The most certain cell counts as this certain, so that it can be wrong at a finite price."""


def limb_cells(
    targets: Tensor, target_weights: Tensor, grid: tuple[int, int], limbs: Sequence[Sequence[int]]
) -> Tensor:
    """Which cells have their center within one cell of a labeled joint, or of a limb.

    A joint is at the maximum of its target. A limb is the straight line between two labeled joints.

    Args:
        targets: (B, K, H', W') target heatmaps.
        target_weights: (B, K), 0 for joints without a label.
        grid: (h, w).
        limbs: pairs of joints.

    Returns:
        (B, N) bool.
    """
    height, width = grid
    rows, columns = targets.shape[2:]
    best = targets.flatten(2).argmax(dim=2)
    y = (best // columns + 0.5) * (height / rows) - 0.5
    x = (best % columns + 0.5) * (width / columns) - 0.5
    joints = torch.stack([x, y], dim=-1)  # (B, K, 2) in cells of the map
    labeled = target_weights > 0
    pairs = torch.tensor(
        [*limbs, *([joint, joint] for joint in range(targets.shape[1]))], device=targets.device
    )
    start, end = joints[:, pairs[:, 0], None], joints[:, pairs[:, 1], None]  # (B, L, 1, 2)
    known = labeled[:, pairs[:, 0]] & labeled[:, pairs[:, 1]]
    cells = torch.arange(height * width, device=targets.device)
    centers = torch.stack([cells % width, cells // width], dim=-1).to(joints.dtype)
    along, to_cell = end - start, centers - start
    length = along.square().sum(-1).clamp(min=1e-6)
    part = ((to_cell * along).sum(-1) / length).clamp(0, 1)
    distance = (to_cell - part[..., None] * along).square().sum(-1)  # (B, L, N)
    return ((distance <= 1) & known[..., None]).any(dim=1)


def human_loss(log_scores: Tensor, positive: Tensor) -> Tensor:
    """Binary cross-entropy of a person's scores, scaled to a maximum of 1.

    The mean over cells and clips; clips without a positive cell count as 0. The scale has no
    gradient.

    Args:
        log_scores: (B, N) log of the scores.
        positive: (B, N) bool.
    """
    logs = log_scores - log_scores.detach().amax(dim=1, keepdim=True)
    price = torch.where(positive, -logs, -torch.log1p(-LARGEST * logs.exp()))
    return (price.mean(dim=1) * positive.any(dim=1)).mean()


def keypoint_loss(log_similarity: Tensor, targets: Tensor, target_weights: Tensor) -> Tensor:
    """Cross-entropy between where a joint looks and its target, averaged to the map's cells.

    The mean over all joints, in which those without a label count as 0.

    Args:
        log_similarity: (B, K, h, w), its exponential sums to one over the cells.
        targets: (B, K, H', W') target heatmaps.
        target_weights: (B, K).
    """
    pooled = resample(targets, log_similarity.shape[2:]).flatten(2)
    wanted = F.normalize(pooled, p=1, dim=2)
    price = -(wanted * log_similarity.flatten(2)).sum(dim=2)
    return (price * target_weights).mean()
