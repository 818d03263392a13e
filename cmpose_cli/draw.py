"""Draws poses from a file over their video."""

from __future__ import annotations

import argparse

from .grammar import number
from .overlay_arguments import add_overlay_arguments

NEEDS_MMPOSE = True
EPILOG = """examples:
  cmpose infer dance.mp4 --out-json dance.json --out-csv dance.csv
  %(prog)s dance.mp4 dance.csv dance_poses.mp4            # after editing the table
  %(prog)s frames/ poses.json overlay.mp4 --frame-rate 25
  %(prog)s dance.mp4 dance.json trails.mp4 --trails 1 --trail-joints left_wrist right_wrist

POSES is a JSON file in PoseTrack18's form or a CSV as `cmpose infer` writes them, with any joints.
Poses and frames are matched by the images' file names if the video is a folder and the file has
them, else by position."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('video', metavar='VIDEO', help='file, or folder of images')
    parser.add_argument('poses', metavar='POSES', help='JSON or CSV')
    parser.add_argument('out', metavar='OUT', help='video file to write')
    parser.add_argument('--frame-rate', type=number, metavar='F',
                        help="frames a second, where the video doesn't say (default: "
                        '25)')  # fmt: skip
    add_overlay_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Draws and writes; returns the exit status."""
    from cmpose_mm.apis.draw_command import main

    return main(args)
