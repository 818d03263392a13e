"""Checks of a method's arguments, with the key of the config in the message."""

from __future__ import annotations

from collections.abc import Collection


def check_choices(method: str, **choices: tuple[object, Collection]) -> None:
    """Checks that arguments are among those that are known.

    Args:
        method: its name, for the message.
        choices: name of an argument -> its value, and the known ones.

    Raises:
        ValueError: for the first one that is not.
    """
    for name, (value, known) in choices.items():
        if value not in known:
            raise ValueError(
                f'{method}: model.method.{name} is {value!r}, expected one of '
                f'{", ".join(map(repr, known))}'
            )


def check_not_negative(method: str, **numbers: float) -> None:
    """Checks that arguments are at least 0; ValueError names the first that is not, or is NaN."""
    for name, value in numbers.items():
        if not value >= 0:
            raise ValueError(f'{method}: model.method.{name} is {value}, expected at least 0')


def check_positive(method: str, **numbers: float) -> None:
    """Checks that arguments are above 0; ValueError names the first that is not, or is NaN."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f'{method}: model.method.{name} is {value}, expected more than 0')


def check_heads(method: str, num_heads: int, channels: int) -> None:
    """Checks that attention heads divide the channels; ValueError names both if they do not."""
    if num_heads < 1 or channels % num_heads:
        raise ValueError(
            f'{method}: model.method.num_heads is {num_heads}, expected a divisor of the '
            f'{channels} channels'
        )
