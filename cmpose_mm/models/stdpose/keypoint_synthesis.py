"""Temporal keypoint synthesis (TKS) of STDPose: one set of heatmaps from those of all frames.

Shapes: B clips, T frames, K joints, D channels, h x w cells of the map, H' x W' of a heatmap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def nearness(
    offsets: Tensor, valid: Tensor, key_index: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Weights of the frames by nearness in time (*chosen*, after DCPose).

    The key frame has 1. The neighbors share 1 in proportion to 1 / distance; a missing one has 0.

    Args:
        offsets: (B, T) signed distances from the key frame, in frames.
        valid: (B, T) bool, False for missing frames.
        key_index: position of the key frame.
        dtype: of the result.

    Returns:
        (B, T).
    """
    is_key = (torch.arange(offsets.shape[1], device=offsets.device) == key_index).to(dtype)
    inverse = valid.to(dtype) / offsets.abs().clamp(min=1) * (1 - is_key)
    total = inverse.sum(dim=1, keepdim=True)
    return inverse / torch.where(total > 0, total, torch.ones_like(total)) + is_key


class KeypointSynthesis(nn.Module):
    """H~: the key frame's heatmaps, corrected by those of all frames, as features on the map.

    ::

        H_t + conv 3x3 in K groups, a group a joint (w_t H_t over all frames) - patches - (B,D,h,w)

    *Paper*: the fusion of the heatmap sequence. *Chosen*, after DCPose: groups by joint, weights by
    `nearness`, the residual; a convolution of size and stride s takes each cell's s x s heatmap
    cells to its D channels.

    Args:
        num_keypoints: K.
        num_frames: T.
        key_index: position of the key frame.
        channels: D.
        scale: s, heatmap cells for a cell of the map, along one axis.
    """

    def __init__(
        self, num_keypoints: int, num_frames: int, key_index: int, channels: int, scale: int
    ):
        super().__init__()
        self.key_index = key_index
        self.fuse = nn.Conv2d(
            num_frames * num_keypoints, num_keypoints, 3, padding=1, groups=num_keypoints
        )
        self.patches = nn.Conv2d(num_keypoints, channels, scale, stride=scale)

    def forward(self, heatmaps: Tensor, weights: Tensor) -> Tensor:
        """H~ (B, D, h, w).

        Args:
            heatmaps: (B, T, K, H', W').
            weights: (B, T), see `nearness`.
        """
        weighted = heatmaps * weights[..., None, None, None]
        by_joint = weighted.transpose(1, 2).flatten(1, 2)  # all frames of a joint, then the next
        return self.patches(heatmaps[:, self.key_index] + self.fuse(by_joint))
