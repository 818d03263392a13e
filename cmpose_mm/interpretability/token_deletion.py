"""Deletion of tokens, to see how predictions change without them.

Shapes: B clips, N = h * w cells, cell (y, x) at y * w + x, D channels, K joints, n causal tokens
per joint.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def delete_tokens(features: Tensor, deleted: Tensor) -> Tensor:
    """Replaces tokens by the mean token of their map.

    The mean is over all cells before the deletion, so it does not depend on which are deleted.
    Unlike zero, it is a plausible token for the head.

    Args:
        features: (B, D, h, w), the head's input.
        deleted: (B, N) bool.

    Returns:
        (B, D, h, w).
    """
    mean = features.mean(dim=(2, 3), keepdim=True)
    return torch.where(deleted.view(-1, 1, *features.shape[2:]), mean, features)


def draw_cells(allowed: Tensor, numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Draws cells at random.

    Args:
        allowed: (..., N) bool, the cells to draw from.
        numbers: (...) how many to draw; where fewer are allowed, all of them are drawn.
        generator: source of the random numbers, on the CPU.

    Returns:
        (..., N) bool.
    """
    chances = torch.rand(allowed.shape, generator=generator).to(allowed.device)
    order = chances.masked_fill(~allowed, 2).argsort(dim=-1)
    return (order.argsort(dim=-1) < numbers.unsqueeze(-1)) & allowed


def match_cells(
    own: np.ndarray, others: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs a joint's cells with others that are no farther from it.

    The nearest own cell comes first. Each takes the farthest of the others that is left and at most
    as far as itself, so that distances differ little, and never in the favor of the own cells. A
    cell without such a partner is left out. No other way makes more pairs.

    Args:
        own: (N,) bool.
        others: (N,) bool, none of them own.
        distances: (N,) from the joint.

    Returns:
        (N,) bool each: the own cells of the pairs, and their partners.
    """
    paired, partners, left = np.zeros_like(own), np.zeros_like(own), others.copy()
    order = np.argsort(distances, kind='stable')
    for cell in order[own[order]]:
        free = order[left[order] & (distances[order] <= distances[cell])]
        if len(free):
            paired[cell] = partners[free[-1]] = True
            left[free[-1]] = False
    return paired, partners


def selected_cells(causal_tokens: Tensor, num_cells: int) -> Tensor:
    """(B, K, N) bool, which joint selected which cell, from (B, K, n) indices."""
    shape = (*causal_tokens.shape[:2], num_cells)
    selected = torch.zeros(shape, dtype=torch.bool, device=causal_tokens.device)
    return selected.scatter(2, causal_tokens, True)
