"""Dynamic-aware mask (DAM) of STDPose: features of the neighbors where joints move.

Shapes: B clips, T frames, K joints, D channels of the head's input, C channels of the motion, h x w
cells of the map, H' x W' cells of a heatmap.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.layers.residual_chain import ResidualBlock

SMALLEST_PEAK = 0.1
"""A maximum below it is not scaled up to 1: there is no joint, and noise would count as motion."""


def dynamic_masks(
    heatmaps: Tensor,
    key_index: int,
    scale: int,
    steepness: float,
    threshold: float,
    normalize: bool = False,
) -> Tensor:
    """Where joints moved between the key frame and each of its neighbors.

    ::

        R = H_t - H_i,  Sigm(R) = 1 / (1 + exp(-k (|R| - theta)))
        M_i = max over joints and over the scale x scale heatmap cells of a cell of Sigm(R)

    *Paper* (a review): the residuals and Sigm, even in R, with adjustable k and theta. *Chosen*: H
    is clamped to 0..1; the maximum over joints, and over cells, which keeps small motions. Computed
    in float32 (or float64, if that is given).

    Args:
        heatmaps: (B, T, K, H', W').
        key_index: position of the key frame t.
        scale: heatmap cells for a cell of the mask, along one axis.
        steepness: k.
        threshold: theta.
        normalize: divide each joint's heatmap by its maximum first (by 0.1 if that is larger), so
            that a peak that fades, or a label beside a prediction, does not count as motion.

    Returns:
        (B, T - 1, h, w) in the order of the frames, between 0 and 1.
    """
    if heatmaps.dtype != torch.float64:
        heatmaps = heatmaps.float()
    heatmaps = heatmaps.clamp(0, 1)
    if normalize:
        peaks = heatmaps.amax(dim=(3, 4), keepdim=True)
        heatmaps = heatmaps / peaks.clamp(min=SMALLEST_PEAK)
    key = heatmaps[:, key_index : key_index + 1]
    neighbors = torch.cat([heatmaps[:, :key_index], heatmaps[:, key_index + 1 :]], dim=1)
    # Sigm grows with |R|, so the maxima can be taken before it.
    largest = F.max_pool2d((key - neighbors).abs().amax(dim=2), scale)
    return (steepness * (largest - threshold)).sigmoid()


class DynamicAwareMask(nn.Module):
    """Motion G from the neighbors' features, each weighted with its mask.

    ::

        [M_i F_i over the neighbors i] - conv 1x1 to C - two residual blocks - conv 1x1 to D

    *Paper*: masks times features, then convolutions. *Chosen*: which.

    Args:
        in_channels: D.
        channels: C.
        num_frames: T.
        key_index: position of the key frame.
    """

    def __init__(self, in_channels: int, channels: int, num_frames: int, key_index: int):
        super().__init__()
        self.key_index = key_index
        self.reduce = nn.Conv2d((num_frames - 1) * in_channels, channels, 1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(channels, channels, project=False) for _ in range(2))
        )
        self.expand = nn.Conv2d(channels, in_channels, 1)

    def forward(self, features: Tensor, masks: Tensor | None) -> Tensor:
        """G (B, D, h, w).

        Args:
            features: (B, T, D, h, w).
            masks: (B, T - 1, h, w), see `dynamic_masks`; None for all ones.
        """
        neighbors = torch.cat(
            [features[:, : self.key_index], features[:, self.key_index + 1 :]], dim=1
        )
        if masks is not None:
            neighbors = neighbors * masks.to(neighbors.dtype).unsqueeze(2)
        return self.expand(self.blocks(self.reduce(neighbors.flatten(1, 2))))
