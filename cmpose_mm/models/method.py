"""The interface of every video method: what it receives and what it returns.

A *method* turns the features of a clip's frames into one feature map (or the heatmaps) of the
clip's key frame. Plain torch, no MMPose.

Shapes: B clips, T frames, K joints, H x W input pixels, H' x W' heatmap cells, C_j channels and
h_j x w_j cells of feature map j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from numbers import Integral

import torch
from torch import Tensor, nn

DETAIL_KINDS = ('cells', 'labels', 'heat')
"""How a detail is drawn, see `VideoMethod.detail_kinds`."""


@dataclass
class FrameFeatures:
    """Features of single frames, each computed from that frame alone.

    Leading axes: (N,) frames, or (B, T).

    Attributes:
        maps: feature maps of backbone and neck, (..., C_j, h_j, w_j), early stages first.
        heatmaps: (..., K, H', W') of the frame head; None if the model has no frame head.
    """

    maps: tuple[Tensor, ...]
    heatmaps: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """The last map, (..., C, h, w), the input of a single-frame head."""
        return self.maps[-1]

    def map(self, function: Callable[[Tensor], Tensor]) -> FrameFeatures:
        """The same frames with ``function`` applied to every tensor."""
        heatmaps = None if self.heatmaps is None else function(self.heatmaps)
        return FrameFeatures(tuple(function(features) for features in self.maps), heatmaps)

    def __getitem__(self, index) -> FrameFeatures:
        """Some of the frames: every tensor indexed along its leading axes."""
        return self.map(lambda tensor: tensor[index])

    @staticmethod
    def stack(parts: Sequence[FrameFeatures]) -> FrameFeatures:
        """Stacks frames along a new first axis."""
        maps = tuple(torch.stack(same) for same in zip(*(part.maps for part in parts)))
        heatmaps = None
        if parts[0].heatmaps is not None:
            heatmaps = torch.stack([part.heatmaps for part in parts])
        return FrameFeatures(maps, heatmaps)


@dataclass
class ClipInput(FrameFeatures):
    """What a method receives for B clips; `maps` and `heatmaps` have the leading axes (B, T).

    Attributes:
        offsets: (B, T) int64 signed distance of each frame from the key frame, in frames. A frame
            that replaces one beyond the video's ends has the distance of the missing frame.
        valid: (B, T) bool, False where a frame replaces a missing one.
        poses: (B, T, K, 3) labeled poses of the same person in the neighboring frames: x, y in
            pixels of the input, and 1 where labeled, otherwise three zeros. The pose of the key
            frame is never given.
        targets: (B, K, H', W') target heatmaps, in training only.
        target_weights: (B, K) weights of the joints in the loss, in training only.
        seeds: (B,) int64 seeds for the method's random numbers in training.
        images: (B, T, 3, H, W) normalized frames, for a method with ``needs_images``.
    """

    offsets: Tensor | None = None
    valid: Tensor | None = None
    poses: Tensor | None = None
    targets: Tensor | None = None
    target_weights: Tensor | None = None
    seeds: Tensor | None = None
    images: Tensor | None = None

    @classmethod
    def of(
        cls,
        frames: FrameFeatures | Tensor,
        key_index: int,
        stride: int = 1,
        **more: Tensor | None,
    ) -> ClipInput:
        """Clips whose frames all exist, at equal distances.

        Args:
            frames: (B, T, ...) frames, or their only map (B, T, C, h, w).
            key_index: position of the key frame in the clip.
            stride: distance between two frames.
            **more: other attributes; ``offsets`` and ``valid`` replace those of equal distances.
        """
        if isinstance(frames, Tensor):
            frames = FrameFeatures((frames,))
        shape, device = frames.features.shape[:2], frames.features.device
        if more.get('offsets') is None:
            offsets = (torch.arange(shape[1], device=device) - key_index) * stride
            more['offsets'] = offsets.expand(shape[0], -1)
        if more.get('valid') is None:
            more['valid'] = torch.ones_like(more['offsets'], dtype=torch.bool)
        return cls(frames.maps, frames.heatmaps, **more)


@dataclass
class MethodOutput:
    """Result of a video method for B clips.

    Attributes:
        key_features: (B, D, h, w) feature map of the key frame, the heatmap head's input.
        losses: auxiliary losses by name, scalars, already weighted; empty in eval mode. Names with
            "loss" in them are summed, others are only logged. No name may be that of a loss of the
            head.
        details: what the method can show about its decisions, each tensor (B, ...), detached.
        heatmaps: (B, K, H', W') heatmaps of the key frame, instead of ``key_features``, from a
            method that needs no layers of a head.
    """

    key_features: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    details: dict[str, Tensor] = field(default_factory=dict)
    heatmaps: Tensor | None = None

    @property
    def head_input(self) -> tuple[Tensor]:
        """The head's input."""
        maps = self.key_features if self.heatmaps is None else self.heatmaps
        if torch.__version__.startswith('2.0.'):
            # On a CPU its transposed convolutions go by the stride along a batch of one, too, which
            # in a slice of a clip is another: they read what is beside it. A product has none.
            maps = maps * 1
        return (maps,)


