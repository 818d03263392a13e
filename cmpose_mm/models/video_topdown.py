"""The estimator for clips: frames in, the key frame's poses out, with any video method.

Shapes: B clips, T frames, H x W input pixels, C feature channels, h x w feature cells, K joints.
"""

from __future__ import annotations

import torch
from mmcv.cnn.bricks import DropPath
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from torch import Tensor

from .method import MethodOutput


@MODELS.register_module()
class VideoTopdownPoseEstimator(TopdownPoseEstimator):
    """Top-down pose estimator for video clips.

    ::

        clip (B,T,3,H,W)
          | backbone (and neck) on B*T images, the last feature map
        features (B,T,C,h,w)
          | method: any module that returns a `MethodOutput`
        key-frame features (B,D,h,w) ---- losses by name, in training
          | head                     '--- details, into the predictions on request
        heatmaps (B,K,H/4,W/4) of the key frame

    A batch of single images (B, 3, H, W) is treated as clips of T equal frames, so that MMPose's
    tools for images work.

    Args:
        method: Config of the video method, for example ``dict(type='CMPose', ...)``. It is called
            with the features and ``clip_seeds``, see `cmpose_mm.models.method`.
        test_cfg: As in `TopdownPoseEstimator`; in addition ``output_details=True`` copies the
            method's details of each clip into ``pred_instances``, with a leading length of 1.
        **kwargs: The other arguments of `TopdownPoseEstimator`.
    """

    def __init__(self, *, method: dict, **kwargs):
        super().__init__(**kwargs)
        self.method = MODELS.build(method)
        # MMPretrain's ViT gives them as NumPy numbers, which torch.compile and torch.export refuse.
        for module in self.modules():
            if isinstance(module, DropPath):
                module.drop_prob = float(module.drop_prob)

    def run_method(self, inputs: Tensor, clip_seeds: Tensor | None = None) -> MethodOutput:
        """Backbone and method on clips.

        Args:
            inputs: (B, T, 3, H, W) normalized clips, or images (B, 3, H, W).
            clip_seeds: (B,) int64 seeds of what the method draws at random in training.

        Raises:
            ValueError: If a clip has another length than the method is built for.
        """
        return self.method(self.extract_clips(inputs), clip_seeds=clip_seeds)

    def extract_frames(self, images: Tensor) -> Tensor:
        """Backbone (and neck) on single frames, the last map.

        Args:
            images: (N, 3, H, W) normalized frames.

        Returns:
            (N, C, h, w).
        """
        features = super().extract_feat(images)
        return features[-1] if isinstance(features, (tuple, list)) else features

    def extract_clips(self, inputs: Tensor) -> Tensor:
        """Features of all frames of clips, (B, T, C, h, w), the method's input.

        Args:
            inputs: (B, T, 3, H, W) normalized clips, or images (B, 3, H, W).

        Raises:
            ValueError: If a clip has another length than the method is built for.
        """
        num_frames = self.method.num_frames
        if inputs.ndim == 4:
            inputs = inputs.unsqueeze(1).expand(-1, num_frames, -1, -1, -1)
        if inputs.shape[1] != num_frames:
            raise ValueError(
                f'VideoTopdownPoseEstimator: clips have {inputs.shape[1]} frames, '
                f'but the method is built for num_frames={num_frames}'
            )
        features = self.extract_frames(inputs.flatten(0, 1))
        # With unflatten the ONNX export would fix the number of clips.
        return features.reshape(-1, num_frames, *features.shape[1:])

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor]:
        """The head's input, (B, D, h, w) in a tuple.

        Without this override the backbone would receive five axes, and the head every frame.
        """
        return (self.run_method(inputs).key_features,)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses of the head and of the method.

        Without this override the method's losses and the clips' seeds would be lost.
        """
        out = self.run_method(inputs, self._clip_seeds(data_samples, inputs.device))
        losses = self.head.loss((out.key_features,), data_samples, train_cfg=self.train_cfg)
        losses.update(out.losses)
        return losses

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Poses of the key frames, in pixels of the image.

        Without this override the method's details would be lost, or the model would have to run
        twice or keep them as state. With flip test they are those of the clip as it is.
        """
        features = self.extract_clips(inputs)
        flip_test = self.test_cfg.get('flip_test', False)
        flipped = self.extract_clips(inputs.flip(-1)) if flip_test else None
        return self.predict_clips(features, flipped, data_samples)

    def predict_clips(self, features: Tensor, flipped: Tensor | None, data_samples: list) -> list:
        """`predict` from features, for callers that make the frames' features once.

        Args:
            features: (B, T, C, h, w) of the clips, see `extract_clips`.
            flipped: the same of the mirrored clips; None without ``test_cfg.flip_test``.
            data_samples: one `PoseDataSample` a clip; its input_center, input_scale and input_size
                are those of the key frame's crop.
        """
        out = self.method(features, clip_seeds=None)
        head_inputs = (out.key_features,)
        if flipped is not None:
            head_inputs = [head_inputs, (self.method(flipped, clip_seeds=None).key_features,)]
        predictions = self.head.predict(head_inputs, data_samples, test_cfg=self.test_cfg)
        instances, fields = predictions if isinstance(predictions, tuple) else (predictions, None)
        if self.test_cfg.get('output_details', False):
            for name, values in out.details.items():
                for instance, value in zip(instances, values.cpu().split(1)):
                    # A copy: a view would write the whole batch into each sample's file.
                    instance.set_field(value.clone(), name)
        return self.add_pred_to_datasample(instances, fields, data_samples)

    @staticmethod
    def _clip_seeds(data_samples: list, device: torch.device) -> Tensor | None:
        """(B,) seeds from the samples' ``clip_seed``; None if they carry none."""
        seeds = [sample.metainfo.get('clip_seed') for sample in data_samples]
        if None in seeds:
            return None
        return torch.tensor(seeds, dtype=torch.int64, device=device)
