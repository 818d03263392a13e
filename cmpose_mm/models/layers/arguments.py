"""Checks of a method's arguments, with the key of the config in the message."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from numbers import Integral, Real

import numpy as np


def check_choices(method: str, **choices: tuple[object, Collection]) -> None:
    """Checks that arguments are among those that are known.

    Args:
        method: its name, for the message.
        choices: name of an argument -> its value, and the known ones.

    Raises:
        ValueError: for the first one that is not.
    """
    for name, (value, known) in choices.items():
        if value not in [*known]:  # of a list: also a value that has no hash is in none
            raise ValueError(
                f'{method}: model.method.{name} is {value!r}, expected one of '
                f'{", ".join(map(repr, known))}'
            )


def check_flags(method: str, **flags: bool) -> None:
    """Checks that arguments are True or False; ValueError names the first that is not.

    A text such as ``'no'`` would count as true.
    """
    _check(method, flags, lambda v: isinstance(v, (bool, np.bool_)), 'True or False')


def check_not_negative(method: str, **numbers: float) -> None:
    """Checks that arguments are finite and at least 0; ValueError names the first that is not."""
    _check(method, numbers, lambda v: _is_number(v) and v >= 0, 'a number of at least 0')


def check_positive(method: str, **numbers: float) -> None:
    """Checks that arguments are finite numbers above 0; ValueError names the first that is not."""
    _check(method, numbers, lambda v: _is_number(v) and v > 0, 'a number above 0')


def check_counts(method: str, least: int = 1, **numbers: int) -> None:
    """Checks that arguments are whole numbers.

    Args:
        method: its name, for the message.
        least: smallest value that is allowed.
        numbers: name of an argument -> its value.

    Raises:
        ValueError: for the first one that is not.
    """
    expected = f'a whole number of at least {least}'
    _check(method, numbers, lambda v: _is_count(v, least), expected)


def check_lists(method: str, least: int = 1, **lists: Sequence[int]) -> None:
    """Checks that arguments are lists of whole numbers, with at least one.

    Args:
        method: its name, for the message.
        least: smallest number that is allowed.
        lists: name of an argument -> its value.

    Raises:
        ValueError: for the first one that is not.
    """

    def fits(values: object) -> bool:
        is_list = isinstance(values, Sequence) and len(values) > 0
        return is_list and all(_is_count(value, least) for value in values)

    _check(method, lists, fits, f'a list of whole numbers of at least {least}')


def check_heads(method: str, num_heads: int, channels: int, name: str = 'num_heads') -> None:
    """Checks that attention heads divide the channels; ValueError names both if they do not."""
    if not _is_count(num_heads, 1) or channels % num_heads:
        raise ValueError(
            f'{method}: model.method.{name} is {num_heads!r}, expected a divisor of the '
            f'{channels} channels'
        )


def _check(method: str, values: dict, fits: Callable[[object], bool], expected: str) -> None:
    for name, value in values.items():
        if not fits(value):
            raise ValueError(f'{method}: model.method.{name} is {value!r}, expected {expected}')


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least