class VideoMethod(nn.Module):
    """Base class of video methods: the clips that a method expects, and what it needs.

    A subclass implements ``forward(clip: ClipInput) -> MethodOutput``.

    Attributes:
        compares_frames: the method needs clips of at least two frames.
        needs_heatmaps: the method reads ``clip.heatmaps``, so the model needs a ``frame_head``.
        needs_poses: it reads ``clip.poses``, so the dataset needs ``neighbor_poses=True``.
        needs_images: it reads ``clip.images``, for example for optical flow. It then cannot use
            track crops, which crop each frame with a box of its own.
        tolerates_track_crops: track crops cost it no accuracy on real footage, as was measured.
            Only then `VideoPoseInferencer` uses them by default.
        detail_kinds: name of each detail that the method can return -> how to draw it. ``'cells'``
            (B, K, n): indices of the cells that belong to each joint. ``'labels'`` (B, N): a number
            for each cell, equal for cells that belong together, -1 for none. ``'heat'`` (B, N) or
            (B, K, N): a value for each cell. N = h * w; cell (y, x) has the index y * w + x.
        image_normalization: mean and std, RGB from 0 to 255, with which ``clip.images`` have to be
            normalized; None if the method does not say.
        not_exportable: one sentence that says why the method can not be exported (ONNX,
            torch.export); None if it can.
        min_opset: least version of ONNX's operators that has all that the method needs.
        least_clips: fewest clips that a batch of one process may have in training. A method that
            compares the clips of a batch sets it at the first step.
        num_training_frames: T in training, if it differs from ``num_frames``.
        out_channels: D of ``MethodOutput.key_features``, to check the head against; None if the
            method does not say.
        label_codec: of a method that draws labels itself, ``input_size`` (width, height),
            whether it draws as ``UDPHeatmap`` does (``udp``), to check the head's decoder against,
            and perhaps ``sigma`` in cells, of which another value is a warning.

    Args:
        num_frames: T, frames of a clip.
        key_index: position of the key frame in the clip; None for the middle, T // 2. In clips
            without future frames (``causal=True`` in the dataset) it is T - 1.

    Raises:
        ValueError: if ``num_frames`` is not a whole number of at least 1 (2 with
            ``compares_frames``), or ``key_index`` is outside the clip.
    """

    compares_frames = False
    needs_heatmaps = False
    needs_poses = False
    needs_images = False
    tolerates_track_crops = False
    detail_kinds: dict[str, str] = {}
    image_normalization: tuple[Sequence[float], Sequence[float]] | None = None
    not_exportable: str | None = None
    min_opset = 14
    least_clips = 1
    out_channels: int | None = None
    label_codec: dict | None = None

    def __init__(self, num_frames: int = 3, key_index: int | None = None):
        super().__init__()
        if not isinstance(num_frames, Integral) or num_frames < 1:
            raise ValueError(
                f'{type(self).__name__}: model.method.num_frames is {num_frames!r}, expected a '
                'whole number of at least 1'
            )
        if self.compares_frames and num_frames < 2:
            raise ValueError(
                f'{type(self).__name__}: model.method.num_frames is {num_frames}, expected at '
                'least 2: it compares frames'
            )
        key_index = num_frames // 2 if key_index is None else key_index
        if not isinstance(key_index, Integral) or not 0 <= key_index < num_frames:
            raise ValueError(
                f'{type(self).__name__}: model.method.key_index is {key_index!r}, expected 0 to '
                f'{num_frames - 1} for {num_frames} frames'
            )
        self.num_frames = num_frames
        self.key_index = key_index

    @property
    def num_training_frames(self) -> int:
        return self.num_frames

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Computes the key frames' features of B clips."""
        raise NotImplementedError

    def selecting_at_random(self, generator: torch.Generator) -> AbstractContextManager:
        """Context in which the method selects random cells, as a control for its own selection.

        Only for methods with a detail of the kind ``'cells'``.

        Args:
            generator: source of the random numbers, on the CPU.
        """
        raise NotImplementedError(
            f'{type(self).__name__} can not select at random, which this measurement needs as a '
            'control; expected a method that overrides selecting_at_random'
        )
