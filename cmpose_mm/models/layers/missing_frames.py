"""What a method sees in place of frames that do not exist.

Shapes: B clips, T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor


def key_for_missing(frames: Tensor, valid: Tensor, key_index: int) -> Tensor:
    """The clips' frames, with the key frame in place of those that are missing.

    What stands in for a missing frame, for example the nearest one, then changes nothing.

    Args:
        frames: (B, T, ...).
        valid: (B, T) bool, False for the missing ones.
        key_index: position of the key frame.
    """
    valid = valid.reshape(-1, frames.shape[1], *[1] * (frames.ndim - 2))
    return torch.where(valid, frames, frames[:, key_index : key_index + 1])
