"""The selection that the labels themselves would make, to compare a learned one with.

Shapes: B clips, K joints, H' x W' heatmap cells, N = h * w cells, n causal tokens per joint.
"""

from __future__ import annotations

from torch import Tensor

from cmpose_mm.models.layers import heat_of_cells, select_exclusive


def label_selection(
    heatmaps: Tensor, labeled: Tensor, grid: tuple[int, int], num_causal: int
) -> Tensor:
    """Exclusive selection with S of eq. 8 replaced by the label heatmaps.

    Even this S does not put all causal tokens near their joint: joints that are close to each other
    want the same cells, and a heatmap may have heat in fewer cells than n, after which the lowest
    free cells follow.
    *Chosen*: a joint without a label takes the cells that the labeled ones want least, so that it
    takes nothing from them.

    Args:
        heatmaps: (B, K, H', W') label heatmaps.
        labeled: (B, K) bool.
        grid: (h, w).
        num_causal: n; n * K <= N.

    Returns:
        (B, K, n) int64 cells, best first; the n * K cells of a clip all differ.
    """
    heat = heat_of_cells(heatmaps, grid) * labeled.unsqueeze(2)
    unwanted = -heat.sum(1, keepdim=True)
    return select_exclusive(heat.where(labeled.unsqueeze(2), unwanted), num_causal)
