"""Slow references for the layers and methods of mutual information: loops in float64, NumPy only.

Written from the design, not from the code under test.
"""

import math

import numpy as np


def conv(x, weight, bias=None, dilation=1):
    """'Same' convolution of one map (C, h, w) with (O, C, k, k), zeros outside."""
    out_channels, in_channels, size, _ = weight.shape
    _, height, width = x.shape
    out = np.zeros((out_channels, height, width))
    for row in range(height):
        for column in range(width):
            for a in range(size):
                for b in range(size):
                    y = row + (a - size // 2) * dilation
                    z = column + (b - size // 2) * dilation
                    if 0 <= y < height and 0 <= z < width:
                        out[:, row, column] += weight[:, :, a, b] @ x[:, y, z]
    if bias is not None:
        out += bias[:, None, None]
    return out


def bilinear(plane, y, x):
    """Value of (h, w) between cells, zeros outside."""
    height, width = plane.shape
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[row, column]
    return total


def deform(x, offsets, mask, weight, bias, dilation):
    """Modulated deformable 3x3 convolution of one map (C, h, w), cell by cell and tap by tap."""
    channels, height, width = x.shape
    groups = len(mask) // 9
    out = np.zeros((len(weight), height, width))
    for row in range(height):
        for column in range(width):
            values = np.zeros((channels, 9))
            for channel in range(channels):
                group = channel // (channels // groups)
                for tap in range(9):
                    number = group * 9 + tap
                    y = row + (tap // 3 - 1) * dilation + offsets[2 * number, row, column]
                    z = column + (tap % 3 - 1) * dilation + offsets[2 * number + 1, row, column]
                    values[channel, tap] = mask[number, row, column] * bilinear(x[channel], y, z)
            for o in range(len(weight)):
                out[o, row, column] = (weight[o].reshape(channels, 9) * values).sum()
    return out + bias[:, None, None]


def batch_norm(x, state, prefix, eps=1e-5):
    """Batch norm with running statistics on (C, h, w)."""
    mean, var = state[f'{prefix}.running_mean'], state[f'{prefix}.running_var']
    scale = state[f'{prefix}.weight'] / np.sqrt(var + eps)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[f'{prefix}.bias'][:, None, None]


def relu(x):
    return np.where(x > 0, x, 0.0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def chain(x, state, prefix):
    """A residual chain of any length: blocks `<prefix>.0`, `<prefix>.1`, ..., found by name."""
    number = 0
    while f'{prefix}.{number}.body.0.weight' in state:
        name = f'{prefix}.{number}'
        y = relu(batch_norm(conv(x, state[f'{name}.body.0.weight']), state, f'{name}.body.1'))
        y = batch_norm(conv(y, state[f'{name}.body.3.weight']), state, f'{name}.body.4')
        if number == 0:
            x = conv(x, state[f'{name}.shortcut.0.weight'])
            x = batch_norm(x, state, f'{name}.shortcut.1')
        x = relu(x + y)
        number += 1
    assert number > 0, prefix
    return x


def modulated(x, cond, state, prefix, dilation):
    """The module of that name: offsets and weights from ``cond``; returns result and weights."""
    offsets = conv(cond, state[f'{prefix}.offsets.weight'], state[f'{prefix}.offsets.bias'], 3)
    mask = sigmoid(conv(cond, state[f'{prefix}.mask.weight'], state[f'{prefix}.mask.bias'], 3))
    weight, bias = state[f'{prefix}.conv.weight'], state[f'{prefix}.conv.bias']
    return deform(x, offsets, mask, weight, bias, dilation), mask


def aggregation(key, parts, state, prefix):
    out = chain(np.concatenate(parts), state, f'{prefix}.chain')
    if f'{prefix}.proj.weight' in state:
        return key + conv(out, state[f'{prefix}.proj.weight'], state[f'{prefix}.proj.bias'])
    return out


def covariance(samples):
    """(C, C) of (M, C), one entry after the other, divided by M."""
    count, channels = samples.shape
    means = [sum(samples[:, c]) / count for c in range(channels)]
    matrix = np.zeros((channels, channels))
    for a in range(channels):
        for b in range(channels):
            products = (samples[:, a] - means[a]) * (samples[:, b] - means[b])
            matrix[a, b] = products.sum() / count
    return matrix


def log_det(matrix):
    """By Gaussian elimination."""
    matrix, total = matrix.copy(), 0.0
    for row in range(len(matrix)):
        total += math.log(matrix[row, row])
        for below in range(row + 1, len(matrix)):
            matrix[below] -= matrix[below, row] / matrix[row, row] * matrix[row]
    return total


def gaussian_mi(x, y, given=None, noise=0.0, unit_variance=False):
    """I(x; y | given) as H(x|z) + H(y|z) - H(xy|z), each from its own covariance."""

    def entropy(*parts):
        parts = [part for part in parts if part is not None]
        if not parts:
            return 0.0
        samples = np.concatenate(parts, axis=1)
        matrix = covariance(samples)
        if unit_variance:
            deviations = np.sqrt(np.diag(matrix) + 1e-6)  # as the layer says
            matrix = matrix / deviations / deviations[:, None]
        return 0.5 * log_det(matrix + noise**2 * np.eye(len(matrix)))

    return entropy(x, given) + entropy(y, given) - entropy(given) - entropy(x, y, given)


def prediction_kl(teacher, student, weights, temperature):
    """Mean over clips and joints of weight times KL, cell by cell."""
    total = 0.0
    for b in range(len(teacher)):
        for k in range(teacher.shape[1]):
            p = [math.exp(v / temperature) for v in teacher[b, k].ravel()]
            q = [math.exp(v / temperature) for v in student[b, k].ravel()]
            p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
            total += weights[b, k] * sum(a * math.log(a / c) for a, c in zip(p, q))
    return total / weights.size


def numbers(module):
    """A module's parameters and buffers by name, as float64 arrays."""
    return {name: value.double().numpy() for name, value in module.state_dict().items()}
