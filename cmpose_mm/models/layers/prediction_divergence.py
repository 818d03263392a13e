"""Divergence between the positions of joints that two sets of heatmaps predict.

Shapes: B clips, K joints, h x w cells.
"""

from __future__ import annotations

import torch
from torch import Tensor


def prediction_kl(
    teacher: Tensor, student: Tensor, weights: Tensor, temperature: float = 0.05
) -> Tensor:
    """KL(teacher || student) between distributions over the cells, for each labeled joint.

    A heatmap is a distribution by the softmax of its values over ``temperature``. Computed in
    float32 (or float64, if that is given), even under autocast.

    Args:
        teacher: (B, K, h, w) heatmaps; they receive no gradient.
        student: (B, K, h, w) heatmaps.
        weights: (B, K) weight of each joint, 0 where it is not labeled.
        temperature: of the softmax; MSE heatmaps reach from 0 to 1, so it is small.

    Returns:
        Scalar, >= 0, in nats: the mean over all joints, in which those without a label count as 0.
        So the mean over a batch is the mean over its parts, however it is split over processes.
    """
    with torch.autocast(student.device.type, enabled=False):
        if student.dtype != torch.float64:
            teacher, student = teacher.float(), student.float()
        log_p = (teacher.detach().flatten(2) / temperature).log_softmax(dim=2)
        log_q = (student.flatten(2) / temperature).log_softmax(dim=2)
        divergence = (log_p.exp() * (log_p - log_q)).sum(dim=2)
        return (divergence * weights).mean()
