"""Joint-motion mutual learning: two streams that learn from each other.

Shapes: B clips, C channels, h x w cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import ResidualChain

from .channel_attention import ChannelAttention


class MutualLearning(nn.Module):
    """One layer of JMML.

    ::

        m, j = ResidualChain_1(M), ResidualChain_1(J)
        m' = m + Att(Q_m, K_j, V_j)         j' = j + Att(Q_j, K_m, V_m)
        g_m, g_j = sigmoid(conv([m'; j']))
        M' = g_m * m'                       J' = g_j * j'

    conv is 3x3 2C -> C, BN, ReLU, 3x3 C -> 2C.

    *Paper* (its figure): the exchange of queries, keys and values, and the gates. *Chosen*: the
    residual chain, symmetric attention with own weights for each direction. (The code has one
    attention for both, the second on the updated stream.)

    Args:
        channels: C.
        num_heads: of `ChannelAttention`.
    """

    def __init__(self, channels: int, num_heads: int = 8):
        super().__init__()
        self.motion_chain = ResidualChain(channels, channels, 1)
        self.joint_chain = ResidualChain(channels, channels, 1)
        self.motion_attention = ChannelAttention(channels, num_heads)
        self.joint_attention = ChannelAttention(channels, num_heads)
        self.gate = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
        )

    def forward(self, motion: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams, (B, C, h, w) each, after the layer."""
        m, j = self.motion_chain(motion), self.joint_chain(joints)
        m, j = m + self.motion_attention(m, j), j + self.joint_attention(j, m)
        motion_gate, joint_gate = self.gate(torch.cat([m, j], dim=1)).sigmoid().chunk(2, dim=1)
        return motion_gate * m, joint_gate * j
