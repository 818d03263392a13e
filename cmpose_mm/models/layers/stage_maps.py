"""Maps of several backbone stages, brought to one width and one grid.

Shapes: B clips, T frames, C_j channels and h_j x w_j cells of map j, C the common width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.method import ClipInput


def check_maps(method: str, maps: Sequence[Tensor], in_channels: Sequence[int]) -> None:
    """Checks that backbone and neck give the maps that a method was built for.

    Args:
        method: its name, for the message.
        maps: (B, T, C_j, h_j, w_j) each.
        in_channels: expected C_j.

    Raises:
        ValueError: if their number or channels differ.
    """
    found, expected = [features.shape[2] for features in maps], list(in_channels)
    if found != expected:
        raise ValueError(
            f'{method}: model.method.in_channels is {expected}, but backbone and neck give maps '
            f'with {found} channels; expected the same (model.backbone.out_indices chooses them)'
        )


def check_width(method: str, features: Tensor, embed_dims: int) -> None:
    """Checks that the last map (B, T, D, h, w) has the channels that a method was built for.

    Raises:
        ValueError: if it has others.
    """
    if features.shape[2] != embed_dims:
        raise ValueError(
            f'{method}: model.method.embed_dims is {embed_dims}, but backbone and neck give a last '
            f'map of {features.shape[2]} channels; expected the same'
        )


def need_heatmaps(method: str, clip: ClipInput) -> Tensor:
    """The clips' heatmaps (B, T, K, H', W'), for a method that can not do without.

    Args:
        method: its name, for the message.
        clip: the clips.

    Raises:
        ValueError: if they have none.
    """
    if clip.heatmaps is None:
        raise ValueError(
            f'{method}: the clips have no heatmaps, expected those of model.frame_head, '
            "ClipInput.heatmaps (B, T, K, H', W')"
        )
    return clip.heatmaps


def check_heatmaps(method: str, clip: ClipInput, num_keypoints: int, heatmap_scale: int) -> None:
    """Checks that the frame head gives the heatmaps that a method was built for.

    Args:
        method: its name, for the message.
        clip: the clips.
        num_keypoints: expected K.
        heatmap_scale: expected cells of a heatmap for a cell of the last map, along one axis.

    Raises:
        ValueError: if there are none, or joints or sizes differ.
    """
    heatmaps, (height, width) = need_heatmaps(method, clip), clip.features.shape[-2:]
    if heatmaps.shape[2] != num_keypoints:
        raise ValueError(
            f'{method}: model.method.num_keypoints is {num_keypoints}, but model.frame_head gives '
            f'{heatmaps.shape[2]} joints; expected the same'
        )
    expected = (height * heatmap_scale, width * heatmap_scale)
    if tuple(heatmaps.shape[3:]) != expected:
        raise ValueError(
            f'{method}: model.method.heatmap_scale is {heatmap_scale}, but model.frame_head gives '
            f'heatmaps of {tuple(heatmaps.shape[3:])} cells on maps of {height, width}; expected '
            f'{expected}'
        )


def resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Brings maps (N, C, h, w) to another grid: mean over cells down, bilinear up (*chosen*).

    Each axis by itself: a map that is finer along one axis and coarser along the other is averaged
    along the first, then interpolated along the second.
    """
    before, after = (int(x.shape[2]), int(x.shape[3])), (int(size[0]), int(size[1]))
    coarser = min(before[0], after[0]), min(before[1], after[1])
    if coarser != before:
        x = F.adaptive_avg_pool2d(x, coarser)
    if coarser != after:
        x = F.interpolate(x, after, mode='bilinear', align_corners=False)
    return x


def cell_lengths(x: Tensor) -> Tensor:
    """Euclidean length over the channels of (B, C, h, w), as (B, h * w) without gradient."""
    return x.detach().float().square().sum(1).sqrt().flatten(1)


class StageMaps(nn.Module):
    """Chosen maps of all frames, with C channels on the grid of one of them.

    *Code* of TDMI uses HRNet's maps as they are, which have the same channels and grid in all
    stages (``channels=None``). For other backbones, *chosen*: a 1x1 convolution with BN for each
    map, then `resample`.

    Args:
        in_channels: C_j of all maps.
        channels: C; None uses the maps as they are.
        stages: positions of the maps to use, ascending.
        grid_stage: position of the map whose grid is used.
        method: whose maps they are, for messages.

    Raises:
        ValueError: if a position does not exist, or ``channels`` is None and the maps differ.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int | None,
        stages: Sequence[int],
        grid_stage: int,
        method: str = 'StageMaps',
    ):
        super().__init__()
        last = len(in_channels) - 1
        stages = list(stages)
        if not stages or stages != sorted(set(stages)) or not 0 <= stages[0] <= stages[-1] <= last:
            raise ValueError(
                f'{method}: model.method.stages is {stages}, expected ascending positions from 0 '
                f'to {last} of the maps in model.method.in_channels'
            )
        if not 0 <= grid_stage <= last:
            raise ValueError(
                f'{method}: model.method.grid_stage is {grid_stage}, expected a position from 0 to '
                f'{last} of the maps in model.method.in_channels'
            )
        used = [in_channels[stage] for stage in stages]
        if channels is None and len(set(used)) > 1:
            raise ValueError(
                f'{method}: model.method.channels is None, but the maps have {used} channels; '
                'expected a number of channels, to which 1x1 convolutions bring them'
            )
        self.stages = stages
        self.grid_stage = grid_stage
        self.channels = used[0] if channels is None else channels
        self.projections = nn.ModuleList(
            nn.Identity()
            if channels is None
            else nn.Sequential(nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for width in used
        )

    def freeze_biases(self, count: int) -> None:
        """Freezes the biases of the first ``count`` used stages, for differences of frames.

        A bias cancels there. Where a method sees a stage in differences alone, it can not learn:
        its gradient is round-off, which an optimizer such as AdamW would follow.
        """
        for projection in self.projections[:count]:
            for module in projection.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.bias.requires_grad_(False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One map (B, T, C, h, w) for each stage.

        Args:
            maps: (B, T, C_j, h_j, w_j), all maps of backbone and neck.
        """
        num_frames, size = maps[0].shape[1], maps[self.grid_stage].shape[-2:]
        out = []
        for stage, project in zip(self.stages, self.projections):
            frames = resample(project(maps[stage].flatten(0, 1)), size)
            # With unflatten the ONNX export would fix the number of clips.
            out.append(frames.reshape(-1, num_frames, *frames.shape[1:]))
        return out
