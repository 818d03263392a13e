"""CM-Pose: turns the features of a clip's frames into a feature map of its key frame.

Source: Chen et al., "Causal-Inspired Multitask Learning for Video-Based Human Pose Estimation",
AAAI 2025.

Shapes: B clips, T frames, N = h * w cells a frame, K joints, D token width.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cmpose_mm.models.layers import check_counts, check_width, select_at_random
from cmpose_mm.models.method import ClipInput, MethodOutput, VideoMethod

from .aux_recon_loss import AuxReconLoss
from .causal_token_fte import CausalTokenFTE
from .criss_cross_st_neck import CrissCrossSTNeck
from .similarity_loss import similarity_loss
from .temporal_fusion import TEMPORAL_FUSIONS

READING = 'reading_as_text'
"""Name of the buffer that holds `CMPose.reading` as UTF-8."""


def described(reading: str) -> str:
    """A reading in words."""
    return reading or "the paper's literal reading"


def _letter(name: str) -> object:
    """The value of a switch in the paper's letter, the default of its class."""
    part, switch = name.split('.')
    module = dict(neck=CrissCrossSTNeck, fte=CausalTokenFTE)[part]
    return inspect.signature(module).parameters[switch].default


def settings_for(wanted: str, reading: str, parts: Sequence[str] = ('neck', 'fte')) -> str:
    """What `--cfg-options` needs to make a config of one reading one of the wanted reading.

    Args:
        wanted, reading: see `CMPose.reading`.
        parts: of the method, to speak of.
    """
    wanted, reading = (
        dict(part.partition('=')[::2] for part in text.split(', ')) for text in (wanted, reading)
    )
    values = {
        name: wanted[name] if name in wanted else _letter(name)
        for name in {**reading, **wanted}
        if name.partition('.')[0] in parts and wanted.get(name) != reading.get(name)
    }
    if 'x' in str(values.get('neck.grid')):
        values['neck.grid'] = values['neck.grid'].replace('x', ',')
    return ' '.join(f'model.method.{name}={value}' for name, value in values.items())


