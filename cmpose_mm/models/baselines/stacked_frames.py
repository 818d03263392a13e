"""All frames handed to the head, for `HeatmapAverageHead`."""

from __future__ import annotations

from ..method import ClipInput, MethodOutput, VideoMethod


class StackedFrames(VideoMethod):
    """Puts the features of the frames side by side along the channels, for `HeatmapAverageHead`.

    In training a clip has one frame: what is trained is the single-frame model, whose heatmaps are
    averaged in tests.

    Args:
        num_frames, key_index: Of clips in tests, see `VideoMethod`.
    """

    @property
    def num_training_frames(self) -> int:
        return 1

    def forward(self, clip: ClipInput) -> MethodOutput:
        """(B, T, D, h, w) as (B, T * D, h, w); nothing is random."""
        return MethodOutput(clip.features.flatten(1, 2))
