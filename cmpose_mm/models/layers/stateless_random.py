"""Random numbers that depend only on a seed and a counter.

Torch's generators have a state: what a clip draws from them depends on the clips before it, on the
process and on the device. Here every number is a hash of (seed, stream, row, column), so a clip
gets the same numbers in any batch and on any rank and device (normals up to the rounding of log and
cos), and unused numbers are never drawn.

The hash is SplitMix64's output function (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014), applied along the chain seed, stream, row, column. It is a
bijection of 64-bit integers, so the rows of one (seed, stream) never collide.

Shapes: B clips, M rows, C columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The paper's unsigned constants as torch's signed integers; arithmetic wraps around.
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLIER_1 = 0xBF58476D1CE4E5B9 - 2**64
_MULTIPLIER_2 = 0x94D049BB133111EB - 2**64


def hash_rows(seeds: Tensor, stream: int, rows: Tensor) -> Tensor:
    """64 random bits for each row of each clip.

    Args:
        seeds: (B,) int64, any values.
        stream: number of the purpose; different streams of one seed are independent.
        rows: (B, M) or (M,) int64 counters.

    Returns:
        (B, M) int64, uniform over all 64-bit integers and distinct for distinct rows of a clip.
    """
    keys = _next_key(_next_key(seeds, torch.tensor(0)), torch.tensor(stream))
    return _next_key(keys[:, None], rows)


def standard_normals(seeds: Tensor, stream: int, rows: Tensor, num_columns: int) -> Tensor:
    """Independent standard normal numbers for each row of each clip (Box-Muller).

    Args:
        seeds: (B,) int64.
        stream: number of the purpose.
        rows: (B, M) or (M,) int64 counters.
        num_columns: C, numbers per row.

    Returns:
        (B, M, C) float32, with absolute values below 5.8, as the uniform numbers have 23 bits.
    """
    row_keys = hash_rows(seeds, stream, rows)
    pairs = torch.arange((num_columns + 1) // 2, device=row_keys.device)
    bits = _next_key(row_keys[..., None], pairs)
    # Two uniform numbers from the upper and the middle bits of one hash.
    radius = (-2 * _uniform(bits, shift=41).log()).sqrt()
    angle = 2 * math.pi * _uniform(bits, shift=18)
    normals = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)
    return normals[..., :num_columns]


def draw_seeds(num_clips: int, device: torch.device) -> Tensor:
    """(B,) int64 seeds from torch's global generator, the same on every device."""
    return torch.randint(2**63 - 1, (num_clips,), dtype=torch.int64).to(device)


def _next_key(keys: Tensor, counters: Tensor) -> Tensor:
    """Hashes counters (int64, >= 0) under keys, broadcasting: one SplitMix64 step each."""
    bits = keys + (counters + 1) * _GOLDEN_GAMMA
    bits = (bits ^ _shift_right(bits, 30)) * _MULTIPLIER_1
    bits = (bits ^ _shift_right(bits, 27)) * _MULTIPLIER_2
    return bits ^ _shift_right(bits, 31)


def _shift_right(bits: Tensor, amount: int) -> Tensor:
    """Logical shift: torch's own keeps the sign of int64."""
    return (bits >> amount) & ((1 << (64 - amount)) - 1)


def _uniform(bits: Tensor, shift: int) -> Tensor:
    """Float32 in the open interval (0, 1) from the 23 bits above ``shift``."""
    # 23 bits and a half are exact in float32's 24-bit mantissa, so neither 0 nor 1 can occur.
    return (((bits >> shift) & (2**23 - 1)).float() + 0.5) * 2.0**-23
