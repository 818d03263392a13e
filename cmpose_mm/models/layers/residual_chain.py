"""Chains of residual blocks.

Shapes: N images, C channels, h x w cells.
"""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Basic residual block: ReLU(shortcut + BN(conv3x3(ReLU(BN(conv3x3(x)))))).

    Args:
        in_channels: of the input.
        channels: of the output.
        project: shortcut by a 1x1 convolution and BN; otherwise it is the input, and the numbers
            of channels must be equal.
    """

    def __init__(self, in_channels: int, channels: int, project: bool):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, channels, h, w)."""
        return self.activation(self.shortcut(x) + self.body(x))


class ResidualChain(nn.Sequential):
    """``num_blocks`` residual blocks; the first has a convolution as its shortcut (*code*).

    Args:
        in_channels: of the input.
        channels: of the output.
        num_blocks: at least 1.

    Source: *code* of TDMI, where chains of basic blocks process every feature map.
    """

    def __init__(self, in_channels: int, channels: int, num_blocks: int):
        blocks = [ResidualBlock(in_channels, channels, project=True)]
        blocks += [ResidualBlock(channels, channels, project=False) for _ in range(num_blocks - 1)]
        super().__init__(*blocks)
