"""Passes all frames to the head, for `HeatmapAverageHead`."""

from __future__ import annotations

from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod


class StackedFrames(VideoMethod):
    """Concatenates the frames' features along the channels, for `HeatmapAverageHead`.

    In training a clip has one frame, so the single-frame model is trained; its heatmaps are
    averaged in tests.

    Args:
        num_frames, key_index: of the clips in tests, see `VideoMethod`.
    """

    @property
    def num_training_frames(self) -> int:
        return 1

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Reshapes (B, T, D, h, w) to (B, T * D, h, w); nothing is random."""
        return MethodOutput(clip.features.flatten(1, 2))