class CMPose(VideoMethod):
    """CM-Pose without backbone and head.

    ::

        features (B,T,D,h,w) = clean tokens (B,T,N,D)
          |           |  in training
          |        corrupt ---- masked, noised tokens
          |                           |
          '----- stacked along B -----'
                       |
                CrissCrossSTNeck, one call
                       |
          .------------+--------------.
        clean                masked, noised
          |                           |
        temporal fusion T -> 1   AuxReconLoss against the clean tokens
          |
        CausalTokenFTE
          |
        key-frame map (B,D,h,w)

    Before training and with ``fte=None``, the map equals the key frame's own features: see the
    initialization of `CrissCrossSTNeck` and `ConcatTemporalFusion`. All parameters receive
    gradients in training, except those that `CausalTokenFTE` names.

    A state dict says which reading of the paper the weights were trained with, if one of the
    switches that change predictions is not as in the paper's letter: ``neck.position``,
    ``neck.temporal``, ``neck.feed_forward``, ``fte.restoring``, ``fte.num_layers``. Weights of
    another reading are refused. Older state dicts say nothing and are of the letter.

    Args:
        neck: the multitask learning network.
        fte: the fine token enhancement; None feeds the fused tokens to the head (an ablation).
        aux: the auxiliary tasks; None for no tasks.
        embed_dims: D.
        num_frames, key_index: see `VideoMethod`.
        temporal_fusion: ``'concat'``, or ``'weighted_sum'`` for one learned weight per frame.

    Raises:
        ValueError: if ``key_index`` is outside the clip, ``embed_dims`` is no width,
            ``temporal_fusion`` is unknown, or ``neck`` and ``fte`` are not of the same clips,
            widths and joints.
    """

    detail_kinds = dict(causal_tokens='cells', cluster_ids='labels', similarity='heat')
    tolerates_track_crops = True

    def __init__(
        self,
        neck: CrissCrossSTNeck,
        fte: CausalTokenFTE | None,
        aux: AuxReconLoss | None,
        embed_dims: int,
        num_frames: int = 3,
        key_index: int | None = None,
        temporal_fusion: str = 'concat',
    ):
        super().__init__(num_frames, key_index)
        check_counts('CMPose', embed_dims=embed_dims)
        if temporal_fusion not in [*TEMPORAL_FUSIONS]:
            raise ValueError(
                f'CMPose: temporal_fusion is {temporal_fusion!r}, '
                f'expected one of {sorted(TEMPORAL_FUSIONS)}'
            )
        frames, width = neck.temporal_embed.shape
        joints = len(neck.keypoint_tokens)
        for name, found, expected in (
            ('neck.num_frames', frames, self.num_frames),
            ('neck.embed_dims', width, embed_dims),
            ('fte.num_keypoints', joints if fte is None else fte.num_keypoints, joints),
        ):
            if found != expected:
                raise ValueError(
                    f'CMPose: model.method.{name} is {found}, expected {expected} as in the rest '
                    'of the method'
                )
        self.out_channels = embed_dims
        self.neck = neck
        self.temporal_fusion = TEMPORAL_FUSIONS[temporal_fusion](
            embed_dims, self.num_frames, self.key_index
        )
        self.fte = fte
        self.aux = aux
        if self.reading:  # of the letter, state dicts stay as they were
            # int64: MMEngine sums buffers over the processes, and divides, before each checkpoint
            text = torch.tensor(list(self.reading.encode()), dtype=torch.int64)
            self.register_buffer(READING, text)

    @property
    def reading(self) -> str:
        """Where the model is not as in the paper's letter: ``'fte.restoring=residual, ...'``.

        Empty for the letter. Only switches that change predictions count, not those of training.
        """
        parts = {'neck': self.neck, 'fte': self.fte}
        return ', '.join(
            f'{name}.{switch}={value}'
            for name, part in parts.items()
            if part is not None
            for switch, value in part.reading.items()
        )

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        """As in torch, but refuses weights that were trained with another reading.

        Raises:
            ValueError: one sentence with both readings.
        """
        if f'{prefix}neck.keypoint_tokens' in state_dict:  # not so in a single-frame model's
            marks = state_dict.get(f'{prefix}{READING}', ())
            found = bytes(int(mark) for mark in marks).decode('utf-8', 'replace')
            if found != self.reading:
                has_fte = any(name.startswith(f'{prefix}fte.') for name in state_dict)
                both = has_fte and self.fte is not None
                settings = settings_for(found, self.reading, ('neck', 'fte') if both else ('neck',))
                if self.fte is not None and not has_fte:
                    settings += ' model.method.fte=None'
                raise ValueError(
                    f'the weights are of a CM-Pose with {described(found)}, but the config is of '
                    f'one with {described(self.reading)}; expected the same reading of the paper'
                    + (f', for these weights {settings.strip()}' if settings else '')
                )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, clip: ClipInput) -> MethodOutput:
        """Computes the key frame's features of B clips.

        Args:
            clip: its last map (B, T, D, h, w) is used, and in training its seeds for the
                corruption; without seeds, torch's global generator draws them. With
                ``fte.similarity_weight``, training also needs the targets and their weights.

        Returns:
            Losses ``loss_mask`` and ``loss_denoise`` in training with ``aux``, and
            ``loss_similarity`` with ``fte.similarity_weight``; details
            ``causal_tokens``, ``cluster_ids`` and ``similarity`` (see `FTEOutput`) with ``fte``.

        Raises:
            ValueError: if the map has not D channels, or targets are not of K joints.
        """
        features = clip.features
        check_width('CMPose', features, self.out_channels)
        self._check_joints(clip)
        height, width = features.shape[-2:]
        tokens = features.flatten(3).transpose(2, 3)
        tasks = {}
        if self.training and self.aux is not None:
            tasks = self.aux.corrupt(tokens, clip.seeds)
        grid = int(height), int(width)  # ONNX export traces sizes as tensors
        refined = self.neck(tokens, list(tasks.values()), grid)
        losses = {
            name: self.aux(restored, tokens, task.indices)
            for (name, task), restored in zip(tasks.items(), refined.restored)
        }

        fused = self.temporal_fusion(refined.tokens)
        details = {}
        if self.fte is not None:
            out = self.fte(fused, refined.keypoint_tokens[:, self.key_index])
            fused = out.tokens
            details = dict(
                causal_tokens=out.causal_tokens,
                cluster_ids=out.cluster_ids,
                similarity=out.similarity,
            )
            if self.training and (self.fte.similarity_weight or self.fte.learns_by_loss_alone):
                losses['loss_similarity'] = self.similarity_loss(clip, out.log_similarity, grid)
        key_features = fused.transpose(1, 2).reshape(-1, fused.shape[2], height, width)
        return MethodOutput(key_features, losses, details)

    def _check_joints(self, clip: ClipInput) -> None:
        expected = len(self.neck.keypoint_tokens)
        if clip.targets is not None and clip.targets.shape[1] != expected:
            raise ValueError(
                f'CMPose: model.method.num_keypoints is {expected}, but the label heatmaps, from '
                f'which it learns, are of {clip.targets.shape[1]} joints; expected the same'
            )

    def similarity_loss(
        self, clip: ClipInput, log_similarity: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        """The weighted loss of S, see `similarity_loss`.

        Raises:
            ValueError: if there are no label heatmaps, or S can not learn.
        """
        if clip.targets is None or clip.target_weights is None:
            raise ValueError(
                f'CMPose: model.method.fte.similarity_weight is {self.fte.similarity_weight}, but '
                'the training samples have no label heatmaps; expected GenerateTarget with an '
                'encoder of heatmaps in the pipeline, or a weight of 0'
            )
        if not self.fte.similarity_learns:
            raise ValueError(
                f'CMPose: model.method.fte.similarity_weight became {self.fte.similarity_weight} '
                'in the training, but is 0 in the config, and with model.method.fte.causal_only '
                'nothing could learn from it; expected the last value of the schedule in the config'
            )
        loss = similarity_loss(log_similarity, clip.targets, clip.target_weights, grid)
        return self.fte.similarity_weight * loss

    @contextmanager
    def selecting_at_random(self, generator: torch.Generator) -> Iterator[None]:
        """Context in which the joints choose random cells, no cell twice; all else is unchanged.

        Raises:
            ValueError: if there is no token enhancement, and so no selection.
        """
        if self.fte is None:
            raise ValueError('CMPose: nothing is selected without token enhancement (fte is None)')

        learned, self.fte.select = self.fte.select, select_at_random(generator)
        try:
            yield
        finally:
            self.fte.select = learned
