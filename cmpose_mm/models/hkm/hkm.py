"""HKM: the cells of the person, then those of its joints, and how the body moved.

Source: Jiao et al., "Optimizing Human Pose Estimation Through Focused Human and Joint Regions",
arXiv 2501.14439, 2025. Neither the paper's text nor code could be had, so this is a reconstruction:
*paper* means its abstract and a digest of it, *chosen* what they leave open.

Shapes: B clips, T frames, K joints, D channels of the head's input, h x w cells of the last map,
N = h * w, Q cells that the human mask keeps, n cells of the keypoint mask for each joint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import (
    TransformerLayer,
    check_choices,
    check_counts,
    check_heads,
    check_maps,
    check_not_negative,
    check_positive,
    gather_tokens,
    inside_crop,
    key_for_missing,
    keypoint_similarity,
    put_tokens,
    select_at_random,
    select_exclusive,
)
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod
from cmpose_mm.posetrack.joints import JOINT_NAMES, LIMBS

from .body_attention import (
    REFERENCES,
    BodyAttention,
    body_box,
    cell_positions,
    weights_by_cell,
)
from .mask_losses import human_loss, keypoint_loss, limb_cells

BACKGROUNDS = ('keep', 'zero')
SEPARATIONS = ('bidirectional', 'joint')


class HKM(VideoMethod):
    """HKM without backbone and head.

    ::

        F_t (B,N,D), keypoint tokens (K,D)
          visual  A = softmax(query(tokens) key(F_t)^T / sqrt D) (B,K,N)
                  human mask: the best Q cells - layer - A on those - keypoint mask: n a joint
                  - layer - X (B,Q,D)
          motion  past and future F_i apart: `BodyAttention` from the Q cells - Y-, Y+ (B,Q,D)
        X + Linear([X; Y-; Y+]), back to their own cells - (B,D,h,w) - head

    Before training, the head's input is the key frame's own map F_t, so the model is its
    single-frame model (*chosen*): the layers start as the identity, Y is zero, and the Linear
    3D -> D starts as [0, 1, 1]. (With ``background='zero'``, that holds in the kept cells.)

    *Paper* (its abstract): two streams, visual enhancement and motion disentanglement; the human,
    then the keypoint mask, coarse to fine; deformable cross attention confined to the target's
    body; bidirectional separation. *Chosen*:

    - Human mask, after PPT (Ma et al., ECCV 2022): the score s_j = mean_k A_kj; the ceil(keep_ratio
      N) best cells. ``keep_ratio`` is annealed from 1 in training, see below. A layer
      (`TransformerLayer`) on them and the keypoint tokens.
    - Keypoint mask: A anew, between the tokens after that layer; each joint in order takes its n
      best cells among those not yet taken. They go through a second layer; the others keep the
      result of the first.
    - Choosing passes no gradient. With ``gate``, the chosen tokens are scaled by 1 + r - r without
      gradient, r = s_j over its mean, which changes no value (for the keypoint mask with A on the
      kept cells). Without it, `query` and `key` learn from the losses below or not at all, and are
      then frozen.
    - Separation: own weights for past and future. A side without frames, as in causal clips, is
      left out.
    - A missing frame is replaced by the key frame.

    Losses, both off and not in the paper: ``loss_human`` = ``human_weight`` * `human_loss` and
    ``loss_keypoint`` = ``keypoint_weight`` * `keypoint_loss`.

    A hook anneals the human mask; its last value is that of the config::

        human_mask=dict(type='ModelScheduleHook', attribute='method.keep_ratio', values={0.0: 1.0,
            0.125: 0.927, 0.25: 0.75, 0.375: 0.573, 0.5: 0.5})

    Details: ``joint_cells`` (B, K, n), the keypoint mask; ``human_mask`` (B, N), -1 in kept cells
    and 0 in the others; ``similarity`` (B, K, N), A; ``read_before`` and ``read_after`` (B, N), the
    weights of the sampling points in each cell (``read_others`` with ``separation='joint'``).

    Args:
        in_channels: D, channels of the last map.
        num_frames, key_index: see `VideoMethod`; at least two frames.
        num_keypoints: K.
        keep_ratio: share of the cells that the human mask keeps, above 0 and up to 1.
        joint_cells: n.
        background: ``'keep'``: masked cells keep F_t; ``'zero'``: they are zero.
        gate: see above.
        num_heads: of the layers, and M of `BodyAttention`.
        num_points: P of `BodyAttention`.
        reference: of `BodyAttention`.
        separation: ``'bidirectional'``, or ``'joint'`` for one `BodyAttention` on all neighbors.
        human_weight, keypoint_weight: of the losses; 0 turns them off.
        limbs: pairs of joints for ``loss_human``; None for the skeleton of PoseTrack's 15 joints.

    Raises:
        ValueError: if an argument is outside its range.
    """

    compares_frames = True
    min_opset = 16  # GridSample

    def __init__(
        self,
        in_channels: int,
        num_frames: int = 3,
        key_index: int | None = None,
        num_keypoints: int = 15,
        keep_ratio: float = 0.5,
        joint_cells: int = 4,
        background: str = 'keep',
        gate: bool = True,
        num_heads: int = 8,
        num_points: int = 4,
        reference: str = 'query',
        separation: str = 'bidirectional',
        human_weight: float = 0.0,
        keypoint_weight: float = 0.0,
        limbs: Sequence[Sequence[int]] | None = None,
    ):
        super().__init__(num_frames, key_index)
        check_choices(
            'HKM',
            background=(background, BACKGROUNDS),
            reference=(reference, REFERENCES),
            separation=(separation, SEPARATIONS),
        )
        check_counts(
            'HKM', in_channels=in_channels, num_keypoints=num_keypoints, joint_cells=joint_cells,
            num_points=num_points,
        )  # fmt: skip
        check_heads('HKM', num_heads, in_channels)
        check_not_negative('HKM', human_weight=human_weight, keypoint_weight=keypoint_weight)
        check_positive('HKM', keep_ratio=keep_ratio)
        if keep_ratio > 1:
            raise ValueError(
                f'HKM: model.method.keep_ratio is {keep_ratio}, expected above 0 and up to 1'
            )
        if limbs is None:
            names = list(JOINT_NAMES)
            limbs = [(names.index(a), names.index(b)) for a, b in LIMBS]
            if num_keypoints != len(names):
                limbs = []
                if human_weight > 0:
                    raise ValueError(
                        f'HKM: model.method.num_keypoints is {num_keypoints} and '
                        'model.method.limbs is None, but human_weight is not 0; expected pairs of '
                        'joints'
                    )
        for limb in limbs:
            is_list = isinstance(limb, Sequence) and not isinstance(limb, str)
            if (
                not is_list
                or len(limb) != 2
                or not all(isinstance(joint, Integral) for joint in limb)
                or not 0 <= min(limb) <= max(limb) < num_keypoints
            ):
                raise ValueError(
                    f'HKM: model.method.limbs has {tuple(limb) if is_list else limb!r}, expected '
                    f'pairs of joints from 0 to {num_keypoints - 1}'
                )
        self.out_channels = in_channels
        self.keep_ratio = keep_ratio
        self.joint_cells = joint_cells
        self.background = background
        self.gate = gate
        self.human_weight = human_weight
        self.keypoint_weight = keypoint_weight
        self.limbs = [tuple(limb) for limb in limbs]
        self.select = select_exclusive

        self.keypoint_tokens = nn.Parameter(torch.empty(num_keypoints, in_channels))
        nn.init.trunc_normal_(self.keypoint_tokens, std=0.02)
        self.query = nn.Linear(in_channels, in_channels)
        self.key = nn.Linear(in_channels, in_channels, bias=False)
        nn.init.xavier_uniform_(self.query.weight)
        nn.init.zeros_(self.query.bias)
        nn.init.xavier_uniform_(self.key.weight)
        # a schedule may begin at 0, and other processes wait for gradients of all that learns
        weights = dict(human_weight=human_weight, keypoint_weight=keypoint_weight)
        self._only_teachers = [name for name, weight in weights.items() if weight and not gate]
        if not gate and not self._only_teachers:
            self.query.requires_grad_(False)
            self.key.requires_grad_(False)
        self.layers = nn.ModuleList(TransformerLayer(in_channels, num_heads) for _ in range(2))

        frames = list(range(num_frames))
        if separation == 'joint':
            sides = dict(others=[i for i in frames if i != self.key_index])
        else:
            sides = dict(before=frames[: self.key_index], after=frames[self.key_index + 1 :])
        self.sides = {name: side for name, side in sides.items() if side}
        self.motion = nn.ModuleDict(
            {
                name: BodyAttention(in_channels, len(side), num_heads, num_points, reference)
                for name, side in self.sides.items()
            }
        )
        self.fusion = nn.Linear((1 + len(self.sides)) * in_channels, in_channels)
        with torch.no_grad():
            eye = torch.eye(in_channels)
            blocks = [torch.zeros_like(eye)] + [eye] * len(self.sides)
            self.fusion.weight.copy_(torch.cat(blocks, dim=1))
            self.fusion.bias.zero_()
        self.detail_kinds = dict(
            joint_cells='cells',
            human_mask='labels',
            similarity='heat',
            **{f'read_{name}': 'heat' for name in self.sides},
        )

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Computes the key frame's features of B clips.

        Args:
            clip: its last map is used, and in training its targets for the losses.

        Raises:
            ValueError: if the maps or targets are not those of the config, or the grid is too small
                for the keypoint mask.
        """
        check_maps('HKM', clip.maps[-1:], [self.out_channels])
        features = key_for_missing(clip.features, clip.valid, self.key_index)
        grid = tuple(int(size) for size in features.shape[-2:])  # constants in an export
        tokens = features[:, self.key_index].flatten(2).transpose(1, 2)
        log_similarity = self.log_similarity(tokens, self.keypoint_tokens)
        log_scores = log_similarity.logsumexp(dim=1) - math.log(len(self.keypoint_tokens))
        kept = self.human_mask(log_scores)
        queries = self.gated(gather_tokens(tokens.unsqueeze(1), kept), log_scores, kept)
        keypoints = self.keypoint_tokens.expand(tokens.shape[0], -1, -1)
        x, chosen = self.enhance(queries, keypoints.to(tokens.dtype))

        positions = cell_positions(kept, grid[1], log_scores.dtype)
        box = body_box(positions)
        parts, details = [x], {}
        for name, side in self.sides.items():
            y, points, weights = self.motion[name](queries, positions, box, features[:, side])
            parts.append(y.to(x.dtype))
            details[f'read_{name}'] = weights_by_cell(points, weights, grid)
        refined = x + self.fusion(torch.cat(parts, dim=2))

        background = tokens if self.background == 'keep' else torch.zeros_like(tokens)
        restored = put_tokens(background, refined, kept)
        # With unflatten the ONNX export would fix the number of clips.
        key_features = restored.transpose(1, 2).reshape(-1, *features.shape[2:])
        masked = torch.zeros_like(log_scores, dtype=torch.int64)
        details = dict(
            joint_cells=chosen_cells(kept, chosen),
            human_mask=masked.scatter(1, kept, -1),
            similarity=log_similarity.detach().exp(),
            **details,
        )
        losses = {}
        if self.training:
            losses = self.losses(clip, log_similarity, log_scores, grid)
        return MethodOutput(key_features, losses, details)

    # ---- masks -------------------------------------------------------------------------------

    def log_similarity(self, tokens: Tensor, keypoints: Tensor) -> Tensor:
        """log A (B, K, N), at least float32; see `keypoint_similarity`."""
        dtype = tokens.dtype if tokens.dtype == torch.float64 else torch.float32
        with torch.autocast(tokens.device.type, enabled=False):
            return keypoint_similarity(tokens, keypoints, self.query, self.key, dtype)

    def num_kept(self, num_cells: int) -> int:
        """Q for a grid of N cells.

        Raises:
            ValueError: if they are fewer than the keypoint mask needs.
        """
        # Rounded first: 0.7 * 10 is 7.000000000000001.
        count = math.ceil(round(self.keep_ratio * num_cells, 6))
        needed = self.joint_cells * len(self.keypoint_tokens)
        if count < needed:
            raise ValueError(
                f'HKM: model.method.keep_ratio is {self.keep_ratio}, which keeps {count} of the '
                f'{num_cells} cells of the map, but model.method.joint_cells is '
                f'{self.joint_cells}, which needs {needed} for {len(self.keypoint_tokens)} joints; '
                'expected fewer joint_cells, or a larger keep_ratio or input'
            )
        return count

    def human_mask(self, log_scores: Tensor) -> Tensor:
        """The best cells (B, Q), ascending, of log s (B, N); ties go to the lower index."""
        order = log_scores.detach().argsort(dim=1, descending=True, stable=True)
        return order[:, : self.num_kept(int(log_scores.shape[1]))].sort(dim=1).values

    def gated(self, chosen: Tensor, log_scores: Tensor, indices: Tensor) -> Tensor:
        """Chosen tokens with a path for the gradient to their scores; the values do not change.

        Args:
            chosen: (B, Q, D).
            log_scores: (B, N) log of the scores, which sum to one, so that their mean is 1 / N.
            indices: (B, Q) the chosen ones of the N.
        """
        if not self.gate:
            return chosen
        ratio = log_scores.gather(1, indices).exp() * log_scores.shape[1]
        return chosen * (1 + (ratio - ratio.detach())).to(chosen.dtype).unsqueeze(2)

    def enhance(self, queries: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """The visual stream.

        Args:
            queries: (B, Q, D) tokens of the kept cells.
            keypoints: (B, K, D) keypoint tokens.

        Returns:
            X (B, Q, D), and which of the Q each joint chose, (B, K, n).
        """
        first, second = self.layers
        x, keypoints = first(torch.cat([queries, keypoints], dim=1)).split(
            [queries.shape[1], keypoints.shape[1]], dim=1
        )
        log_similarity = self.log_similarity(x, keypoints)
        chosen = self.select(log_similarity.detach(), self.joint_cells)
        log_scores = log_similarity.logsumexp(dim=1) - math.log(keypoints.shape[1])
        indices = chosen.flatten(1)
        of_joints = self.gated(gather_tokens(x.unsqueeze(1), indices), log_scores, indices)
        of_joints = second(of_joints, torch.cat([of_joints, keypoints], dim=1))
        return put_tokens(x, of_joints, indices), chosen

    # ---- training ----------------------------------------------------------------------------

    def losses(
        self, clip: ClipInput, log_similarity: Tensor, log_scores: Tensor, grid: tuple[int, int]
    ) -> dict[str, Tensor]:
        """``loss_human`` and ``loss_keypoint``, those whose weight is not 0.

        Without ``gate``, also those whose weight is 0 now and was not when the model was built:
        nothing else gives query and key a gradient, be it 0.

        Args:
            clip: the clips, for their targets.
            log_similarity: log A (B, K, N).
            log_scores: log s (B, N).
            grid: (h, w).

        Raises:
            ValueError: if there are no targets for a loss, or a weight that was 0 when the model
                was built no longer is, and nothing can learn.
        """
        weights = dict(human_weight=self.human_weight, keypoint_weight=self.keypoint_weight)
        used = {
            name: weight
            for name, weight in weights.items()
            if weight != 0 or name in self._only_teachers
        }
        joints = log_similarity.shape[1]
        if clip.targets is not None and clip.targets.shape[1] != joints:
            raise ValueError(
                f'HKM: model.method.num_keypoints is {joints}, but the samples have '
                f'{clip.targets.shape[1]} joints; expected the same'
            )
        if not used:
            return {}
        name, weight = next(iter(used.items()))
        if clip.targets is None:
            raise ValueError(
                f'HKM: model.method.{name} is {weight}, but the samples have no target heatmaps; '
                f'expected some, or {name}=0'
            )
        if not self.query.weight.requires_grad:
            raise ValueError(
                f'HKM: model.method.{name} became {weight} in the training, but is 0 in the '
                'config, and without model.method.gate nothing could learn from it; expected the '
                'last value of the schedule in the config'
            )
        labeled = clip.target_weights * inside_crop(clip.targets)
        losses, targets = {}, (clip.targets, labeled)
        if 'human_weight' in used:
            positive = limb_cells(*targets, grid, self.limbs)
            losses['loss_human'] = self.human_weight * human_loss(log_scores, positive)
        if 'keypoint_weight' in used:
            maps = log_similarity.reshape(-1, joints, *grid)
            losses['loss_keypoint'] = self.keypoint_weight * keypoint_loss(maps, *targets)
        return losses

    @contextmanager
    def selecting_at_random(self, generator: torch.Generator) -> Iterator[None]:
        """Context in which the joints choose random cells of the kept ones; all else as always."""
        learned, self.select = self.select, select_at_random(generator)
        try:
            yield
        finally:
            self.select = learned


def chosen_cells(kept: Tensor, chosen: Tensor) -> Tensor:
    """Cells (B, K, n) of the places (B, K, n) among kept cells (B, Q)."""
    # With unflatten the ONNX export would fix the number of clips.
    return kept.gather(1, chosen.flatten(1)).reshape(-1, *chosen.shape[1:])


def annealed(keep_ratio: float) -> dict[float, float]:
    """Values of a ``ModelScheduleHook``: from 1 to a ratio, by a cosine over half the training."""
    parts = (0.0, 0.125, 0.25, 0.375, 0.5)
    return {
        part: keep_ratio + (1 - keep_ratio) * (1 + math.cos(2 * math.pi * part)) / 2
        for part in parts
    }
