"""The single-frame model as a video method."""

from __future__ import annotations

from ..method import ClipInput, MethodOutput, VideoMethod


class KeyFrameOnly(VideoMethod):
    """Hands on the key frame's features and nothing else.

    With it the estimator is the single-frame model of the same backbone and head, on the same
    samples. Clips of one frame, the default, make it as fast as that model too.

    Args:
        num_frames, key_index: See `VideoMethod`.
    """

    def __init__(self, num_frames: int = 1, key_index: int | None = None):
        super().__init__(num_frames, key_index)

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Takes (B, D, h, w) out of (B, T, D, h, w); nothing is random."""
        return MethodOutput(clip.features[:, self.key_index])
