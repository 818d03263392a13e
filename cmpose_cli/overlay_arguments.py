"""The options of the overlay, for the commands that draw one."""

from __future__ import annotations

import argparse

from .grammar import number

COLOR_BY = ('person', 'side', 'joints')


def add_overlay_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds a group with those that `cmpose_mm.visualization.overlay.overlay_of` reads."""
    group = parser.add_argument_group('overlay')
    group.add_argument('--color-by', choices=COLOR_BY, default='person',
                       help='person: each track id has its color (default); side: left and right '
                       "of the body; joints: the joint set's own colors")  # fmt: skip
    group.add_argument('--draw-boxes', action='store_true', help='draw the boxes of persons')
    group.add_argument('--trails', type=number, default=0, metavar='S',
                       help='draw the path of the last S seconds (default: 0, none)')  # fmt: skip
    group.add_argument('--trail-joints', nargs='+', default=[], metavar='JOINT',
                       help='of these joints (default: of the middle of the box)')  # fmt: skip
    group.add_argument('--legend', action='store_true', help='list persons or sides with colors')
    group.add_argument('--no-names', action='store_true', help='write no ids and scores')
    group.add_argument('--joint-thr', type=number, default=0.2, metavar='S',
                       help='joints that score less are not drawn (default: 0.2)')  # fmt: skip
