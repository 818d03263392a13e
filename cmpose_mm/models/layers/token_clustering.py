"""Density-peak clustering of tokens, merging of clusters, and restoring of the grid (eq. 9-12).

The functions work on the full grid of N cells, with a mask of the cells to cluster (the non-causal
ones), so that shapes never depend on the data. All compute in float32; turn autocast off around
them.

Source: eq. 9-12 of CM-Pose; the clustering is DPC-KNN as in TCFormer (Zeng et al., CVPR 2022).

Shapes: B clips, N cells, D token width, L clusters, k neighbors.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pairwise_squared_distances(tokens: Tensor) -> Tensor:
    """Squared Euclidean distances between all tokens of a clip, divided by the width D.

    Eq. 9 and 10 do not divide, which makes other cells centers. *Chosen*: it keeps the density
    comparable between widths; as printed, it would decide alone for wide tokens.

    Args:
        tokens: (B, N, D).

    Returns:
        (B, N, N) float32, >= 0, zero between equal tokens.
    """
    tokens = tokens.float() * tokens.shape[-1] ** -0.5
    # Computing distances from inner products is 30 times faster on a CPU than from differences.
    # A common offset would cost precision.
    tokens = tokens - tokens.mean(dim=1, keepdim=True)
    products = tokens @ tokens.transpose(1, 2)
    squares = products.diagonal(dim1=1, dim2=2)
    # In place: with small D, copies of (N, N) are as large as the tokens.
    sums = squares.unsqueeze(2) + squares.unsqueeze(1)
    return sums.sub_(products, alpha=2).clamp_(min=0)


def log_density(squared_distances: Tensor, valid: Tensor, num_neighbors: int) -> Tensor:
    """Log of the local density rho of eq. 9: minus the mean squared distance to the k nearest.

    In log space, because exp(-d^2) underflows to zero for wide tokens, which would make all
    densities equal. *Chosen*, since eq. 9 does not say: a token is not among its own neighbors.

    Args:
        squared_distances: (B, N, N).
        valid: (B, N) bool, the tokens to cluster.
        num_neighbors: k, the token itself not counted; less than the number of valid tokens.

    Returns:
        (B, N) float32; meaningless where not valid.
    """
    # Not torch.eye: onnxruntime does not have it for booleans.
    numbers = torch.arange(valid.shape[1], device=valid.device)
    itself = numbers.unsqueeze(1) == numbers
    others = squared_distances.masked_fill(itself | ~valid.unsqueeze(1), torch.inf)
    return -others.topk(num_neighbors, dim=2, largest=False).values.mean(dim=2)


def separation(distances: Tensor, log_density: Tensor, valid: Tensor) -> Tensor:
    """Distance delta of eq. 10 to the nearest denser token, or to the farthest if none is denser.

    Args:
        distances: (B, N, N), not squared.
        log_density: (B, N).
        valid: (B, N) bool, the tokens to cluster.

    Returns:
        (B, N); meaningless where not valid.
    """
    denser = valid.unsqueeze(1) & (log_density.unsqueeze(1) > log_density.unsqueeze(2))
    nearest_denser = distances.masked_fill(~denser, torch.inf).amin(dim=2)
    farthest = distances.masked_fill(~valid.unsqueeze(1), 0).amax(dim=2)
    return torch.where(denser.any(dim=2), nearest_denser, farthest)


@torch.no_grad()
def cluster_tokens(tokens: Tensor, valid: Tensor, num_clusters: int, num_neighbors: int) -> Tensor:
    """Clusters tokens around density peaks.

    The L tokens with the largest rho * delta are the centers; every other token joins its nearest
    center. Ties go to the lower index, both for centers and for members. Clusters are numbered in
    the order of their centers' cells and are never empty.

    Args:
        tokens: (B, N, D).
        valid: (B, N) bool, the tokens to cluster.
        num_clusters: L, at most the number of valid tokens of any clip.
        num_neighbors: k of the density, less than the number of valid tokens of any clip.

    Returns:
        (B, N) int64 cluster of each token, -1 where not valid.
    """
    squared_distances = pairwise_squared_distances(tokens)
    distances = squared_distances.sqrt()
    density = log_density(squared_distances, valid, num_neighbors)
    scores = density + separation(distances, density, valid).log()
    # Equal tokens have delta 0 and so the score -inf, but must still rank above invalid ones.
    scores = scores.clamp(min=torch.finfo(scores.dtype).min).masked_fill(~valid, -torch.inf)
    best = scores.argsort(dim=1, descending=True, stable=True)[:, :num_clusters]
    centers = best.sort(dim=1).values
    to_centers = distances.gather(2, centers.unsqueeze(1).expand(-1, tokens.shape[1], -1))
    # argmin returns the first minimum. A center is in its own cluster even if it equals an earlier.
    nearest = to_centers.argmin(dim=2)
    numbers = torch.arange(num_clusters, device=tokens.device).expand_as(centers)
    return nearest.scatter(1, centers, numbers).masked_fill(~valid, -1)


def merge_tokens(
    tokens: Tensor,
    cluster_ids: Tensor,
    log_importance: Tensor,
    num_clusters: int,
    normalize: bool = True,
) -> Tensor:
    """Merges each cluster into one token by a sum weighted with importance (eq. 11).

    Args:
        tokens: (B, N, D).
        cluster_ids: (B, N) int64, -1 for tokens in no cluster; no cluster is empty.
        log_importance: (B, N) log of the importance s.
        num_clusters: L.
        normalize: scale the weights to sum to one in each cluster; False takes eq. 11 literally.

    Returns:
        (B, L, D) float32.
    """
    numbers = torch.arange(num_clusters, device=tokens.device)
    member = cluster_ids.unsqueeze(1) == numbers.unsqueeze(1)  # (B, L, N)
    log_weights = log_importance.float().unsqueeze(1).masked_fill(~member, -torch.inf)
    # The softmax normalizes in log space, so importances that underflow do not give 0 / 0.
    weights = log_weights.softmax(dim=2) if normalize else log_weights.exp()
    return weights @ tokens.float()


def restore_tokens(tokens: Tensor, merged: Tensor, cluster_ids: Tensor) -> Tensor:
    """Writes merged tokens back to every cell of their cluster (eq. 12 on the grid).

    Args:
        tokens: (B, N, D); kept where ``cluster_ids`` is -1.
        merged: (B, L, D).
        cluster_ids: (B, N) int64.

    Returns:
        (B, N, D) with the dtype of ``tokens``.
    """
    index = cluster_ids.clamp(min=0).unsqueeze(2).expand(-1, -1, merged.shape[2])
    restored = merged.to(tokens.dtype).gather(1, index)
    return torch.where(cluster_ids.unsqueeze(2) < 0, tokens, restored)
