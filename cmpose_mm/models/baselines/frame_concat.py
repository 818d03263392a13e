"""Temporal fusion by one convolution.

Shapes: B clips, T frames, D feature channels, h x w feature cells.
"""

from __future__ import annotations

import torch
from torch import nn

from cmpose_mm.models.layers import check_counts, check_width
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod


class FrameConcat(VideoMethod):
    """One convolution T * D -> D over the frames' features, concatenated along the channels.

    It starts as the identity on the key frame, as `CMPose` without token enhancement does, so
    training starts with the outputs of the single-frame model.

    Args:
        embed_dims: D.
        num_frames, key_index: see `VideoMethod`.
        kernel_size: of the convolution, odd; from 3 on, a cell also sees what has moved nearby.

    Raises:
        ValueError: if ``kernel_size`` is even, or a number is below 1.
    """

    def __init__(
        self,
        embed_dims: int,
        num_frames: int = 3,
        kernel_size: int = 3,
        key_index: int | None = None,
    ):
        super().__init__(num_frames, key_index)
        check_counts('FrameConcat', embed_dims=embed_dims, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f'FrameConcat: kernel_size is {kernel_size}, expected an odd number')
        self.out_channels = embed_dims
        middle = kernel_size // 2
        self.conv = nn.Conv2d(num_frames * embed_dims, embed_dims, kernel_size, padding=middle)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.zero_()
            of_frames = self.conv.weight[:, :, middle, middle].unflatten(1, (num_frames, -1))
            of_frames[:, self.key_index] = torch.eye(embed_dims)

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Fuses (B, T, D, h, w) into (B, D, h, w); nothing is random."""
        check_width('FrameConcat', clip.features, self.out_channels)
        return MethodOutput(self.conv(clip.features.flatten(1, 2)))
