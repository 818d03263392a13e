"""How numbers, moments of a video and choices of persons are written; standard library only."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

_SECONDS = r'\d+(?:\.\d*)?|\.\d+'
_CLOCK = re.compile(rf'(?:(?:(\d+):)?(\d+):)?({_SECONDS})')
_FRAME = re.compile(r'(\d+)f')
_NUMBER = r'\d+(?:\.\d+)?'
_CHOICE = re.compile(
    rf'(?P<word>largest|center)(?::(?P<count>\d+))?'
    rf'|(?P<x>{_NUMBER}),(?P<y>{_NUMBER})(?::(?P<nearest>\d+))?'
    r'|id:(?P<ids>\d+(?:,\d+)*)'
)


class Moment(NamedTuple):
    """A place in a video: seconds from its start, or the number of a frame."""

    value: float
    in_frames: bool
    text: str

    def __str__(self) -> str:
        return f'frame {self.text[:-1]}' if self.in_frames else f'{self.value:g} s'


class PersonChoice(NamedTuple):
    """Which persons of a frame are wanted.

    Attributes:
        count: how many at most, of the largest or the nearest ones; None with `ids`.
        point: x, y in pixels of the image, whose nearest persons are wanted; None for the largest
            ones.
        at_center: the point is the center of the image.
        ids: track ids that are wanted; empty for the other choices.
        text: as it was written.
    """

    count: int | None
    point: tuple[float, float] | None
    at_center: bool
    ids: tuple[int, ...]
    text: str


def parse_moment(text: str) -> Moment:
    """A moment from ``90``, ``1:30``, ``0:01:30.5`` (seconds, as FFmpeg) or ``300f`` (a frame).

    Raises:
        ValueError: if it is written in another way.
    """
    if found := _FRAME.fullmatch(text):
        return Moment(int(found[1]), True, text)
    found = _CLOCK.fullmatch(text)
    if found:
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        if (found[2] is None or seconds < 60) and (found[1] is None or minutes < 60):
            return Moment(3600 * hours + 60 * minutes + seconds, False, text)
    raise ValueError(
        f'expected seconds (90), h:m:s (0:01:30.5) or the number of a frame (300f), found {text!r}'
    )


def parse_persons(text: str) -> PersonChoice:
    """A choice from ``largest``, ``largest:2``, ``center:2``, ``640,360:2`` or ``id:0,3``.

    Raises:
        ValueError: if it is written in another way.
    """
    found = _CHOICE.fullmatch(text)
    if found and found['ids']:
        return PersonChoice(None, None, False, tuple(map(int, found['ids'].split(','))), text)
    count = int(found['count'] or found['nearest'] or 1) if found else 0
    if count < 1:
        raise ValueError(
            'expected largest, center or X,Y in pixels, each with :N for more than one person, or '
            f'id:I,J of track ids, found {text!r}'
        )
    point = (float(found['x']), float(found['y'])) if found['x'] else None
    return PersonChoice(count, point, found['word'] == 'center', (), text)


def argument_type(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A function for ``type=`` of an argument, so that its sentence is shown."""

    @wraps(parse)
    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


@argument_type
def number(text: str) -> float:
    """A number; unlike float it does not take ``nan``, which no comparison holds for.

    Raises:
        argparse.ArgumentTypeError: if it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f'expected a number, found {text!r}')
    return value
