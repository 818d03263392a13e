"""The slot that every video method stands in: what it is given and what it hands back.

A *method* turns what is known of the frames of a clip into one feature map (or the heatmaps) of the
clip's key frame. Plain torch: no MMPose here.

Shapes: B clips, T frames, K joints, H x W input pixels, H' x W' heatmap cells, C_j channels and
h_j x w_j cells of feature map j.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

DETAIL_KINDS = ('cells', 'labels', 'heat')
"""How a detail is drawn, see `VideoMethod.detail_kinds`."""


@dataclass
class FrameFeatures:
    """What is known of single frames, each seen alone. Leading axes: (N,) frames, or (B, T).

    Attributes:
        maps: Feature maps of backbone and neck, (..., C_j, h_j, w_j), early stages first.
        heatmaps: (..., K, H', W') of the frame head; None for a method that does not need them.
    """

    maps: tuple[Tensor, ...]
    heatmaps: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """The last map, (..., C, h, w), which is what a single-frame head sees."""
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
        """Puts frames side by side along a new first axis."""
        maps = tuple(torch.stack(same) for same in zip(*(part.maps for part in parts)))
        heatmaps = None
        if parts[0].heatmaps is not None:
            heatmaps = torch.stack([part.heatmaps for part in parts])
        return FrameFeatures(maps, heatmaps)


@dataclass
class ClipInput(FrameFeatures):
    """What a method is given of B clips; `maps` and `heatmaps` have the leading axes (B, T).

    Attributes:
        offsets: (B, T) int64 signed distance of each frame to the key frame, in frames. A frame
            that stands in for one beyond the video's end has the distance of the missing one.
        valid: (B, T) bool, False where a frame stands in for another.
        poses: (B, T, K, 3) labeled poses of the same person in the neighbors: x, y in pixels of the
            input, and 1 where given (else all three are 0). Never those of the key frame.
        targets: (B, K, H', W') heatmaps of the labels, in training only.
        target_weights: (B, K) weights of the joints in the loss, in training only.
        seeds: (B,) int64 seeds of what the method draws at random in training.
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
        """Clips of frames at equal distances that all exist.

        Args:
            frames: (B, T, ...) frames, or their only map (B, T, C, h, w).
            key_index: Position of the key frame in the clip.
            stride: Distance of two frames.
            **more: Attributes that are known otherwise.
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
        losses: Auxiliary losses by name, scalars, already weighted; empty in eval mode. Names with
            "loss" in them are summed, others are only logged; none may be a name of the head's.
        details: What the method can show about its decisions, each tensor (B, ...), detached.
        heatmaps: (B, K, H', W') heatmaps of the key frame, in place of ``key_features``, of a
            method that needs no layers of a head.
    """

    key_features: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    details: dict[str, Tensor] = field(default_factory=dict)
    heatmaps: Tensor | None = None

    @property
    def head_input(self) -> tuple[Tensor]:
        """What the head is given."""
        return (self.key_features if self.heatmaps is None else self.heatmaps,)


class VideoMethod(nn.Module):
    """Base class of the video methods: the clips that a method is built for, and what it needs.

    A subclass has ``forward(clip: ClipInput) -> MethodOutput``.

    Attributes:
        needs_heatmaps: The method reads ``clip.heatmaps``: the model needs a ``frame_head``.
        needs_poses: It reads ``clip.poses``: the dataset needs ``neighbor_poses=True``.
        needs_images: It reads ``clip.images``, as optical flow does. Track crops are then refused,
            whose frames are cut by different boxes.
        detail_kinds: Name of each detail that it can give -> how to draw it: ``'cells'`` (B, K, n)
            indices of cells that belong to a joint, ``'labels'`` (B, N) a number for each cell
            (equal ones belong together, -1 to nothing), ``'heat'`` (B, N) or (B, K, N) a value for
            each cell. N = h * w cells, cell (y, x) is y * w + x.
        num_training_frames: T in training, where that is not ``num_frames``.

    Args:
        num_frames: T, frames of a clip.
        key_index: Position of the key frame in the clip; None for the middle, T // 2. Clips without
            future frames (``causal=True`` in the dataset) have it at T - 1.

    Raises:
        ValueError: If ``key_index`` is no position in the clip.
    """

    needs_heatmaps = False
    needs_poses = False
    needs_images = False
    detail_kinds: dict[str, str] = {}

    def __init__(self, num_frames: int = 3, key_index: int | None = None):
        super().__init__()
        key_index = num_frames // 2 if key_index is None else key_index
        if not 0 <= key_index < num_frames:
            raise ValueError(
                f'{type(self).__name__}: key_index is {key_index}, expected 0 to {num_frames - 1} '
                f'for {num_frames} frames'
            )
        self.num_frames = num_frames
        self.key_index = key_index

    @property
    def num_training_frames(self) -> int:
        return self.num_frames

    def forward(self, clip: ClipInput) -> MethodOutput:
        """The key frame's features of B clips."""
        raise NotImplementedError

    def selecting_at_random(self, generator: torch.Generator) -> AbstractContextManager:
        """A context in which the method selects cells at random, as a control for what it selects.

        Only for methods with a detail of the kind ``'cells'``.

        Args:
            generator: Of the random numbers, on the CPU.
        """
        raise NotImplementedError(
            f'{type(self).__name__} can not select at random, which this measurement needs as a '
            'control; expected a method that overrides selecting_at_random'
        )
