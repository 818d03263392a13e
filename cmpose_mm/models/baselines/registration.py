"""Registers the baselines, and the head that one of them needs, with MMPose."""

from __future__ import annotations

from mmpose.models import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor

from .frame_concat import FrameConcat
from .key_frame_only import KeyFrameOnly
from .stacked_frames import StackedFrames

MODELS.register_module(module=FrameConcat)
MODELS.register_module(module=KeyFrameOnly)
MODELS.register_module(module=StackedFrames)


@MODELS.register_module()
class HeatmapAverageHead(HeatmapHead):
    """`HeatmapHead` on every frame of `StackedFrames`, with the heatmaps averaged.

    The arguments are those of `HeatmapHead`, with the ``in_channels`` of one frame. The weights are
    the same, so a single-frame model's checkpoint fits.
    """

    def forward(self, feats: tuple[Tensor]) -> Tensor:
        """Mean heatmaps.

        Args:
            feats: the last map is (B, T * D, h, w), where D is the head's ``in_channels``.

        Returns:
            (B, K, H, W).
        """
        stacked = feats[-1]
        num_frames = stacked.shape[1] // self.in_channels
        # With unflatten the ONNX export would fix the number of clips.
        frames = stacked.reshape(-1, self.in_channels, *stacked.shape[2:])
        heatmaps = super().forward((frames,))
        return heatmaps.reshape(-1, num_frames, *heatmaps.shape[1:]).mean(1)
