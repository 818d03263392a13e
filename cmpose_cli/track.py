"""Adds track ids to the persons in PoseTrack predictions."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from .grammar import number

NEEDS_MMPOSE = False
EPILOG = """example:
  %(prog)s work_dirs/predictions work_dirs/tracked
  python tools/eval_posetrack.py data/posetrack18/annotations/val work_dirs/tracked --mota

PREDICTIONS is a folder with one file per video (PoseTrack18/21 JSON with any joints, PoseTrack17
annolist as JSON or .mat), or one file that holds all videos. One PoseTrack18 JSON file per video is
written to OUT. Of JSON with "images" everything stays but the ids, which are replaced; persons with
too low a score are kept, with id -1."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('predictions', metavar='PREDICTIONS', type=Path)
    parser.add_argument('out', metavar='OUT', type=Path, help='folder to write to')
    parser.add_argument(
        '--min-score',
        type=number,
        default=0.3,
        help='persons with a lower mean joint score are not tracked (default: %(default)s)',
    )
    parser.add_argument(
        '--min-joint-score',
        type=number,
        default=0.3,
        help='joints with this score or less are not compared (default: %(default)s)',
    )
    parser.add_argument(
        '--memory',
        type=int,
        default=30,
        help='frames for which a person may be unseen and keep the id (default: %(default)s)',
    )


def run(args: argparse.Namespace) -> int:
    """Tracks and writes; returns the exit status."""
    if args.out.resolve() in (args.predictions.resolve(), args.predictions.resolve().parent):
        args.error(f'{args.out} holds PREDICTIONS; expected another folder to write to.')
    from tqdm import tqdm

    from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
    from cmpose_mm.posetrack.predictions import describe_other_files, prediction_files
    from cmpose_mm.tracking import assign_track_ids, write_tracked

    progress = partial(tqdm, delay=1, leave=False)
    try:
        videos = assign_track_ids(
            read_videos(
                args.predictions,
                other_joints=True,
                progress=partial(progress, desc='reading', unit=' files'),
            ),
            progress=partial(progress, desc='tracking', unit=' videos'),
            min_score=args.min_score,
            min_joint_score=args.min_joint_score,
            memory=args.memory,
        )
        write_tracked(videos, args.out)
    except (AnnotationError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    ids = [{i for frame in v.frames for i in frame.track_ids.tolist()} - {-1} for v in videos]
    persons = sum(len(frame.track_ids) for video in videos for frame in video.frames)
    unsure = sum((frame.track_ids == -1).sum() for video in videos for frame in video.frames)
    print(
        f'{args.out}: {persons} persons in {len(videos)} videos, {sum(map(len, ids))} tracks, '
        f'{unsure} persons without id'
        + (f', whose joints score below --min-score {args.min_score:g}' if unsure else '')
    )
    told = describe_other_files(args.out, prediction_files(videos))
    if told:
        print(told, file=sys.stderr)
    return 0
