"""Scores PoseTrack predictions: average precision of each joint, tracking accuracy, and recall of
joints that are visible, occluded, or occluded but visible in a neighboring frame."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

NEEDS_MMPOSE = False
RULES = ('17', '18', '21')
TIE_BREAKS = ('stable', 'poseval')
PCK_NORMS = ('box', 'torso', 'head')
EPILOG = """example:
  %(prog)s data/posetrack18/annotations/val work_dirs/predictions \\
      --mota --visibility --out result.json

GT and PRED are folders with one file a video (PoseTrack18/21 JSON, PoseTrack17 annolist as JSON or
.mat), or one file that holds all videos. Prints tables in Markdown and a row for LaTeX. The exit
status is 1 if the input is wrong, with one sentence for each problem on standard error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds those of the command."""
    parser.add_argument('gt', metavar='GT', help='ground truth')
    parser.add_argument('pred', metavar='PRED', help='predictions')
    parser.add_argument('--out', metavar='FILE', help='also write the result as JSON')
    parser.add_argument(
        '--dataset',
        choices=RULES,
        default='18',
        help="release whose evaluator to follow: 17 and 18 share one, 21's differs (default: 18)",
    )
    parser.add_argument(
        '--tie-break',
        choices=TIE_BREAKS,
        default='stable',
        help='order of equal scores: by video, frame and person, or as the unstable sort leaves '
        'them that poseval uses (default: stable)',
    )
    parser.add_argument('--mota', action='store_true', help='also compute MOTA')
    parser.add_argument(
        '--mota-compat',
        choices=['poseval'],
        help='count as poseval does: without the last frame of a video, with a made-up pair where '
        'one side is empty',
    )
    parser.add_argument(
        '--visibility',
        action='store_true',
        help='also compute the recall of joints that are visible, occluded, recoverable (occluded, '
        'but visible in a neighboring frame) and lost (occluded there too)',
    )
    parser.add_argument(
        '--jitter',
        action='store_true',
        help='also compute the acceleration error: how much the joints shake beyond their labels',
    )
    parser.add_argument(
        '--reach',
        type=int,
        default=1,
        metavar='N',
        help='for --visibility: neighbors on either side that may show a joint (default: 1, those '
        'of a model of three frames)',
    )
    parser.add_argument(
        '--stride',
        type=int,
        default=1,
        metavar='N',
        help='for --visibility and --jitter: frames from one neighbor to the next (default: 1)',
    )
    parser.add_argument(
        '--pck',
        nargs='*',
        choices=PCK_NORMS,
        metavar='NORM',
        help='also compute PCK at 0.5, 0.2, 0.1 and 0.05, with hits of each video in --out; norms: '
        'box (default; the longer side of the labeled box), torso (left shoulder to right hip), '
        'head (head size, as AP)',
    )
    parser.add_argument(
        '--pck-visible-only',
        action='store_true',
        help='for --pck: leave out joints that are labeled as hidden, as on Penn Action',
    )
    parser.add_argument('--per-video', action='store_true', help='also score each video by itself')
    parser.add_argument('--videos', nargs='+', metavar='NAME', help='score only these videos')
    parser.add_argument(
        '--allow-missing',
        action='store_true',
        help='leave out videos without predictions; frames that a predicted video does not list '
        'count as frames without predictions',
    )


def run(args: argparse.Namespace) -> int:
    """Scores and prints; returns the exit status."""
    if min(args.reach, args.stride) < 1:
        args.error(f'--reach {args.reach} --stride {args.stride}: expected both to be at least 1.')
    if args.pck_visible_only and args.pck is None:
        args.error('--pck-visible-only: expected with --pck')
    if args.reach != 1 and not args.visibility:
        args.error('--reach: expected with --visibility')
    if args.stride != 1 and not (args.visibility or args.jitter):
        args.error('--stride: expected with --visibility or --jitter')
    out = Path(args.out or '').resolve()
    for source in (args.gt, args.pred):
        if args.out and Path(source).resolve() in (out, out.parent):
            args.error(f'{args.out}: is where {source} is read from; expected another place')
    if args.out and not Path(args.out).absolute().parent.is_dir():  # told before the scoring
        print(f'{args.out}: its folder is not there; expected one to write to.', file=sys.stderr)
        return 1
    from tqdm import tqdm

    from cmpose_mm.evaluation import evaluate_files, format_result
    from cmpose_mm.posetrack.annotations import AnnotationError
    from cmpose_mm.posetrack.json_files import json_bytes

    try:
        result = evaluate_files(
            args.gt,
            args.pred,
            dataset=args.dataset,
            tie_break=args.tie_break,
            allow_missing=args.allow_missing,
            videos=args.videos,
            per_video=args.per_video,
            mota=args.mota or args.mota_compat is not None,
            mota_compat=args.mota_compat,
            visibility=args.visibility,
            jitter=args.jitter,
            reach=args.reach,
            stride=args.stride,
            pck_norms=('box',) if args.pck == [] else args.pck or (),
            pck_visible_only=args.pck_visible_only,
            progress=partial(tqdm, desc='reading', unit=' files', delay=1, leave=False),
        )
        if not result['counts']['joints']:
            raise AnnotationError(
                f'{args.gt}: no joint is labeled in the {result["counts"]["videos"]} videos that '
                f'are scored ({result["protocol"]["videos_left_out"]} are left out), expected '
                'labels; without them nothing can be scored.'
            )
        print(format_result(result))
        if args.out:
            Path(args.out).write_bytes(json_bytes(result, indent=True))
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
