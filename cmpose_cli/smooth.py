"""Smooths predicted poses over time and fills short gaps in their tracks."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from .grammar import number

NEEDS_MMPOSE = False
EPILOG = """examples:
  cmpose infer dance.mp4 --out-json dance.json
  %(prog)s dance.json smooth.json
  %(prog)s work_dirs/tracked work_dirs/smooth --frame-rate 25

PREDICTIONS is a JSON file in PoseTrack18's form or a folder of such files, with any joints and with
track ids. A polynomial is fitted to the frames around each one (Savitzky-Golay). Persons who are
filled in have "filled": true. `cmpose eval --jitter` measures what was won."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('predictions', metavar='PREDICTIONS')
    parser.add_argument('out', metavar='OUT', help='file or folder to write')
    parser.add_argument('--window', type=number, default=0.25, metavar='S',
                        help='seconds that a polynomial covers, at least --order + 2 '
                        'frames; 0 smooths nothing (default: %(default)s)')  # fmt: skip
    parser.add_argument('--order', type=int, default=2, help='of it (default: %(default)s)')
    parser.add_argument('--max-gap', type=number, default=0.2, metavar='S',
                        help='longest gap to fill, in seconds; 0 fills none (default: '
                        '%(default)s)')  # fmt: skip
    parser.add_argument('--frame-rate', type=number, metavar='F',
                        help='frames a second (default: the times in the file count)')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Smooths and writes; returns the exit status."""
    from tqdm import tqdm

    from cmpose_mm.posetrack.annotations import AnnotationError
    from cmpose_mm.posetrack.predictions import describe_other_files
    from cmpose_mm.smoothing import smooth_files

    try:
        done = smooth_files(
            args.predictions,
            args.out,
            progress=partial(tqdm, delay=1, leave=False, desc='smoothing', unit=' files'),
            window=args.window,
            order=args.order,
            max_gap=args.max_gap,
            frame_rate=args.frame_rate,
        )
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{args.out}: {done}')
    given = Path(args.predictions)
    told = given.is_dir() and describe_other_files(args.out, [f.name for f in given.iterdir()])
    if told:
        print(told, file=sys.stderr)
    return 0
