"""STDPose: what moves, what the frames' features say together, and what their heatmaps say.

Source: Jiao et al., "SpatioTemporal Learning for Human Pose Estimation in Sparsely-Labeled Videos",
AAAI 2025. Neither the paper's text nor code could be had, so this is a reconstruction: *paper*
means its abstract and reviews of it, *chosen* what they leave open.

Shapes: B clips, T frames, K joints, D channels of the head's input, C channels of the motion, h x w
cells of the last map, N = h * w, H' x W' cells of a heatmap, W x H input pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmpose_mm.models.cmpose import CrissCrossSTNeck
from cmpose_mm.models.layers import (
    check_choices,
    check_counts,
    check_heads,
    check_heatmaps,
    check_lists,
    check_maps,
    check_not_negative,
    check_positive,
    draw_heatmaps,
    key_for_missing,
)
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod

from .dynamic_mask import DynamicAwareMask, dynamic_masks
from .keypoint_synthesis import KeypointSynthesis, nearness
from .temporal_fusion import TemporalFeatureFusion

MASKS = ('heatmaps', 'ones', None)
FUSIONS = ('joint', 'criss_cross', None)


class STDPose(VideoMethod):
    """STDPose without backbone, frame head and head.

    ::

        features F (B,T,D,h,w), heatmaps H (B,T,K,H',W') of the frame head, or of labels where given
        DAM  H_t - H_i - Sigm - masks M_i (B,T-1,h,w);  M_i F_i - convs - motion G      (B,D,h,w)
        TFF  F + embeddings, T * N tokens - transformer, the key frame's tokens - F~    (B,D,h,w)
        TKS  H - grouped conv over T - (B,K,H',W') - a conv of stride s - H~            (B,D,h,w)
        [F~; H~; G] - Linear 3D -> D - head

    Before training, the last step takes F~ alone, and F~ is the key frame's own map F_t, so the
    model is its single-frame model (*chosen*).

    *Paper*: the three parts and what goes into them; `dynamic_masks`, `TemporalFeatureFusion` and
    `KeypointSynthesis` say more. *Chosen*: sizes, the last step, T = 3, and that a missing frame
    is replaced by the key frame at distance 0, with no weight in TKS, so what stands in for it
    changes nothing.

    With ``labels``, the network is for the propagation of poses: the heatmaps of joints that are
    labeled in a neighbor are drawn from ``clip.poses`` (*chosen*); the key frame, and joints
    without a label, have those of the frame head. The key frame's own labels are never read.

    Details, each (B, N): ``mask_before_1``, ``mask_after_1``, ..., the masks M_i of the neighbors
    so many places before and after the key frame (only with ``dam='heatmaps'``).

    Args:
        in_channels: D, channels of the last map.
        num_frames, key_index: see `VideoMethod`; at least two frames.
        num_keypoints: K of the frame head.
        heatmap_scale: s, cells of a heatmap for a cell of the map, along one axis: 4 for a ViT with
            two deconvolutions.
        grid: (h, w), cells of the last map.
        dam: ``'heatmaps'``; ``'ones'`` for masks of ones; None for no G.
        dam_steepness, dam_threshold: k and theta of `dynamic_masks`.
        dam_detach: no gradient through the masks into the heatmaps.
        dam_normalize: see `dynamic_masks`. For propagation, as labels peak at 1 and predictions
            lower.
        dam_channels: C.
        tff: ``'joint'``, attention over all tokens, see `TemporalFeatureFusion`;
            ``'criss_cross'``, CM-Pose's `CrissCrossSTNeck`, which knows a frame's place in the
            clip, not its distance; None for F~ = F_t.
        tff_layers: layers, or blocks of the neck.
        num_heads: of the attention.
        tks: False for no H~.
        labels: the config of the data's codec, a ``UDPHeatmap``, if labels of neighbors are given;
            None if not.

    Raises:
        ValueError: if an argument is outside its range.
    """

    compares_frames = True
    needs_heatmaps = True

    def __init__(
        self,
        in_channels: int,
        num_frames: int = 3,
        key_index: int | None = None,
        num_keypoints: int = 15,
        heatmap_scale: int = 4,
        grid: Sequence[int] = (16, 12),
        dam: str | None = 'heatmaps',
        dam_steepness: float = 30.0,
        dam_threshold: float = 0.15,
        dam_detach: bool = True,
        dam_normalize: bool = False,
        dam_channels: int = 256,
        tff: str | None = 'joint',
        tff_layers: int = 2,
        num_heads: int = 8,
        tks: bool = True,
        labels: dict | None = None,
    ):
        super().__init__(num_frames, key_index)
        check_choices('STDPose', dam=(dam, MASKS), tff=(tff, FUSIONS))
        check_counts(
            'STDPose', in_channels=in_channels, num_keypoints=num_keypoints,
            heatmap_scale=heatmap_scale, dam_channels=dam_channels, tff_layers=tff_layers,
        )  # fmt: skip
        check_positive('STDPose', dam_steepness=dam_steepness)
        check_not_negative('STDPose', dam_threshold=dam_threshold)
        check_heads('STDPose', num_heads, in_channels)
        check_lists('STDPose', grid=grid)
        if len(grid) != 2:
            raise ValueError(
                f'STDPose: model.method.grid is {tuple(grid)}, expected the rows and columns of '
                'the last map'
            )
        self.out_channels = in_channels
        self.num_keypoints = num_keypoints
        self.heatmap_scale = heatmap_scale
        self.grid = tuple(grid)
        self.dam = dam
        self.dam_options = dict(
            steepness=dam_steepness, threshold=dam_threshold, normalize=dam_normalize
        )
        self.dam_detach = dam_detach
        self.motion = self.fusion = self.synthesis = None
        if dam is not None:
            self.motion = DynamicAwareMask(in_channels, dam_channels, num_frames, self.key_index)
        if tff == 'joint':
            self.fusion = TemporalFeatureFusion(in_channels, self.grid, tff_layers, num_heads)
        elif tff == 'criss_cross':
            self.fusion = CrissCrossSTNeck(
                in_channels, num_keypoints, num_frames, num_blocks=tff_layers, num_heads=num_heads
            )
        if tks:
            self.synthesis = KeypointSynthesis(
                num_keypoints, num_frames, self.key_index, in_channels, heatmap_scale
            )
        parts = 1 + (dam is not None) + tks
        self.aggregation = nn.Conv2d(parts * in_channels, in_channels, 1)
        nn.init.zeros_(self.aggregation.weight)
        nn.init.eye_(self.aggregation.weight.data[:, :in_channels, 0, 0])
        nn.init.zeros_(self.aggregation.bias)
        self.labels = None
        if labels is not None:
            self.labels = label_options(labels)
            # Its sigma is to be that of the frame head, not of the head.
            self.label_codec = dict(input_size=self.labels['input_size'], udp=True)
            self.labels_size = tuple(labels['heatmap_size'])[::-1]
            self.needs_poses = True
            self.not_exportable = (
                'STDPose: model.method.labels is set, so the model takes labels of the neighbors, '
                'and an exported model takes frames alone; expected labels=None'
            )
        names = [f'mask_before_{self.key_index - i}' for i in range(self.key_index)]
        names += [f'mask_after_{i + 1}' for i in range(num_frames - 1 - self.key_index)]
        self.detail_kinds = dict.fromkeys(names if dam == 'heatmaps' else [], 'heat')

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Computes the key frame's features of B clips.

        Args:
            clip: its last map, heatmaps, offsets and validity are used, and the poses with
                ``labels``.

        Raises:
            ValueError: if maps or heatmaps are not those of the config.
        """
        check_maps('STDPose', clip.maps[-1:], [self.out_channels])
        found = tuple(int(size) for size in clip.features.shape[-2:])
        if found != self.grid:
            raise ValueError(
                f'STDPose: model.method.grid is {self.grid}, but backbone and neck give maps of '
                f'{found} cells; expected the same'
            )
        check_heatmaps('STDPose', clip, self.num_keypoints, self.heatmap_scale)
        features = key_for_missing(clip.features, clip.valid, self.key_index)
        heatmaps = key_for_missing(self.labeled_heatmaps(clip), clip.valid, self.key_index)
        parts, details = [self.fused_features(features, clip)], {}
        if self.synthesis is not None:
            weights = nearness(clip.offsets, clip.valid, self.key_index, heatmaps.dtype)
            parts.append(self.synthesis(heatmaps, weights))
        if self.motion is not None:
            masks = None
            if self.dam == 'heatmaps':
                masks = self.masks(heatmaps)
                details = dict(zip(self.detail_kinds, masks.detach().flatten(2).unbind(1)))
            parts.append(self.motion(features, masks))
        return MethodOutput(self.aggregation(torch.cat(parts, dim=1)), {}, details)

    def labeled_heatmaps(self, clip: ClipInput) -> Tensor:
        """H (B, T, K, H', W'): the frame head's, or with ``labels`` those of labels where given.

        Raises:
            ValueError: if the labels' heatmaps have another size than the frame head's.
        """
        if self.labels is None:
            return clip.heatmaps
        size = tuple(clip.heatmaps.shape[3:])
        if size != self.labels_size:
            raise ValueError(
                'STDPose: model.method.labels.heatmap_size is '
                f'{self.labels_size[::-1]}, but model.frame_head gives heatmaps of '
                f'{size[::-1]}; expected the same'
            )
        drawn = draw_heatmaps(clip.poses, size, **self.labels)
        given = drawn.amax(dim=(3, 4), keepdim=True) > 0  # some joints are too far outside
        is_key = torch.arange(self.num_frames, device=drawn.device) == self.key_index
        given = given & ~is_key.reshape(-1, 1, 1, 1)
        return torch.where(given, drawn.to(clip.heatmaps.dtype), clip.heatmaps)

    def masks(self, heatmaps: Tensor) -> Tensor:
        """M (B, T - 1, h, w) of heatmaps (B, T, K, H', W')."""
        if self.dam_detach:
            heatmaps = heatmaps.detach()
        return dynamic_masks(heatmaps, self.key_index, self.heatmap_scale, **self.dam_options)

    def fused_features(self, features: Tensor, clip: ClipInput) -> Tensor:
        """F~ (B, D, h, w) of features (B, T, D, h, w)."""
        if self.fusion is None:
            return features[:, self.key_index]
        tokens = features.flatten(3).transpose(2, 3)
        if isinstance(self.fusion, TemporalFeatureFusion):
            offsets = torch.where(clip.valid, clip.offsets, torch.zeros_like(clip.offsets))
            fused = self.fusion(tokens, offsets, self.key_index)
        else:
            fused = self.fusion(tokens).tokens[:, self.key_index]
        # With unflatten the ONNX export would fix the number of clips.
        return fused.transpose(1, 2).reshape(-1, *features.shape[2:])


def label_options(codec: dict) -> dict:
    """Arguments of `draw_heatmaps` that draw as a codec of MMPose does.

    Args:
        codec: config of a ``UDPHeatmap``.

    Raises:
        ValueError: if it is the config of another codec, or lacks its sizes.
    """
    if not isinstance(codec, dict) or not {'input_size', 'heatmap_size'} <= {*codec}:
        raise ValueError(
            f"STDPose: model.method.labels is {codec!r}, expected the config of the data's codec "
            'with input_size and heatmap_size'
        )
    kind = codec.get('type'), codec.get('heatmap_type', 'gaussian')
    if kind != ('UDPHeatmap', 'gaussian'):
        raise ValueError(
            f'STDPose: model.method.labels is the config of a {" ".join(map(str, kind))}, expected '
            'that of a UDPHeatmap gaussian, the codec of the data'
        )
    return dict(input_size=tuple(codec['input_size']), sigma=codec.get('sigma', 2.0))
