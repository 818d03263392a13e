"""Normalization of clips.

Shapes: B clips, T frames, H x W input pixels.
"""

from __future__ import annotations

import torch
from mmpose.models import PoseDataPreprocessor
from mmpose.registry import MODELS


@MODELS.register_module()
class ClipDataPreprocessor(PoseDataPreprocessor):
    """`PoseDataPreprocessor` for clips; it also takes single images.

    The arguments are those of `PoseDataPreprocessor`. A batch is a list of clips (T, 3, H, W) of
    one shape, or a tensor (B, T, 3, H, W); the result is a float tensor (B, T, 3, H', W'). A list
    of images (3, H, W), as MMPose's own tools send, gives (B, 3, H', W').
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalizes a batch as `PoseDataPreprocessor.forward` does.

        Without this override clips fail or lose frames, because `PoseDataPreprocessor` expects the
        channels on the axis where clips have their frames.

        Raises:
            ValueError: if the clips of the batch differ in shape.
        """
        clips = data['inputs']
        if clips[0].ndim == 3:
            return super().forward(data, training)
        shapes = {tuple(clip.shape) for clip in clips}
        if len(shapes) > 1:
            raise ValueError(
                'ClipDataPreprocessor: the clips of a batch must have one shape (T, 3, H, W), '
                f'found {sorted(shapes)}'
            )
        if not isinstance(clips, torch.Tensor):
            clips = torch.stack(list(clips))
        frames = {**data, 'inputs': clips.flatten(0, 1)}
        out = super().forward(frames, training)
        out['inputs'] = out['inputs'].unflatten(0, clips.shape[:2])
        return out

    def _get_pad_shape(self, data: dict) -> list[tuple[int, int]]:
        """Padded (H', W') of each input.

        Without this override the sizes of a batch in one tensor are read from the wrong axes.
        """
        divisor = self.pad_size_divisor
        return [
            tuple(-(-size // divisor) * divisor for size in image.shape[-2:])
            for image in data['inputs']
        ]
