"""The estimator for clips: it takes frames and any video method, and predicts the key frame's pose.

Shapes: B clips, T frames, H x W input pixels, C feature channels, h x w feature cells, K joints.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.logging import print_log
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from torch import Tensor, nn

from .method import ClipInput, FrameFeatures, MethodOutput, VideoMethod

FINAL_HEAD = 'head'
"""Value of ``frame_head`` that uses the final head."""


@MODELS.register_module()
class VideoTopdownPoseEstimator(TopdownPoseEstimator):
    """Top-down pose estimator for video clips.

    ::

        clip (B,T,3,H,W)
          | backbone, neck and frame head on B*T images
        FrameFeatures (B,T,...)
          | with offsets, validity, in training also targets and seeds
        ClipInput
          | method: any `VideoMethod`
        key-frame features (B,D,h,w) ---- losses by name, in training
          | head                     '--- details, into the predictions on request
        heatmaps (B,K,H/4,W/4) of the key frame

    A batch of single images (B, 3, H, W) is treated as clips of T equal frames, so that MMPose's
    tools for images work.

    Args:
        method: config of the video method, for example ``dict(type='CMPose', ...)``.
        frame_head: config of a ``HeatmapHead``, for methods that need the heatmaps of every frame.
            Its weights come from the single-frame model that training starts from, see
            `FrameHeadHook`. ``'head'`` uses the final head for every frame, too.
        frame_head_frozen: whether the frame head keeps its weights. If not, ``loss_frame`` is its
            loss on the key frame. Ignored with ``frame_head='head'``.
        freeze_backbone: no gradients for backbone and neck, and eval mode for them even in
            training, so that their batch statistics do not change.
        test_cfg: as in `TopdownPoseEstimator`. In addition, ``output_details=True`` copies the
            method's details of each clip into ``pred_instances``, with a leading axis of length 1,
            and puts ``detail_kinds`` and ``detail_grid`` (h, w), which say how to draw them, into
            the metainfo.
        **kwargs: the other arguments of `TopdownPoseEstimator`.

    Raises:
        ValueError: if the method needs heatmaps and there is no ``frame_head``, if the method's
            features have other channels than the head expects, if it draws labels otherwise than
            the head's decoder expects, or if it needs images that are normalized in another way
            than the data preprocessor does.
    """

    def __init__(
        self,
        *,
        method: dict,
        frame_head: dict | str | None = None,
        frame_head_frozen: bool = True,
        freeze_backbone: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.method = MODELS.build(method)
        self.freeze_backbone = freeze_backbone
        self.frame_stride = 1  # used if no sample says how far apart the frames are
        self.shares_head = frame_head == FINAL_HEAD
        self.frame_head_frozen = frame_head_frozen and not self.shares_head
        self.frame_head = None
        if frame_head is not None and not self.shares_head:
            self.frame_head = MODELS.build(frame_head)
        self._frame_head_is_random = self.frame_head_frozen and self.frame_head is not None
        if not isinstance(self.method, VideoMethod):
            warnings.warn(
                f'{type(self.method).__name__}: methods with forward(features, clip_seeds=None) '
                'are still called, but see less; derive from cmpose_mm.models.VideoMethod and take '
                'a ClipInput',
                FutureWarning,
                stacklevel=2,
            )
        elif self.method.needs_heatmaps and frame_head is None:
            raise ValueError(
                f'model.method of type {type(self.method).__name__} needs the heatmaps of every '
                "frame: expected model.frame_head, the config of a HeatmapHead or 'head'"
            )
        elif frame_head is not None and not self.method.needs_heatmaps:
            print_log(
                f'model.method of type {type(self.method).__name__} reads no heatmaps of the '
                'frames, so model.frame_head costs time, and trained, it adds a loss; expected '
                'frame_head=None',
                'current',
                logging.WARNING,
            )
        given, expected = (
            getattr(self.method, 'out_channels', None),
            getattr(getattr(self, 'head', None), 'in_channels', None),
        )
        if given is not None and isinstance(expected, int) and given != expected:
            raise ValueError(
                f'model.head.in_channels is {expected}, but model.method of type '
                f'{type(self.method).__name__} gives features of {given} channels; expected the '
                'same'
            )
        self._check_normalization()
        self._check_label_codec()
        for module in self._frozen_modules():
            module.requires_grad_(False)
        for name in ('head', 'frame_head'):
            head = getattr(self, name, None)
            for part in () if head is None else head.modules():  # some heads have one within
                if isinstance(getattr(part, 'loss_module', None), nn.Module):
                    check = partial(_check_heatmap_size, name)
                    part.loss_module.register_forward_pre_hook(check)
        # In MMPretrain's ViT drop_prob is a NumPy number, which torch.compile and export reject.
        for module in self.modules():
            if isinstance(module, DropPath):
                module.drop_prob = float(module.drop_prob)

    def _check_normalization(self) -> None:
        expected = getattr(self.method, 'image_normalization', None)
        if expected is None:
            return
        preprocessor, found = self.data_preprocessor, 'no normalization'
        if getattr(preprocessor, '_enable_normalize', False):
            values = [getattr(preprocessor, name).flatten().tolist() for name in ('mean', 'std')]
            order = 'RGB' if preprocessor._channel_conversion else 'BGR'
            if order == 'RGB' and np.allclose(values, expected):
                return
            found = 'mean {} and std {}'.format(*(np.round(v, 3).tolist() for v in values))
            found = f'{found} of {order} images'
        raise ValueError(
            f'model.data_preprocessor has {found}, but model.method of type '
            f'{type(self.method).__name__} needs images with mean {list(expected[0])} and std '
            f'{list(expected[1])} of RGB images; expected the same'
        )

    def _check_label_codec(self) -> None:
        codec = getattr(self.method, 'label_codec', None)  # a method of the old style has none
        decoder = getattr(getattr(self, 'head', None), 'decoder', None)
        if codec is None or decoder is None:
            return
        codec = dict(codec)
        sigma, expected = codec.pop('sigma', None), getattr(decoder, 'sigma', None)
        found = {
            'input_size': tuple(decoder.input_size),
            'udp': type(decoder).__name__ == 'UDPHeatmap',
        }
        if codec != found:
            raise ValueError(
                f'model.method of type {type(self.method).__name__} draws labels with {codec}, but '
                f'model.head.decoder has {found}; expected the same'
            )
        if sigma is not None and sigma != expected:
            warnings.warn(
                f'model.method of type {type(self.method).__name__} draws labels with sigma='
                f'{sigma}, but model.head.decoder has sigma={expected}; heatmaps of labels are '
                'wider or narrower than those that the model has learned',
                stacklevel=2,
            )

    def _frozen_modules(self) -> list[nn.Module]:
        modules = [self.backbone, getattr(self, 'neck', None)] if self.freeze_backbone else []
        if self.frame_head_frozen:
            modules.append(self.frame_head)
        return [module for module in modules if module is not None]

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        if any(name.startswith(f'{prefix}frame_head.') for name in state_dict):
            self._frame_head_is_random = False
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def train(self, mode: bool = True) -> VideoTopdownPoseEstimator:
        """As in torch, but frozen modules stay in eval mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    # ---- frames ------------------------------------------------------------------------------

    def extract_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (N, C_j, h_j, w_j) of backbone and neck for single frames (N, 3, H, W)."""
        with torch.no_grad() if self.freeze_backbone else nullcontext():
            maps = super().extract_feat(images)
        return tuple(maps) if isinstance(maps, (tuple, list)) else (maps,)

    def extract_frames(self, images: Tensor) -> FrameFeatures:
        """Backbone, neck and frame head on single frames.

        Args:
            images: (N, 3, H, W) normalized frames.

        Returns:
            Maps (N, C_j, h_j, w_j) and, with a frame head, heatmaps (N, K, H', W').

        Raises:
            ValueError: if the frame head expects another number of channels.
        """
        maps = self.extract_maps(images)
        head = self.head if self.shares_head else self.frame_head
        if head is None:
            return FrameFeatures(maps)
        found, expected = maps[-1].shape[1], getattr(head, 'in_channels', None)
        if isinstance(expected, int) and found != expected:
            raise ValueError(
                f'model.{"head" if self.shares_head else "frame_head"}.in_channels is {expected}, '
                f'but backbone and neck give a last map of {found} channels; expected the same'
            )
        with torch.no_grad() if self.frame_head_frozen else nullcontext():
            return FrameFeatures(maps, head((maps[-1],)))

    def extract_clips(self, inputs: Tensor) -> FrameFeatures:
        """`extract_frames` on all frames of clips, with the leading axes (B, T).

        Args:
            inputs: (B, T, 3, H, W) normalized clips, or images (B, 3, H, W).

        Raises:
            ValueError: if the clips do not have the length that the method expects.
        """
        num_frames = self._num_frames()
        if inputs.ndim == 4:
            inputs = inputs.unsqueeze(1).expand(-1, num_frames, -1, -1, -1)
        if inputs.shape[1] != num_frames:
            raise ValueError(
                f'VideoTopdownPoseEstimator: clips have {inputs.shape[1]} frames, '
                f'but the method is built for num_frames={num_frames}'
            )
        frames = self.extract_frames(inputs.flatten(0, 1))
        # With unflatten the ONNX export would fix the number of clips.
        return frames.map(lambda tensor: tensor.reshape(-1, num_frames, *tensor.shape[1:]))

    def _num_frames(self) -> int:
        training = self.training and isinstance(self.method, VideoMethod)
        return self.method.num_training_frames if training else self.method.num_frames

    @property
    def key_index(self) -> int:
        """Position of the key frame in a clip."""
        return getattr(self.method, 'key_index', self.method.num_frames // 2)

    # ---- clips -------------------------------------------------------------------------------

    def clip_input(
        self,
        frames: FrameFeatures,
        data_samples: list | None = None,
        *,
        images: Tensor | None = None,
        mirrored: bool = False,
    ) -> ClipInput:
        """Combines the frames' features with what the data samples say about the clips.

        Args:
            frames: features of the clips' frames, see `extract_clips`.
            data_samples: B samples. ``frame_offsets``, ``frame_valid``, ``neighbor_poses`` and
                ``clip_seed`` of their metainfo are used, and in training their targets. Without
                samples, all frames are assumed to exist, ``frame_stride`` apart.
            images: (B, T, 3, H, W) normalized frames.
            mirrored: whether the frames are mirrored, as in the flip test; then the poses are
                mirrored, too.

        Raises:
            ValueError: if a sample's key frame is at another position than the method's, the
                samples lack something that the method needs, or head, frame head or decoder do not
                fit the targets.
        """
        samples = data_samples or []
        num_frames = frames.features.shape[1]
        key_index = self.key_index if num_frames > 1 else 0
        for sample in samples:
            found = sample.metainfo.get('key_index', key_index)
            if found != key_index:
                raise ValueError(
                    f'{sample.metainfo.get("img_path")}: the key frame is at {found} of the clip '
                    f'(`causal` of the dataset), but the model expects it at {key_index} '
                    '(model.method.key_index)'
                )
        device = frames.features.device
        valid = None
        if images is not None and images.ndim == 4:  # single images, see `extract_clips`
            valid = (torch.arange(num_frames, device=device) == key_index).expand(len(images), -1)
            images = images.unsqueeze(1).expand(-1, num_frames, -1, -1, -1)

        def stacked(name: str) -> Tensor | None:
            values = [sample.metainfo.get(name) for sample in samples]
            if not values or any(value is None for value in values):
                return None
            return torch.as_tensor(np.stack(values), device=device)

        poses = stacked('neighbor_poses')
        if poses is not None and mirrored:
            meta = samples[0].metainfo
            poses = mirror_poses(poses, meta['input_size'][0], meta['flip_indices'])
        targets = weights = None
        if self.training and samples and all('gt_fields' in sample for sample in samples):
            targets = torch.stack([sample.gt_fields.heatmaps for sample in samples])
            weights = torch.cat([s.gt_instance_labels.keypoint_weights for s in samples])
            self._check_joints(targets.shape[1])
            self._check_decoder(targets)
        if getattr(self.method, 'needs_poses', False) and poses is None:
            raise ValueError(
                f'{type(self.method).__name__} needs the poses of the neighbors: expected '
                'neighbor_poses=True in the dataset'
            )
        return ClipInput.of(
            frames,
            key_index,
            self.frame_stride,
            offsets=stacked('frame_offsets'),
            valid=stacked('frame_valid') if valid is None else valid,
            poses=poses,
            targets=targets,
            target_weights=weights,
            seeds=stacked('clip_seed'),
            images=images if getattr(self.method, 'needs_images', False) else None,
        )

    def _check_joints(self, num_joints: int) -> None:
        for name in ('head', 'frame_head'):
            found = getattr(getattr(self, name), 'out_channels', num_joints)
            if found != num_joints:
                raise ValueError(
                    f'model.{name}.out_channels is {found}, but the target heatmaps have '
                    f'{num_joints} joints; expected the same'
                )

    def _check_decoder(self, targets: Tensor) -> None:
        found = getattr(getattr(self.head, 'decoder', None), 'heatmap_size', None)
        expected = tuple(targets.shape[:-3:-1])  # width, height
        if found is not None and tuple(found) != expected:
            raise ValueError(
                f'model.head.decoder.heatmap_size is {tuple(found)}, but the target heatmaps have '
                f'{expected} (the encoder in train_dataloader.dataset.pipeline); expected the same'
            )

    def call_method(self, clip: ClipInput) -> MethodOutput:
        """Runs the method on clips; one with the old interface gets only features and seeds."""
        if isinstance(self.method, VideoMethod):
            return self.method(clip)
        return self.method(clip.features, clip_seeds=clip.seeds)

    def run_method(self, inputs: Tensor, data_samples: list | None = None) -> MethodOutput:
        """Runs backbone and method on clips.

        Args:
            inputs: (B, T, 3, H, W) normalized clips, or images (B, 3, H, W).
            data_samples: see `clip_input`.
        """
        frames = self.extract_clips(inputs)
        return self.call_method(self.clip_input(frames, data_samples, images=inputs))

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor]:
        """The head's input, (B, D, h, w) in a tuple.

        Without this override the backbone would receive five axes, and the head every frame.
        """
        return self.run_method(inputs).head_input

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Losses of the head, of the method and of a trained frame head.

        Without this override the method's losses and the clips' seeds would be lost.

        Raises:
            ValueError: if a loss of the method has the name of another loss, the heatmaps of a head
                have another size than the targets, or a trained frame head has no targets.
        """
        if self._frame_head_is_random:
            print_log(
                'model.frame_head is frozen, but no weights were loaded into it: it stays random '
                'unless it loads its own; expected load_from, the checkpoint of a single-frame '
                'model, and FrameHeadHook in default_hooks, which copies its head',
                'current',
                logging.WARNING,
            )
            self._frame_head_is_random = False  # told once
        clip = self.clip_input(self.extract_clips(inputs), data_samples, images=inputs)
        learns_frames = self.frame_head is not None and not self.frame_head_frozen
        if learns_frames and clip.targets is None:
            raise ValueError(
                'model.frame_head is trained, but the samples have no target heatmaps; expected '
                'GenerateTarget with an encoder of heatmaps in the pipeline, or '
                'model.frame_head_frozen=True'
            )
        out = self.call_method(clip)
        losses = self.head.loss(out.head_input, data_samples, train_cfg=self.train_cfg)
        if learns_frames:
            heatmaps = clip.heatmaps[:, self.key_index]
            losses['loss_frame'] = self.frame_head.loss_module(
                heatmaps, clip.targets, clip.target_weights
            )
        taken = sorted(losses.keys() & out.losses.keys())
        if taken:
            raise ValueError(
                f'{type(self.method).__name__} gives losses named {", ".join(taken)}, which are '
                'names of other losses of the model'
            )
        losses.update(out.losses)
        return losses

    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Poses of the key frames, in pixels of the image.

        Without this override the method's details would be lost, unless the model ran twice or kept
        them as state. With the flip test, the details are those of the unflipped clip.
        """
        frames = self.extract_clips(inputs)
        flipped_inputs = flipped = None
        if self.test_cfg.get('flip_test', False):
            flipped_inputs = inputs.flip(-1)
            flipped = self.extract_clips(flipped_inputs)
        return self.predict_clips(frames, flipped, data_samples, inputs, flipped_inputs)

    def predict_clips(
        self,
        frames: FrameFeatures,
        flipped: FrameFeatures | None,
        data_samples: list,
        images: Tensor | None = None,
        flipped_images: Tensor | None = None,
    ) -> list:
        """`predict` from features, for callers that compute each frame's features only once.

        Args:
            frames: features of the clips' frames, see `extract_clips`.
            flipped: the same for the mirrored clips; None without ``test_cfg.flip_test``.
            data_samples: one `PoseDataSample` per clip; its input_center, input_scale and
                input_size are those of the key frame's crop.
            images, flipped_images: (B, T, 3, H, W), for methods that need them.
        """
        out = self.call_method(self.clip_input(frames, data_samples, images=images))
        head_inputs = out.head_input
        if flipped is not None:
            clip = self.clip_input(flipped, data_samples, images=flipped_images, mirrored=True)
            head_inputs = [head_inputs, self.call_method(clip).head_input]
        predictions = self.head.predict(head_inputs, data_samples, test_cfg=self.test_cfg)
        instances, fields = predictions if isinstance(predictions, tuple) else (predictions, None)
        if self.test_cfg.get('output_details', False):
            grid = tuple(frames.features.shape[-2:])
            kinds = self._kinds_of(out.details)
            for sample in data_samples:
                sample.set_metainfo(dict(detail_kinds=kinds, detail_grid=grid))
            for name, values in out.details.items():
                values = self._of_output_joints(values, kinds.get(name))
                for instance, value in zip(instances, values.cpu().split(1)):
                    # A copy: a view would write the whole batch into each sample's file.
                    instance.set_field(value.clone(), name)
        return self.add_pred_to_datasample(instances, fields, data_samples)

    def _of_output_joints(self, values: Tensor, kind: str | None) -> Tensor:
        """A detail of the joints that ``test_cfg.output_keypoint_indices`` chooses, in its order.

        MMPose's head chooses those of the poses.
        """
        joints = self.test_cfg.get('output_keypoint_indices')
        of_joints = kind == 'cells' or (kind == 'heat' and values.ndim == 3)
        return values if joints is None or not of_joints else values[:, joints]

    def _kinds_of(self, details: dict[str, Tensor]) -> dict[str, str]:
        """How to draw some details; empty for a method in the old style, whose are not drawn."""
        unknown = [name for name in details if name not in self.detail_kinds]
        if unknown and isinstance(self.method, VideoMethod):
            raise ValueError(
                f'{type(self.method).__name__} gives the details {", ".join(unknown)}, which its '
                'detail_kinds does not name; expected "cells", "labels" or "heat" for each'
            )
        return {name: self.detail_kinds[name] for name in details if name not in unknown}

    @property
    def detail_kinds(self) -> dict[str, str]:
        """How to draw the method's details, see `VideoMethod`."""
        return getattr(self.method, 'detail_kinds', {})


def _check_heatmap_size(name: str, loss: nn.Module, arguments: tuple) -> None:
    """Hook before the loss of a head: heatmaps, if there are some, have the targets' size."""
    if not all(isinstance(maps, Tensor) and maps.ndim == 4 for maps in arguments[:2]):
        return
    found, expected = (tuple(maps.shape[:-3:-1]) for maps in arguments[:2])  # width, height
    if found != expected:
        raise ValueError(
            f'model.{name} gives heatmaps of {found} cells (width, height), but the target '
            f'heatmaps have {expected}; expected the same (model.{name}.deconv_out_channels, and '
            'the encoder in train_dataloader.dataset.pipeline)'
        )


def mirror_poses(poses: Tensor, width: int, flip_indices: list[int]) -> Tensor:
    """Mirrors poses: x becomes width - 1 - x, and left and right joints are swapped.

    Args:
        poses: (B, T, K, 3) x, y in pixels of the input, and 1 where labeled, otherwise zeros.
        width: of the input in pixels.
        flip_indices: for each of the K joints, the index of the joint on the other side.
    """
    x, y, given = poses[:, :, list(flip_indices)].unbind(-1)
    return torch.stack([(width - 1 - x) * given, y, given], dim=-1)
