"""Converts predicted poses of a video to formats of other tools."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from .grammar import number

NEEDS_MMPOSE = False
NEEDED = {'mot': 'a track id or box', 'parquet': 'joints', 'trc': 'a track id'}
FORMATS = {
    'coco': 'results that pycocotools reads, a JSON file',
    'mot': "MOTChallenge's text of boxes and ids",
    'openpose': "OpenPose's JSON (BODY_25), a folder with a file for each frame",
    'parquet': 'a long table with a row for each joint (needs pyarrow)',
    'trc': 'marker trajectories for OpenSim, a folder with a file for each person',
}
EPILOG = (
    'formats:\n'
    + '\n'.join(f'  {name:9} {what}' for name, what in FORMATS.items())
    + """

examples:
  cmpose infer dance.mp4 --out-json dance.json
  %(prog)s dance.json openpose dance_openpose
  %(prog)s dance.json trc dance_trc --pixels-per-meter 240

POSES is a JSON file in PoseTrack18's form of one video, or a table (its name ends in .csv) as
`cmpose infer --out-csv` writes it, with any joints. Joints are matched by name.
docs/pose_formats.md has every format's layout."""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('poses', metavar='POSES')
    parser.add_argument('format', metavar='FORMAT', choices=FORMATS, help=', '.join(FORMATS))
    parser.add_argument('out', metavar='OUT', help='file or folder to write')
    parser.add_argument('--pixels-per-meter', type=number, metavar='S',
                        help='scale for trc, at the distance of the persons')  # fmt: skip
    parser.add_argument('--frame-rate', type=number, metavar='F',
                        help='frames a second for trc (default: from the times in the '
                        'file)')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Converts and writes; returns the exit status."""
    if (args.format == 'trc') != (args.pixels_per_meter is not None):
        args.error('--pixels-per-meter: expected with the format trc, which holds meters, alone')
    if args.frame_rate is not None and args.format != 'trc':
        args.error('--frame-rate: expected with the format trc alone')
    if Path(args.out).resolve() == Path(args.poses).resolve():
        args.error(f'{args.out}: holds the poses; expected another place')
    from cmpose_mm.pose_formats import (
        read_poses,
        write_coco_results,
        write_mot,
        write_openpose,
        write_parquet,
        write_trc,
    )
    from cmpose_mm.posetrack.annotations import AnnotationError

    write = {
        'coco': write_coco_results,
        'mot': write_mot,
        'openpose': write_openpose,
        'parquet': write_parquet,
        'trc': partial(
            write_trc, pixels_per_meter=args.pixels_per_meter, frame_rate=args.frame_rate
        ),
    }[args.format]
    try:
        video = read_poses(args.poses)
        written = write(video, args.out)
    except (AnnotationError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    left_out = len(video.frames) - written
    told = [f'{written} persons in {len(video.image_ids)} frames']
    told += [f'{left_out} without {NEEDED[args.format]} left out'] if left_out else []
    told += filter(None, [video.numbering()])
    print(f'{args.out}: {"; ".join(told)}')
    return 0
