"""The appearance branch of TDMI-ST: the neighbors' features, aligned with the key frame.

Shapes: B clips, S = T - 1 neighbors, C channels, h x w cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import ModulatedDeform, ResidualChain


class AppearanceAlignment(nn.Module):
    """Five deformable steps from the neighbors' maps to the key frame (structure: *code*).

    ::

        X   = ResidualChain_2(neighbors)
        Z_0 = ResidualChain_1([X, F])
        Z_1 = MD(Z_0; Z_0), Z_2 = MD(Z_1; Z_1), Z_3 = MD(X; Z_2), Z_4 = MD(Z_3; Z_3)
        a   = ResidualChain_3([F, Z_4])

    with F the key frame's map and MD(x; cond) a `ModulatedDeform` of dilation 3.

    Args:
        channels: C.
        num_neighbors: S.
        deformation: backend of `ModulatedDeform`.
    """

    def __init__(self, channels: int, num_neighbors: int, deformation: str = 'grid_sample'):
        super().__init__()
        self.neighbors = ResidualChain(num_neighbors * channels, channels, 2)
        self.first = ResidualChain(2 * channels, channels, 1)
        self.deform = nn.ModuleList(
            ModulatedDeform(channels, channels, dilation=3, backend=deformation) for _ in range(4)
        )
        self.last = ResidualChain(2 * channels, channels, 3)

    def forward(self, key: Tensor, neighbors: Tensor) -> Tensor:
        """The appearance a (B, C, h, w).

        Args:
            key: F (B, C, h, w).
            neighbors: (B, S, C, h, w) maps of the other frames, in the order of time.
        """
        x = self.neighbors(neighbors.flatten(1, 2))
        z = self.first(torch.cat([x, key], dim=1))
        z, _ = self.deform[0](z, z)
        z, _ = self.deform[1](z, z)
        z, _ = self.deform[2](x, z)
        z, _ = self.deform[3](z, z)
        return self.last(torch.cat([key, z], dim=1))
