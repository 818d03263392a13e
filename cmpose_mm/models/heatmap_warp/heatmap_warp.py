"""Warps a neighbor's heatmaps to the key frame, after PoseWarper (Bertasius et al., NeurIPS 2019).

Readings: *code* is facebookresearch/PoseWarper, *chosen* what differs or is left open here.

Shapes: B clips, T frames, K joints, H' x W' heatmap cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import (
    DEFORM_BACKENDS,
    ResidualChain,
    check_choices,
    check_counts,
    check_lists,
    check_positive,
    deform_conv,
    draw_heatmaps,
    draw_seeds,
    hash_rows,
    need_heatmaps,
)
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod

_TAPS = 9  # of a 3x3 kernel
_SOURCE_STREAM = 1  # of the random numbers


class WarpOffsets(nn.Module):
    """Mean of deformable convolutions of a map, whose offsets come from a difference of heatmaps.

    ::

        D - ResidualChain - conv3x3, dilation d - o_d        for each dilation d
        out = mean over d of DeformConv_d(S; o_d)

    *Code*: all sizes; an offset group for each joint; offsets start at zero and kernels at the
    identity, so that the module starts as a copy of S.

    Args:
        num_joints: K.
        channels: of the residual blocks.
        num_blocks: their number.
        dilations: of the convolutions.
        backend: see `deform_conv`.
    """

    def __init__(
        self,
        num_joints: int,
        channels: int,
        num_blocks: int,
        dilations: Sequence[int],
        backend: str,
    ):
        super().__init__()
        self.dilations, self.backend = tuple(dilations), backend
        self.chain = ResidualChain(num_joints, channels, num_blocks)
        self.offsets = nn.ModuleList(
            nn.Conv2d(channels, 2 * _TAPS * num_joints, 3, padding=d, dilation=d, bias=False)
            for d in self.dilations
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(num_joints, num_joints, 3, padding=d, dilation=d, bias=False)
            for d in self.dilations
        )
        for offset, conv in zip(self.offsets, self.convs):
            nn.init.zeros_(offset.weight)
            nn.init.zeros_(conv.weight)
            with torch.no_grad():
                conv.weight[:, :, 1, 1] = torch.eye(num_joints)

    def forward(self, source: Tensor, difference: Tensor) -> Tensor:
        """Warps.

        Args:
            source: (N, K, H', W') heatmaps S to warp.
            difference: (N, K, H', W') D, heatmaps of the frame to warp to minus those of the frame
                that S is of.

        Returns:
            (N, K, H', W').
        """
        features = self.chain(difference)
        num_taps = _TAPS * source.shape[1]
        ones = source.new_ones(source.shape[0], num_taps, *source.shape[2:])
        warped = [
            deform_conv(source, offset(features), ones, conv.weight, None, d, self.backend)
            for offset, conv, d in zip(self.offsets, self.convs, self.dilations)
        ]
        return torch.stack(warped).mean(0)


class HeatmapWarp(VideoMethod):
    """Carries heatmaps from neighbors to the key frame: a propagator that needs no head.

    ::

        H (B,T,K,H',W') of the frame head:  D_i = H_key - H_i
        training:     one neighbor i of each clip, drawn at random; out = W(H_i; D_i)
        propagation:  L_i drawn from the labels of i;               out = mean over i of W(L_i; D_i)
        otherwise:                                                  out = mean over i of W(H_i; D_i)

    W is `WarpOffsets`, the loss that of the head: MSE against the label of the key frame. *Code*:
    backbone and frame head are trained before and frozen; training warps *predicted* heatmaps,
    since in propagation the key frame has no other; the neighbor is at most 2 frames away
    (``random_neighbors=True, stride=2`` in the dataset, and T = 3). In propagation
    (``clip.poses``), joints that a label lacks stay empty, and so does a clip without labels.
    *Chosen*: a neighbor on each side, of which training draws one; the mean over both sides where
    both have labels. (`tools/propagate_poses.py` gives one label, the nearest, as the code does.)

    The head has no layers: ``dict(type='HeatmapHead', in_channels=K, out_channels=K,
    deconv_out_channels=None, final_layer=None, ...)``.

    Args:
        num_joints: K.
        input_size: (width, height) of the input in pixels, as in the codec.
        sigma: of the Gaussians in cells, as in the codec.
        udp: whether the codec is ``UDPHeatmap``, see `draw_heatmaps`.
        channels, num_blocks, dilations, backend: see `WarpOffsets`.
        num_frames, key_index: see `VideoMethod`; at least 2 frames.

    Raises:
        ValueError: for an argument out of range.
    """

    compares_frames = True
    needs_heatmaps = True
    min_opset = 16  # GridSample

    def __init__(
        self,
        num_joints: int = 15,
        input_size: tuple[int, int] = (192, 256),
        sigma: float = 2.0,
        udp: bool = True,
        channels: int = 128,
        num_blocks: int = 20,
        dilations: Sequence[int] = (3, 6, 12, 18, 24),
        backend: str = 'grid_sample',
        num_frames: int = 3,
        key_index: int | None = None,
    ):
        super().__init__(num_frames, key_index)
        check_counts('HeatmapWarp', num_joints=num_joints, channels=channels, num_blocks=num_blocks)
        check_positive('HeatmapWarp', sigma=sigma)
        check_lists('HeatmapWarp', dilations=dilations, input_size=input_size)
        check_choices('HeatmapWarp', backend=(backend, DEFORM_BACKENDS))
        self.num_joints = num_joints
        self.codec = self.label_codec = dict(input_size=tuple(input_size), sigma=sigma, udp=udp)
        self.warp = WarpOffsets(num_joints, channels, num_blocks, dilations, backend)
        self.neighbors = [place for place in range(num_frames) if place != self.key_index]

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Warps the neighbors' heatmaps (B, K, H', W'), see the class.

        Raises:
            ValueError: if there are none, or they are not of K joints.
        """
        heatmaps = need_heatmaps('HeatmapWarp', clip)
        if heatmaps.shape[2] != self.num_joints:
            raise ValueError(
                f'HeatmapWarp: model.method.num_joints is {self.num_joints}, but model.frame_head '
                f'gives {heatmaps.shape[2]} joints; expected the same'
            )
        key = heatmaps[:, self.key_index]
        heatmaps = heatmaps[:, self.neighbors]  # (B, T - 1, K, H', W')
        valid = clip.valid[:, self.neighbors]
        if self.training:
            drawn = self._draw(clip, valid)
            source = heatmaps[torch.arange(len(drawn), device=drawn.device), drawn]
            return MethodOutput(heatmaps=self.warp(source, key - source))
        sources, weights, fallback = heatmaps, valid[..., None].to(key.dtype), key
        if clip.poses is not None:
            poses = clip.poses[:, self.neighbors]
            sources = draw_heatmaps(poses, key.shape[-2:], **self.codec).to(key.dtype)
            weights = weights * (poses[..., 2] > 0)
            fallback = torch.zeros_like(key)
        differences = key[:, None] - heatmaps
        warped = self.warp(sources.flatten(0, 1), differences.flatten(0, 1))
        # With unflatten the ONNX export would fix the number of clips.
        warped = warped.reshape(-1, len(self.neighbors), *warped.shape[1:])
        weights = weights[..., None, None]
        total = weights.sum(1)
        mean = (weights * warped).sum(1) / total.clamp(min=1)
        return MethodOutput(heatmaps=torch.where(total > 0, mean, fallback))

    def _draw(self, clip: ClipInput, valid: Tensor) -> Tensor:
        """(B,) a neighbor of each clip at random, among those that exist if there are any."""
        seeds = clip.seeds
        if seeds is None:
            seeds = draw_seeds(len(valid), valid.device)
        rows = torch.arange(valid.shape[1], device=valid.device)
        rank = hash_rows(seeds, _SOURCE_STREAM, rows) >> 2  # -2^61 to 2^61, room for the next line
        return torch.where(valid, rank, rank - 2**62).argmax(1)
