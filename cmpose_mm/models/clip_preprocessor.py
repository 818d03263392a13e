"""Normalization of clips.

Shapes: B clips, T frames, H x W input pixels.
"""

from __future__ import annotations

import torch
from mmpose.models import PoseDataPreprocessor
from mmpose.registry import MODELS
from torch import Tensor, nn


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


def normalize(preprocessor: nn.Module, images: Tensor) -> Tensor:
    """What a preprocessor makes of images or clips outside of training.

    Those of this package and of MMPose copy a batch four times; this copies it once, for a third
    of the time. Others are called.

    Args:
        preprocessor: of the model.
        images: (B, 3, H, W) or (B, T, 3, H, W) uint8, on its device.

    Returns:
        Float tensor as the model takes it.
    """
    plain = type(preprocessor) in (PoseDataPreprocessor, ClipDataPreprocessor)
    if not plain or any(size % preprocessor.pad_size_divisor for size in images.shape[-2:]):
        return preprocessor(dict(inputs=images, data_samples=[]), False)['inputs']
    if preprocessor._channel_conversion:
        images = images.flip(-3)
    if not preprocessor._enable_normalize:
        return images.float()
    mean, std = preprocessor.mean, preprocessor.std
    return images.to(torch.promote_types(torch.float32, mean.dtype)).sub_(mean).div_(std)
