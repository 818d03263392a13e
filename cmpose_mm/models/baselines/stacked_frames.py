"""All frames handed to the head, for `HeatmapAverageHead`."""

from __future__ import annotations

from torch import Tensor, nn

from ..method import MethodOutput


class StackedFrames(nn.Module):
    """Puts the features of the frames side by side along the channels, for `HeatmapAverageHead`.

    In training a clip has one frame: what is trained is the single-frame model, whose heatmaps are
    averaged in tests. Set the datasets' ``num_frames`` accordingly: 1 in training, T in tests.

    Args:
        num_frames: T in tests.
    """

    def __init__(self, num_frames: int = 3):
        super().__init__()
        self.num_test_frames = num_frames

    @property
    def num_frames(self) -> int:
        """Frames of a clip in the present mode."""
        return 1 if self.training else self.num_test_frames

    def forward(self, features: Tensor, clip_seeds: Tensor | None = None) -> MethodOutput:
        """(B, T, D, h, w) as (B, T * D, h, w); nothing is random."""
        return MethodOutput(features.flatten(1, 2))
