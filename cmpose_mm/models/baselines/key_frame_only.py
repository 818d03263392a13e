"""The single-frame model as a video method."""

from __future__ import annotations

from torch import Tensor, nn

from ..method import MethodOutput


class KeyFrameOnly(nn.Module):
    """Hands on the key frame's features and nothing else.

    With it the estimator is the single-frame model of the same backbone and head, on the same
    samples. Clips of one frame, the default, make it as fast as that model too.

    Args:
        num_frames: T; the key frame is the one at T // 2.
    """

    def __init__(self, num_frames: int = 1):
        super().__init__()
        self.num_frames = num_frames

    def forward(self, features: Tensor, clip_seeds: Tensor | None = None) -> MethodOutput:
        """Takes (B, D, h, w) out of (B, T, D, h, w); nothing is random."""
        return MethodOutput(features[:, self.num_frames // 2])
