"""Plots where the joints of each person were over time, and the joint angles."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from .grammar import number

NEEDS_MMPOSE = False
EPILOG = """examples:
  cmpose infer dance.mp4 --out-json dance.json
  %(prog)s dance.json plots
  %(prog)s dance.csv plots --joints left_wrist right_wrist --persons 0

POSES is a JSON file in PoseTrack18's form of one video or a CSV as `cmpose infer` writes them, with
any joints and with track ids. OUT gets a figure of each person, NAME_id3.png: x, y, and the angles
of elbows, shoulders, hips and knees, over seconds; and NAME_angles.csv, these angles in numbers.
Lines have gaps where a joint is absent and are faint where it scores little. `cmpose infer
--plots OUT` does this at once. docs/plots.md defines the angles."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('poses', metavar='POSES', help='JSON or CSV')
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument('--joints', nargs='+', default=[], metavar='JOINT',
                        help='to draw (default: nose, shoulders, elbows, wrists, hips, knees and '
                        'ankles, or all if the poses have none of them)')  # fmt: skip
    parser.add_argument('--persons', nargs='+', type=int, default=[], metavar='ID',
                        help='track ids (default: all)')  # fmt: skip
    parser.add_argument('--joint-thr', type=number, default=0.2, metavar='S',
                        help='joints that score less are faint (default: %(default)s)')  # fmt: skip
    parser.add_argument('--frame-rate', type=number, metavar='F',
                        help='frames a second (default: from the times in the file)')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Plots and writes; returns the exit status."""
    from tqdm import tqdm

    from cmpose_mm.plots import write_plots
    from cmpose_mm.pose_formats import read_poses
    from cmpose_mm.posetrack.annotations import AnnotationError

    try:
        video = read_poses(args.poses)
        done = write_plots(
            video,
            args.out,
            args.joints,
            args.persons,
            args.joint_thr,
            args.frame_rate,
            partial(tqdm, delay=1, leave=False, desc='plotting', unit=' persons'),
        )
    except (AnnotationError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    told = '; '.join(filter(None, [str(done), video.numbering()]))
    print(f'{args.out}: {told}')
    return 0
