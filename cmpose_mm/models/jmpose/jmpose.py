"""JM-Pose: motion and joints, which learn from each other.

Source: Wu et al., "Joint-Motion Mutual Learning for Pose Estimation in Videos", ACM MM 2024. The
paper's text could not be had: *paper* means its abstract and its figures, *code* the public code of
its authors, *chosen* what both leave open or what is done differently here.

Shapes: B clips, T frames, K joints, C channels, D channels of the head's input, L layers, h x w
cells of the last map, N = h * w, H' x W' cells of a heatmap.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.layers import (
    DEFORM_BACKENDS,
    KeyAggregation,
    ModulatedDeform,
    ResidualChain,
    StageMaps,
    cell_lengths,
    check_choices,
    check_counts,
    check_heads,
    check_heatmaps,
    check_maps,
    check_not_negative,
    check_positive,
    gaussian_mi,
    offset_groups,
    require_samples,
    resample,
)
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod

from .motion import DifferenceMotion, FlowMotion, check_flow
from .mutual_learning import MutualLearning

MOTIONS = ('difference', 'flow')
CONDITIONS = ('heatmaps', None)


class JMPose(VideoMethod):
    """JM-Pose without backbone, frame head and head.

    ::

        heatmaps (B,T,K,H',W') of the frame head - to the grid - H^ (B,TK,h,w)
        frames up to t - M^l ; frames from t on - M^r ; [M^l, M^r] - conv - M^0     (B,C,h,w)
        context-aware joint learner:  E = ResidualChain_1([H^, M^0])
                                      J^0 = ModulatedDeform(M^0; E)
        joint-motion mutual learning: M^i, J^i = MutualLearning(M^(i-1), J^(i-1)),  i = 1..L
        KeyAggregation([F_t, M^L, J^L]) - head

    Before training, the head's input is the key frame's own map F_t, so the model is its
    single-frame model (*chosen*; ``residual=False`` is a plain chain).

    *Paper* (figures): motion flow of both sides, joints found in it by deformation under the
    heatmaps, mutual learning, the objective I(J; M | H^). *Chosen*: the kind of motion
    (`DifferenceMotion`; optical flow is the *code*), H^ of all frames, by pixel-unshuffle and a 1x1
    convolution where heatmaps are finer than the grid (which keeps places within a cell), E, L = 2,
    F_t in the aggregation (otherwise a still clip has no appearance).

    Loss ``loss_orthogonality``: ``orthogonality_weight`` * mean over i of I(M^i; J^i | H^) / C, by
    `gaussian_mi` over all cells of the batch and of all processes, each channel of variance 1, H^
    detached. (The code of a forerunner has a KL divergence that draws M and J together.) Which
    information is meant is *paper*; estimator and weight are *chosen*.

    Details, all (B, N): ``joint_weights``, the mean weight that the joint learner gives to what it
    reads for a cell (not with ``joint_learner=False``); ``motion`` and ``joints``, lengths of M^L
    and J^L.

    Args:
        in_channels: D, channels of the last map.
        channels: C, a multiple of 12 or of 8; None uses the map as it is, for HRNet. See
            `StageMaps`.
        num_frames, key_index: see `VideoMethod`; at least two frames. Without future frames there
            is no M^r.
        num_keypoints: K of the frame head.
        heatmap_scale: cells of a heatmap for a cell of the map, along one axis: 4 for a ViT with
            two deconvolutions, 1 for HRNet.
        motion: ``'difference'`` or ``'flow'``. Optical flow needs the images, so track crops are
            refused; so is the export to ONNX and by torch.export, while torch.compile works.
        flow: arguments of `FlowMotion`, with ``motion='flow'``: ``weights`` is the path of RAFT's
            weights.
        joint_learner: False for J^0 = M^0.
        num_layers: L; 0 for no mutual learning.
        num_heads: of `ChannelAttention`.
        deformation: backend of `ModulatedDeform`.
        orthogonality_weight: weight of ``loss_orthogonality``; 0 turns it off.
        condition: ``'heatmaps'``, or None for I(M^i; J^i).
        noise: standard deviation of the noise in the estimate.
        residual: see `KeyAggregation`.

    Raises:
        ValueError: if an argument is outside its range, or arguments contradict each other.
    """

    compares_frames = True
    needs_heatmaps = True
    detail_kinds = dict(joint_weights='heat', motion='heat', joints='heat')
    min_opset = 16  # GridSample

    def __init__(
        self,
        in_channels: int,
        channels: int | None = None,
        num_frames: int = 5,
        key_index: int | None = None,
        num_keypoints: int = 15,
        heatmap_scale: int = 4,
        motion: str = 'difference',
        flow: dict | None = None,
        joint_learner: bool = True,
        num_layers: int = 2,
        num_heads: int = 8,
        deformation: str = 'grid_sample',
        orthogonality_weight: float = 1e-3,
        condition: str | None = 'heatmaps',
        noise: float = 0.1,
        residual: bool = True,
    ):
        super().__init__(num_frames, key_index)
        check_choices(
            'JMPose',
            motion=(motion, MOTIONS),
            condition=(condition, CONDITIONS),
            deformation=(deformation, DEFORM_BACKENDS),
        )
        check_not_negative('JMPose', orthogonality_weight=orthogonality_weight)
        check_positive('JMPose', noise=noise)
        if (motion == 'flow') != (flow is not None):
            raise ValueError(
                f'JMPose: model.method.motion is {motion!r} and model.method.flow is {flow!r}, '
                "expected arguments of the flow with motion='flow', and only then"
            )
        check_counts(
            'JMPose', in_channels=in_channels, num_keypoints=num_keypoints,
            heatmap_scale=heatmap_scale,
        )  # fmt: skip
        check_counts('JMPose', least=0, num_layers=num_layers)
        if num_layers == 0 and orthogonality_weight > 0:
            raise ValueError(
                f'JMPose: model.method.num_layers is {num_layers}, expected at least 1, or 0 with '
                'orthogonality_weight=0: without layers there is nothing to compare'
            )
        self.needs_images = motion == 'flow'
        self.out_channels = in_channels
        width = in_channels if channels is None else channels
        check_counts('JMPose', channels=width)
        check_heads('JMPose', num_heads, width)
        given = 'in_channels' if channels is None else 'channels'
        offset_groups(width, f'JMPose: model.method.{given}')  # refuses those that do not fit

        self.stage_maps = None
        if motion == 'flow':
            check_flow(flow)
            self.motion = FlowMotion(width, num_frames, self.key_index, **flow)
            self.image_normalization = self.motion.normalization
            self.not_exportable = (
                "JMPose: model.method.motion is 'flow', and torchvision's RAFT can not be exported "
                "for any number of clips; expected motion='difference'"
            )
        else:
            self.motion = DifferenceMotion(width, num_frames, self.key_index)
            self.stage_maps = StageMaps([in_channels], channels, [0], 0, 'JMPose')
            self.stage_maps.freeze_biases(1)
        self.num_keypoints = num_keypoints
        self.heatmap_scale = heatmap_scale
        self.to_grid = None
        if heatmap_scale > 1 and joint_learner:
            self.to_grid = nn.Conv2d(num_keypoints * heatmap_scale**2, num_keypoints, 1)
        self.context = self.joint_learner = None
        if joint_learner:
            joints = num_frames * num_keypoints
            self.context = ResidualChain(joints + width, width, 1)
            self.joint_learner = ModulatedDeform(width, width, dilation=1, backend=deformation)
        self.layers = nn.ModuleList(MutualLearning(width, num_heads) for _ in range(num_layers))
        self.aggregation = KeyAggregation(in_channels, in_channels + 2 * width, width, residual)
        self.orthogonality_weight = orthogonality_weight
        self.condition = condition
        self.noise = noise

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Computes the key frame's features of B clips.

        Args:
            clip: its last map and the heatmaps are used, and the images with ``motion='flow'``.

        Raises:
            ValueError: if maps, heatmaps or images are not those of the config, or the batch has
                too few cells for ``loss_orthogonality``.
        """
        check_maps('JMPose', clip.maps[-1:], [self.out_channels])
        key = clip.features[:, self.key_index]
        if self.stage_maps is None:
            motion = self.motion(clip.images, key.shape[-2:])
        else:
            (frames,) = self.stage_maps(clip.maps[-1:])
            motion = self.motion(frames)
        heatmaps = self.heatmaps_on_grid(clip)
        joints, details = motion, {}
        if self.joint_learner is not None:
            context = self.context(torch.cat([heatmaps, motion], dim=1))
            joints, weights = self.joint_learner(motion, context)
            details['joint_weights'] = weights.detach().float().mean(1).flatten(1)
        streams = []
        for layer in self.layers:
            motion, joints = layer(motion, joints)
            streams.append((motion, joints))
        key_features = self.aggregation(key, [key, motion, joints])
        details.update(motion=cell_lengths(motion), joints=cell_lengths(joints))
        losses = {}
        if self.training and self.orthogonality_weight > 0:
            losses['loss_orthogonality'] = self.orthogonality_loss(streams, heatmaps)
        return MethodOutput(key_features, losses, details)

    def heatmaps_on_grid(self, clip: ClipInput) -> Tensor:
        """H^ (B, T * K, h, w), the heatmaps of all frames on the grid of the last map.

        Raises:
            ValueError: if the heatmaps have other joints or another size than the config says.
        """
        check_heatmaps('JMPose', clip, self.num_keypoints, self.heatmap_scale)
        height, width = clip.features.shape[-2:]
        heatmaps = clip.heatmaps.flatten(0, 1)
        if self.to_grid is not None:
            heatmaps = self.to_grid(F.pixel_unshuffle(heatmaps, self.heatmap_scale))
        else:  # without a learner, no loss would reach a convolution
            heatmaps = resample(heatmaps, (height, width))
        # With unflatten the ONNX export would fix the number of clips.
        return heatmaps.reshape(-1, self.num_frames * self.num_keypoints, height, width)

    def orthogonality_loss(self, streams: list[tuple[Tensor, Tensor]], heatmaps: Tensor) -> Tensor:
        """``loss_orthogonality``, see the class.

        Args:
            streams: M^i and J^i of each layer, (B, C, h, w).
            heatmaps: H^ (B, T * K, h, w).

        Raises:
            ValueError: if the batch has too few cells, or there are no layers.
        """

        def samples(x: Tensor) -> Tensor:
            return x.movedim(1, -1).flatten(0, 2)

        if not streams:
            raise ValueError(
                f'JMPose: model.method.orthogonality_weight became {self.orthogonality_weight} in '
                'the training, but model.method.num_layers is 0, so there is nothing to compare; '
                'expected at least 1 layer'
            )
        channels = streams[0][0].shape[1]
        given = None if self.condition is None else samples(heatmaps.detach())
        num_cells = heatmaps.shape[2] * heatmaps.shape[3]
        least = require_samples(
            heatmaps.shape[0] * num_cells,
            2 * channels + (0 if given is None else given.shape[1]),
            'JMPose: model.method.orthogonality_weight is not 0',
            'a larger train_dataloader.batch_size (with drop_last=True), a smaller '
            'model.method.channels, condition=None, or orthogonality_weight=0',
        )
        self.least_clips = math.ceil(least / num_cells)
        information = sum(
            gaussian_mi(samples(m), samples(j), given, self.noise, unit_variance=True)
            for m, j in streams
        )
        return self.orthogonality_weight * information / (channels * len(streams))
