"""HRNet with the finest map of every stage.

Shapes: N images, H x W pixels, C channels of the finest branch (48 for HRNet-W48).
"""

from __future__ import annotations

from mmpose.models import HRNet
from mmpose.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class HRNetStages(HRNet):
    """MMPose's HRNet that also returns the finest branch of its earlier stages.

    The arguments and the names of the weights are those of ``HRNet``, so its checkpoints fit. The
    last map is the one that ``HRNet`` returns, so heads work unchanged.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps after stage 1 (through the first transition), 2, 3 and 4.

        Args:
            x: (N, 3, H, W).

        Returns:
            Four maps (N, C, H / 4, W / 4), followed by the coarser branches of stage 4 if it has
            ``multiscale_output``.
        """
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        branches, maps = [self.layer1(x)], []
        for stage in (2, 3, 4):
            # An entry without layers keeps its branch, the others start from the coarsest branch.
            branches = [
                branches[index] if layers is None else layers(branches[-1])
                for index, layers in enumerate(getattr(self, f'transition{stage - 1}'))
            ]
            if stage == 2:
                maps.append(branches[0])
            branches = getattr(self, f'stage{stage}')(branches)
            if stage < 4:
                maps.append(branches[0])
        return (*maps, *branches)
