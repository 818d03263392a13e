"""What a video pose method hands back to the estimator.

A *method* is a module that turns the features of a clip's frames into one feature map of the key
frame. It has an attribute ``num_frames`` and is called as ``method(features, clip_seeds=seeds)``
with features (B, T, C, h, w) and seeds (B,) int64 or None.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class MethodOutput:
    """Result of a video pose method for B clips.

    Attributes:
        key_features: (B, D, h, w) feature map of the key frame, the heatmap head's input.
        losses: Auxiliary losses by name, scalars, already weighted; empty in eval mode.
        details: What the method can show about its decisions, each tensor (B, ...), detached.
    """

    key_features: Tensor
    losses: dict[str, Tensor] = field(default_factory=dict)
    details: dict[str, Tensor] = field(default_factory=dict)
