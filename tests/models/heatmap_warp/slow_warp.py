"""HeatmapWarp's warp cell by cell, tap by tap, in Python's floats."""

from __future__ import annotations

import math

import numpy as np


def bilinear(heatmap: np.ndarray, y: float, x: float) -> float:
    """Value of (H, W) at a point between the cells; cells outside are 0."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < heatmap.shape[0] and 0 <= column < heatmap.shape[1]:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                total += share * float(heatmap[row, column])
    return total


def deformed(source, offsets, weight, dilation) -> np.ndarray:
    """One deformable convolution, an offset group for each joint.

    Args:
        source: (K, H, W).
        offsets: (K, 9, 2, H, W) y and x of each joint's taps.
        weight: (K, K, 3, 3).
        dilation: of the taps.
    """
    num_joints, height, width = source.shape
    out = np.zeros(source.shape)
    for to in range(num_joints):
        for y in range(height):
            for x in range(width):
                for joint in range(num_joints):
                    for tap in range(9):
                        row, column = divmod(tap, 3)
                        dy, dx = offsets[joint, tap, :, y, x]
                        out[to, y, x] += float(weight[to, joint, row, column]) * bilinear(
                            source[joint],
                            y + (row - 1) * dilation + float(dy),
                            x + (column - 1) * dilation + float(dx),
                        )
    return out
