"""Slow references for transformers and deformable attention: loops in float64, NumPy only.

Written from the design, not from the code under test. Weights are arrays by name, see
`slow_information.numbers`.
"""

import math

import numpy as np
import slow_information as slow


def linear(x, state, prefix):
    """One vector."""
    out = np.array([(row * x).sum() for row in state[f'{prefix}.weight']])
    return out + state[f'{prefix}.bias'] if f'{prefix}.bias' in state else out


def layer_norm(x, state, prefix):
    mean = x.mean()
    deviation = math.sqrt(((x - mean) ** 2).mean() + 1e-5)
    return (x - mean) / deviation * state[f'{prefix}.weight'] + state[f'{prefix}.bias']


def softmax(values):
    exponentials = [math.exp(value - max(values)) for value in values]
    return np.array(exponentials) / sum(exponentials)


def gelu(x):
    return np.array([v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x])


def layer(tokens, context, state, prefix, num_heads):
    """Tokens (Q, D) that read from ``context`` (P, D)."""
    width = tokens.shape[1]
    size = width // num_heads
    normed = [layer_norm(x, state, f'{prefix}.norm_attention') for x in context]
    pairs = [linear(x, state, f'{prefix}.key_value') for x in normed]
    out = []
    for x in tokens:
        query = linear(layer_norm(x, state, f'{prefix}.norm_attention'), state, f'{prefix}.query')
        read = np.zeros(width)
        for head in range(num_heads):
            part = slice(head * size, (head + 1) * size)
            products = [
                (query[part] * pair[:width][part]).sum() / math.sqrt(size) for pair in pairs
            ]
            for weight, pair in zip(softmax(products), pairs):
                read[part] += weight * pair[width:][part]
        x = x + linear(read, state, f'{prefix}.proj')
        hidden = gelu(linear(layer_norm(x, state, f'{prefix}.norm_mlp'), state, f'{prefix}.mlp.0'))
        out.append(x + linear(hidden, state, f'{prefix}.mlp.2'))
    return np.array(out)


def sampled_attention(values, points, weights):
    """One clip: values (I, M, C, h, w), points (Q, M, I, P, 2), weights (Q, M, I, P)."""
    num_maps, num_heads, channels = values.shape[:3]
    out = np.zeros((len(points), num_heads * channels))
    for q in range(len(points)):
        for m in range(num_heads):
            for c in range(channels):
                for i in range(num_maps):
                    for p in range(points.shape[3]):
                        x, y = points[q, m, i, p]
                        value = slow.bilinear(values[i, m, c], y, x)
                        out[q, m * channels + c] += weights[q, m, i, p] * value
    return out


def cell_tokens(plane):
    """(D, h, w) to (N, D), cell by cell."""
    return np.array([plane[:, y, x] for y in range(plane.shape[1]) for x in range(plane.shape[2])])
