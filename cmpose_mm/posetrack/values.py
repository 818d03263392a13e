"""Values of label files: as numbers, and in the words of a message."""

from __future__ import annotations

import math

import numpy as np


def as_int(value: object) -> int | None:
    """A whole number that fits 64 bits, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        return None
    return value


def as_flag(value: object) -> bool | None:
    """True or false, which may be written as a whole number; None for anything else."""
    number = value if isinstance(value, bool) else as_int(value)
    return None if number is None else bool(number)


def as_floats(value: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """A nested list as float64, or None unless it has this shape and finite numbers only."""
    try:
        array = np.array(value)
    except ValueError:  # ragged
        return None
    if array.shape != shape or array.dtype.kind not in 'iuf' or not np.isfinite(array).all():
        return None
    return array.astype(np.float64)


def show(value: object) -> str:
    """A value in a few words, for error messages."""
    if value is None:
        return 'missing'
    if isinstance(value, dict):
        return f'an object with {list_names(value)}'
    if isinstance(value, list) and len(value) > 4:
        odd = [v for v in value if not _is_finite_number(v)]
        return f'a list of {len(value)}' + (f' with {odd[0]!r:.30}' if odd else '')
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + '...'


def list_names(value: dict) -> str:
    """The first names of an object's fields, for error messages."""
    names = list(value)
    return ', '.join(f'"{name}"' for name in names[:6]) if names else 'nothing in it'


def _is_finite_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or math.isfinite(value)
