"""TDMI: motion from differences of frames, of which the useful part is kept.

Source: Feng et al., "Mutual Information-Based Temporal Difference Learning for Human Pose
Estimation in Video", CVPR 2023. The paper's text could not be had: *paper* means its abstract and
its figure of the pipeline, *code* the authors' public code, *chosen* what both leave open or what
is done differently here.

Shapes: B clips, T frames, J stages, C channels, D channels of the head's input, K joints, h x w
cells of the method's grid, N cells of the last map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.layers import (
    DEFORM_BACKENDS,
    KeyAggregation,
    ModulatedDeform,
    ResidualChain,
    StageMaps,
    StillConv,
    cell_lengths,
    check_choices,
    check_counts,
    check_lists,
    check_maps,
    check_not_negative,
    check_positive,
    gaussian_mi,
    offset_groups,
    prediction_kl,
    require_samples,
    resample,
    standardize,
)
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod

from .appearance import AppearanceAlignment
from .club import ClubBound

GATES = ('independent', 'tied', None)
ESTIMATORS = ('gaussian', 'club', 'none')


class TDMI(VideoMethod):
    """TDMI without backbone and head; with ``appearance=True``, TDMI-ST.

    ::

        stages F^1..F^J (B,T,C,h,w)
          | for each stage j: S^j = [F_2-F_1, ..., F_T-F_(T-1)]        (B,(T-1)C,h,w)
          | D^j = ResidualChain(S^j)                                   (B,C,h,w)
          | A^j = ModulatedDeform(D^j; ResidualChain_1([F_t^J, D^j]))
          | M^1 = Conv(A^1), M^j = Conv(M^(j-1) + A^j)                 from stage to stage
        M --- mean over cells --- MLP_u, sigmoid --- g_u
          '-- mean over cells --- MLP_n, sigmoid --- g_n               (B,C) each
        M_u = g_u * M --- KeyAggregation([F_t, M_u]) --- head          M_n = g_n * M --- losses

    Before training, the head's input is the key frame's own map F_t, so the model is its
    single-frame model (*chosen*; ``residual=False`` is the *code*).

    *Paper*: differences of several stages, deformable alignment, the cascade, two independent
    gates, minimal mutual information of M_u and M_n. *Code*: the residual chains and their lengths,
    the condition on the key frame's map, dilation 1 of the deformation, Conv = ResidualChain_1,
    MLPs C-128-C with ReLU, the appearance branch. The code's estimate of mutual information is a KL
    divergence of the wrong sign, and is not used. *Chosen*: three blocks in the first half of the
    stages and two in the others (the paper's figure shows 3, 3, ..., 2), the estimators, all
    weights.

    Losses:

    - ``loss_mi``: ``mi_weight`` * I(M_u; M_n) / C, over all cells of the batch and of all
      processes. M has mean 0 and variance 1 in each channel, and is detached: only the gates learn
      from it. ``mi='gaussian'``: `gaussian_mi`. ``'club'``: `ClubBound`, with ``loss_club`` for its
      network. With independent gates, this loss alone closes both; the heatmap loss can keep g_u
      open, but nothing keeps g_n open, and later layers can scale up what a nearly closed gate lets
      through. With tied gates, channels are divided between them. The means are logged as
      ``gate_useful`` and ``gate_noisy``.
    - ``loss_sufficiency`` (with ``sufficiency_weight`` > 0): ``sufficiency_weight`` *
      KL(p(y|M) || p(y|M_u)), see `prediction_kl`: M_u keeps what M says about the joints
      (variational self-distillation). The heatmaps are those of a 1x1 convolution, which learns by
      ``loss_probe`` alone: its squared error on M and M_u, both detached (*chosen*).

    Details, both (B, N): ``useful_motion`` and ``noisy_motion``, lengths of M_u and M_n in each
    cell; the second only where there is a g_n.

    Args:
        in_channels: channels of all maps of backbone and neck; the last one is D.
        channels: C, a multiple of 12 or of 8; None uses the maps as they are, for HRNet. See
            `StageMaps`.
        num_frames, key_index: see `VideoMethod`; at least two frames.
        stages: positions of the maps to use, ascending; None for all.
        grid_stage: position of the map whose grid the method uses; None for the last one. The
            result always has the grid of the last one.
        blocks: residual blocks of D^j for each used stage; None for 3 in the first half of the
            stages and 2 in the others.
        deformation: backend of `ModulatedDeform`; None for plain convolutions without a condition.
        gates: ``'independent'``; ``'tied'`` for g_n = 1 - g_u; None for M_u = M.
        gate_channels: hidden width of the MLPs, and of the network of ``'club'``.
        mi: ``'gaussian'``, ``'club'`` or ``'none'``.
        mi_weight: weight of ``loss_mi``; with 0 there is no such loss, nor an MLP_n. A schedule
            that starts at 0 needs a config with its last value.
        noise: standard deviation of the noise in the estimate. M_u and M_n scale one map: without
            noise, their information is infinite.
        sufficiency_weight: weight of ``loss_sufficiency``; 0 turns it off. For a schedule see
            ``mi_weight``.
        temperature: of `prediction_kl`.
        num_keypoints: K, for ``loss_sufficiency``.
        appearance: whether `AppearanceAlignment` stands for F_t beside M_u.
        residual: see `KeyAggregation`.

    Raises:
        ValueError: if an argument is outside its range, or arguments contradict each other.
    """

    compares_frames = True
    detail_kinds = dict(useful_motion='heat', noisy_motion='heat')
    min_opset = 16  # GridSample

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int | None = None,
        num_frames: int = 5,
        key_index: int | None = None,
        stages: Sequence[int] | None = None,
        grid_stage: int | None = None,
        blocks: Sequence[int] | None = None,
        deformation: str | None = 'grid_sample',
        gates: str | None = 'independent',
        gate_channels: int = 128,
        mi: str = 'gaussian',
        mi_weight: float = 1e-3,
        noise: float = 0.1,
        sufficiency_weight: float = 0.0,
        temperature: float = 0.05,
        num_keypoints: int = 15,
        appearance: bool = False,
        residual: bool = True,
    ):
        super().__init__(num_frames, key_index)
        check_choices(
            'TDMI',
            gates=(gates, GATES),
            mi=(mi, ESTIMATORS),
            deformation=(deformation, (*DEFORM_BACKENDS, None)),
        )
        check_not_negative('TDMI', mi_weight=mi_weight, sufficiency_weight=sufficiency_weight)
        check_positive('TDMI', noise=noise, temperature=temperature)
        uses_mi = mi != 'none' and mi_weight > 0
        if gates is None and (uses_mi or sufficiency_weight > 0):
            raise ValueError(
                'TDMI: model.method.gates is None, so there are no parts to separate; expected '
                "mi='none' and sufficiency_weight=0"
            )
        if appearance and deformation is None:
            raise ValueError(
                'TDMI: model.method.deformation is None, but model.method.appearance aligns by '
                'deformation; expected one of its backends, or appearance=False'
            )
        check_counts('TDMI', gate_channels=gate_channels, num_keypoints=num_keypoints)
        check_lists('TDMI', in_channels=in_channels)
        in_channels = list(in_channels)
        num_maps = len(in_channels)
        stages = range(num_maps) if stages is None else stages
        check_lists('TDMI', least=0, stages=stages)
        stages = list(stages)
        grid_stage = num_maps - 1 if grid_stage is None else grid_stage
        check_counts('TDMI', least=0, grid_stage=grid_stage)
        if channels is not None:
            check_counts('TDMI', channels=channels)
        self.in_channels = in_channels
        self.out_channels = in_channels[-1]
        self.stage_maps = StageMaps(in_channels, channels, stages, grid_stage, 'TDMI')
        width = self.stage_maps.channels
        # Only the last used stage is also seen as it is, in the condition of the deformation.
        self.stage_maps.freeze_biases(len(stages) - (deformation is not None))
        if deformation is not None:
            given = 'in_channels' if channels is None else 'channels'
            offset_groups(width, f'TDMI: model.method.{given}')  # refuses those that do not fit
        if blocks is None:
            blocks = default_blocks(len(stages))
        check_lists('TDMI', blocks=blocks)
        if len(blocks) != len(stages):
            raise ValueError(
                f'TDMI: model.method.blocks is {list(blocks)}, expected {len(stages)} numbers, one '
                'for each of the stages'
            )
        self.motion = nn.ModuleList(
            ResidualChain((num_frames - 1) * width, width, count) for count in blocks
        )
        self.conditions = self.deform = None
        if deformation is None:
            self.deform = nn.ModuleList(StillConv(width) for _ in stages)
        else:
            self.conditions = nn.ModuleList(ResidualChain(2 * width, width, 1) for _ in stages)
            self.deform = nn.ModuleList(
                ModulatedDeform(width, width, dilation=1, backend=deformation) for _ in stages
            )
        self.cascade = nn.ModuleList(ResidualChain(width, width, 1) for _ in stages)

        self.gates = gates
        self.mi = mi
        self.mi_weight = mi_weight
        self.separates = uses_mi
        self.noise = noise
        self.gate_useful = self.gate_noisy = None
        if gates is not None:
            self.gate_useful = MotionGate(width, gate_channels)
        if gates == 'independent' and uses_mi:
            self.gate_noisy = MotionGate(width, gate_channels)
        self.club = None
        if mi == 'club' and uses_mi:
            self.club = ClubBound(width, gate_channels, noise)

        self.sufficiency_weight = sufficiency_weight
        self.temperature = temperature
        self.num_keypoints = num_keypoints
        self.probe = nn.Conv2d(width, num_keypoints, 1) if sufficiency_weight > 0 else None

        self.appearance = None
        if appearance:
            self.appearance = AppearanceAlignment(width, num_frames - 1, deformation)
        beside = width if appearance else self.out_channels
        self.aggregation = KeyAggregation(self.out_channels, beside + width, width, residual)

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Computes the key frame's features of B clips.

        Args:
            clip: its maps are used, and in training its targets for ``loss_sufficiency``.

        Raises:
            ValueError: if the maps or joints are not those of the config, or the batch has too few
                cells for ``loss_mi``.
        """
        check_maps('TDMI', clip.maps, self.in_channels)
        maps = self.stage_maps(clip.maps)
        key, near_key = clip.features[:, self.key_index], maps[-1][:, self.key_index]
        motion = self.temporal_differences(maps, near_key)
        useful = noisy = None
        if self.gate_useful is not None:
            useful = self.gate_useful(motion)
            if self.gates == 'tied':
                noisy = 1 - useful
            elif self.gate_noisy is not None:
                noisy = self.gate_noisy(motion)
        kept = motion if useful is None else useful * motion

        size = key.shape[-2:]
        beside = key
        if self.appearance is not None:
            others = [t for t in range(self.num_frames) if t != self.key_index]
            beside = resample(self.appearance(near_key, maps[-1][:, others]), size)
        on_grid = resample(kept, size)
        key_features = self.aggregation(key, [beside, on_grid])

        details = dict(useful_motion=cell_lengths(on_grid))
        if noisy is not None:
            details['noisy_motion'] = cell_lengths(resample(noisy * motion, size))
        losses = {}
        if self.training:
            losses = self.losses(clip, motion, kept, useful, noisy)
        return MethodOutput(key_features, losses, details)

    def temporal_differences(self, maps: Sequence[Tensor], near_key: Tensor) -> Tensor:
        """The motion M (B, C, h, w).

        Args:
            maps: J maps (B, T, C, h, w).
            near_key: F_t^J (B, C, h, w), the key frame's map of the last stage.
        """
        motion = None
        for number, frames in enumerate(maps):
            differences = self.motion[number]((frames[:, 1:] - frames[:, :-1]).flatten(1, 2))
            condition = None
            if self.conditions is not None:
                condition = self.conditions[number](torch.cat([near_key, differences], dim=1))
            aligned, _ = self.deform[number](differences, condition)
            motion = self.cascade[number](aligned if motion is None else motion + aligned)
        return motion

    def losses(
        self,
        clip: ClipInput,
        motion: Tensor,
        kept: Tensor,
        useful: Tensor | None,
        noisy: Tensor | None,
    ) -> dict[str, Tensor]:
        """The losses and the means of the gates, see the class.

        Args:
            clip: the clips, for their targets.
            motion: M (B, C, h, w).
            kept: M_u (B, C, h, w).
            useful, noisy: gates (B, C, 1, 1).

        Raises:
            ValueError: if a weight that was 0 when the model was built no longer is.
        """
        losses = {}
        if useful is not None:
            losses['gate_useful'] = useful.detach().mean()
        if noisy is not None:
            losses['gate_noisy'] = noisy.detach().mean()
        if self.separates:
            losses.update(self.separation_losses(motion.detach()))
        elif self.mi != 'none':
            self._require_zero('mi_weight', self.mi_weight)
        if self.probe is not None:
            losses.update(self.sufficiency_losses(clip, motion, kept))
        else:
            self._require_zero('sufficiency_weight', self.sufficiency_weight)
        return losses

    @staticmethod
    def _require_zero(name: str, weight: float) -> None:
        """Refuses a schedule for a loss whose layers were not built."""
        if weight != 0:
            raise ValueError(
                f'TDMI: model.method.{name} became {weight} in the training, but is 0 in the '
                'config, so the layers of its loss were not built; expected the last value of the '
                'schedule in the config'
            )

    def separation_losses(self, motion: Tensor) -> dict[str, Tensor]:
        """``loss_mi``, and ``loss_club`` with ``mi='club'``.

        Args:
            motion: M (B, C, h, w), detached, also as the input of the gates.
        """
        channels = motion.shape[1]
        num_cells = motion.shape[2] * motion.shape[3]
        least = require_samples(
            motion.shape[0] * num_cells,
            2 * channels,
            f'TDMI: model.method.mi={self.mi!r}',
            'a larger train_dataloader.batch_size (with drop_last=True), a smaller '
            "model.method.channels, or mi='none'",
        )
        self.least_clips = math.ceil(least / num_cells)
        useful = self.gate_useful(motion)
        noisy = 1 - useful if self.gates == 'tied' else self.gate_noisy(motion)
        with torch.autocast(motion.device.type, enabled=False):
            cells = motion.movedim(1, -1).flatten(0, 2)
            cells = standardize(cells if cells.dtype == torch.float64 else cells.float())
            cells = cells.reshape(len(motion), -1, channels)
            u, n = (
                (gate.to(cells.dtype).flatten(1)[:, None] * cells).flatten(0, 1)
                for gate in (useful, noisy)
            )
            if self.club is None:
                information, losses = gaussian_mi(u, n, noise=self.noise), {}
            else:
                information, fit = self.club(u, n)
                losses = dict(loss_club=fit)
            return dict(loss_mi=self.mi_weight * information / channels, **losses)

    def sufficiency_losses(
        self, clip: ClipInput, motion: Tensor, kept: Tensor
    ) -> dict[str, Tensor]:
        """``loss_sufficiency`` and ``loss_probe``; arguments as in `losses`."""
        if clip.targets is None or clip.targets.shape[1] != self.num_keypoints:
            found = (
                'no target heatmaps' if clip.targets is None else f'{clip.targets.shape[1]} joints'
            )
            raise ValueError(
                f'TDMI: model.method.num_keypoints is {self.num_keypoints}, but the samples have '
                f'{found}; expected the same, or sufficiency_weight=0'
            )
        weight, bias = self.probe.weight.detach(), self.probe.bias.detach()
        with torch.no_grad():
            teacher = F.conv2d(motion, weight, bias)
        student = F.conv2d(kept, weight, bias)
        targets = resample(clip.targets, motion.shape[-2:])
        joints = clip.target_weights[..., None, None]
        probe = sum(
            ((self.probe(part.detach()).float() - targets).square() * joints).mean()
            for part in (motion, kept)
        )
        divergence = prediction_kl(teacher, student, clip.target_weights, self.temperature)
        return dict(loss_sufficiency=self.sufficiency_weight * divergence, loss_probe=probe)


def default_blocks(num_stages: int) -> list[int]:
    """Residual blocks of D^j for each stage: 3 in the first half and 2 in the others (*chosen*)."""
    return [3 if number < num_stages // 2 else 2 for number in range(num_stages)]


class MotionGate(nn.Module):
    """sigmoid(MLP(mean over the cells)): one weight for each channel of each clip (*code*).

    Args:
        channels: C.
        hidden: width of the hidden layer.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels)
        )

    def forward(self, motion: Tensor) -> Tensor:
        """Gates (B, C, 1, 1) of maps (B, C, h, w), between 0 and 1."""
        return self.mlp(motion.mean((2, 3))).sigmoid()[..., None, None]
