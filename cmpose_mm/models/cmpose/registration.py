"""Registers CM-Pose's modules with MMPose, so that configs can build them."""

from __future__ import annotations

from mmpose.registry import MODELS

from .aux_recon_loss import AuxReconLoss
from .causal_token_fte import CausalTokenFTE
from .cmpose import CMPose
from .criss_cross_st_neck import CrissCrossSTNeck

MODELS.register_module(module=CrissCrossSTNeck)
MODELS.register_module(module=CausalTokenFTE)
MODELS.register_module(module=AuxReconLoss)


@MODELS.register_module(name='CMPose')
def build_cmpose(
    neck: dict,
    embed_dims: int,
    fte: dict | None = None,
    aux: dict | None = None,
    num_keypoints: int = 15,
    num_frames: int = 3,
    **kwargs,
) -> CMPose:
    """Builds `CMPose` from the configs of its parts.

    Arguments that several parts share are given only once.

    Args:
        neck: config of the neck, without ``embed_dims``, ``num_keypoints`` and ``num_frames``.
        embed_dims: channels of the input feature map.
        fte: config of the token enhancement, without ``embed_dims`` and ``num_keypoints``.
        aux: config of the auxiliary tasks.
        num_keypoints: joints of the dataset.
        num_frames: T, frames of a clip.
        **kwargs: the other arguments of `CMPose`.

    Raises:
        ValueError: if a part is no config.
    """
    parts = dict(neck=neck, fte=fte, aux=aux)
    for name, part in parts.items():
        if not isinstance(part, dict) and (part is not None or name == 'neck'):
            raise ValueError(
                f'CMPose: model.method.{name} is {part!r}, expected a config'
                + ('' if name == 'neck' else ', or None for none')
            )
    shared = dict(embed_dims=embed_dims, num_keypoints=num_keypoints)
    return CMPose(
        neck=MODELS.build({**neck, **shared, 'num_frames': num_frames}),
        fte=None if fte is None else MODELS.build({**fte, **shared}),
        aux=None if aux is None else MODELS.build(aux),
        embed_dims=embed_dims,
        num_frames=num_frames,
        **kwargs,
    )
