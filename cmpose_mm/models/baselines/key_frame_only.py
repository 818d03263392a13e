"""The single-frame model as a video method."""

from __future__ import annotations

from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod


class KeyFrameOnly(VideoMethod):
    """Returns the key frame's features unchanged.

    With it, the estimator is the single-frame model with the same backbone and head, on the same
    samples. With clips of one frame, the default, it is also as fast as that model.

    Args:
        num_frames, key_index: see `VideoMethod`.
    """

    def __init__(self, num_frames: int = 1, key_index: int | None = None):
        super().__init__(num_frames, key_index)

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Selects (B, D, h, w) from (B, T, D, h, w); nothing is random."""
        return MethodOutput(clip.features[:, self.key_index])
