"""Attention between the channels of two maps.

Shapes: B clips, C channels, H heads, h x w cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.layers import check_heads


class ChannelAttention(nn.Module):
    """Each channel of one map reads channels of another: Att(Q, K, V) of JM-Pose.

    ::

        q = DW(x W_q), k = DW(y W_k), v = DW(y W_v)      1x1, then depthwise 3x3
        out = softmax(tau q^ k^T) v W_o                  for each head, over its C / H channels

    with q^ and k^ of length 1 over the cells, and a learned temperature tau for each head. The
    weights are C / H x C / H, so the cost is linear in the cells, and any grid fits.

    *Paper*: only that queries come from one stream, keys and values from the other. *Code*: a
    public fusion block of this form (attention as in Zamir et al., "Restormer", CVPR 2022), of
    which a symmetric form with own weights for each direction is *chosen*. Products and softmax are
    computed in float32, even under autocast or with weights in half precision.

    Args:
        channels: C.
        num_heads: H, divides C.

    Raises:
        ValueError: if H does not divide C.
    """

    def __init__(self, channels: int, num_heads: int = 8):
        super().__init__()
        check_heads('ChannelAttention', num_heads, channels)
        self.num_heads = num_heads
        self.query, self.key, self.value = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            )
            for _ in range(3)
        )
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.proj = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """What x (B, C, h, w) reads from ``other`` (B, C, h, w), of the same shape."""
        height, width = x.shape[2:]

        def heads(tensor: Tensor) -> Tensor:  # (B, H, C / H, h w)
            tensor = tensor if tensor.dtype == torch.float64 else tensor.float()
            return tensor.reshape(-1, self.num_heads, x.shape[1] // self.num_heads, height * width)

        queries, keys, values = self.query(x), self.key(other), self.value(other)
        with torch.autocast(x.device.type, enabled=False):
            queries, keys = (F.normalize(heads(tensor), dim=-1) for tensor in (queries, keys))
            weights = (self.temperature * (queries @ keys.transpose(2, 3))).softmax(dim=-1)
            out = weights @ heads(values)
        out = out.reshape(-1, x.shape[1], height, width)
        return self.proj(out.to(self.proj.weight.dtype))
