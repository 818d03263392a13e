"""Colors of persons and sides that color-blind people can tell apart. All are BGR.

The seven colors are those of Okabe and Ito (*Color Universal Design*, 2008) without black.
"""

from __future__ import annotations

from typing import NamedTuple

_BLUE, _SKY, _GREEN, _YELLOW, _ORANGE, _VERMILION, _PURPLE = (
    (178, 114, 0), (233, 180, 86), (115, 158, 0), (66, 228, 240), (0, 159, 230), (0, 94, 213),
    (167, 121, 204),
)  # fmt: skip
LIGHT, DARK, GRAY = (255, 255, 255), (30, 30, 30), (170, 170, 170)
PERSON_COLORS = (_SKY, _VERMILION, _YELLOW, _BLUE, _PURPLE, _ORANGE, _GREEN)
"""Chosen order: the first ones differ most."""
SIDE_COLORS = {'left': _GREEN, 'right': _VERMILION, 'middle': _YELLOW}
"""Close to `cmpose_mm.joint_sets.side_color`'s green and orange, which deuteranopes confuse."""


class PersonColors(NamedTuple):
    """How one person is drawn: limbs, box, trail and name in the first, joints in the second."""

    limbs: tuple[int, int, int]
    joints: tuple[int, int, int]


def person_colors(track_id: int) -> PersonColors:
    """The colors of a track id, the same in every frame and file.

    There are seven colors of limbs. Later ids have them again with white joints, then with dark
    ones, so 21 successive ids look different. Persons without an id (negative) are gray.
    """
    if track_id < 0:
        return PersonColors(GRAY, GRAY)
    turn, place = divmod(int(track_id), len(PERSON_COLORS))
    color = PERSON_COLORS[place]
    return PersonColors(color, (color, LIGHT, DARK)[turn % 3])


def text_color(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever is read better on a background (its luma by BT.601)."""
    blue, green, red = background
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 128 else LIGHT
