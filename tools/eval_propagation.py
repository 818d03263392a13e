"""Scores pose propagation against labels that the propagator does not see.

    python tools/eval_propagation.py data/posetrack18/annotations/val --every 4
    python tools/eval_propagation.py data/posetrack18/annotations/val --every 4 \\
        --propagator warp --config CONFIG --checkpoint CHECKPOINT --images data/posetrack18
    python tools/eval_propagation.py data/posetrack17/annotations/val --protocol posewarper \\
        --propagator warp --config CONFIG --checkpoint CHECKPOINT --images data/posetrack17

The simple propagators, copy and linear, are always scored beside the one that is asked for: they
need no model, and are hard to beat where little moves.

protocols:
  hidden      (default) every K-th label stays, the others are hidden; scored are the frames where
              they are hidden: AP, PCK, and PCK@0.1 by distance to the nearest label, by how far the
              joint has moved from it (in head sizes), by visibility and by joint
  posewarper  that of PoseWarper's label propagation: of every video the longest run of labeled
              frames, its 4th and every 7th labeled, each frame from the nearest label (AP)

GT needs head boxes, and track ids for `hidden`. Where neighboring frames repeat, copying looks
better than it is: tools/distinct_frames.py drops such frames.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

if __name__ == '__main__' and not any(arg.startswith('--config') for arg in sys.argv):
    sys.modules['mmpose'] = None  # no model: not needed, and importing it takes seconds

from cmpose_mm.evaluation import RULES
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.json_files import json_bytes
from cmpose_mm.propagation import PROPAGATORS, build_propagator, score_hidden, score_posewarper
from cmpose_mm.propagation.report import format_scores
from cmpose_mm.propagation.scoring import NECKS

BASELINES = {'hidden': ['copy', 'linear'], 'posewarper': ['copy']}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('gt', metavar='GT', help='folder of label files, or one file')
    parser.add_argument(
        '--propagator', choices=list(PROPAGATORS), default='copy', help='default: copy'
    )
    parser.add_argument('--protocol', choices=list(BASELINES), default='hidden')
    parser.add_argument(
        '--every', type=int, metavar='K', help='for hidden: labels that stay (default: every 4th)'
    )
    parser.add_argument(
        '--neck',
        choices=NECKS,
        default='predicted',
        help="for posewarper: 'shoulders' puts the neck between the shoulders, as PoseWarper's "
        'code does, so that its Head compares',
    )
    parser.add_argument('--images', metavar='DIR', help="the labels' file names start from it")
    parser.add_argument('--config', help='of the model')
    parser.add_argument('--checkpoint', help='of the model')
    parser.add_argument('--device', default='cpu', help='of the model (default: cpu)')
    parser.add_argument('--batch-size', type=int, default=16, help='of the model (default: 16)')
    parser.add_argument(
        '--dataset', choices=list(RULES), default='18', help='release whose rules hold (default 18)'
    )
    parser.add_argument('--videos', nargs='+', metavar='NAME', help='score only these videos')
    parser.add_argument('--out', metavar='FILE', help='also write the results as JSON')
    args = parser.parse_args()
    if args.every is not None and args.protocol == 'posewarper':
        parser.error('--every: is of --protocol hidden; posewarper has every 7th label.')
    args.every = 4 if args.every is None else args.every
    if args.every < 2:
        parser.error(f'--every {args.every}: expected at least 2, so that labels are hidden.')
    if args.protocol == 'posewarper' and args.propagator == 'linear':
        parser.error('--propagator linear: needs two labels, and protocol posewarper gives one.')
    if args.protocol == 'posewarper' and args.propagator == 'copy' and args.images:
        parser.error('--images: protocol posewarper scores all frames; expected it with a model.')
    if args.protocol == 'hidden' and args.neck == 'shoulders':
        parser.error('--neck shoulders: is of --protocol posewarper.')
    if args.out and not Path(args.out).parent.is_dir():
        parser.error(f'--out {args.out}: there is no folder {Path(args.out).parent}.')
    if args.out and Path(args.out).is_dir():
        parser.error(f'--out {args.out}: is a folder, expected a file.')
    out = Path(args.out or '').resolve()
    if args.out and Path(args.gt).resolve() in (out, out.parent):
        parser.error(f'--out {args.out}: is where the labels are, expected another place.')
    return args


def main() -> int:
    args = parse_args()
    progress = partial(tqdm, unit=' videos', delay=1, leave=False)
    try:
        propagators = {name: build_propagator(name) for name in BASELINES[args.protocol]}
        propagators[args.propagator] = build_propagator(
            args.propagator,
            args.config,
            args.checkpoint,
            image_root=args.images,
            device=args.device,
            batch_size=args.batch_size,
        )
        videos = read_videos(args.gt, progress=partial(tqdm, desc='reading', delay=1, leave=False))
        videos = chosen_videos(videos, args.videos)
        scores = {}
        for name, propagator in propagators.items():
            options = dict(rules=RULES[args.dataset], progress=partial(progress, desc=name))
            if args.protocol == 'hidden':
                scores[name] = score_hidden(
                    videos, propagator, args.every, image_root=args.images, **options
                )
            else:
                scores[name] = score_posewarper(videos, propagator, neck=args.neck, **options)
    except (AnnotationError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(format_scores(scores))
    if args.out:
        content = {name: each.to_dict() for name, each in scores.items()}
        settings = {key: value for key, value in vars(args).items() if key != 'out'}
        content = {'settings': settings, 'scores': content}
        try:
            Path(args.out).write_bytes(json_bytes(content, indent=True))
        except OSError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def chosen_videos(videos: list, names: list[str] | None) -> list:
    """The videos of these names; all by default."""
    known = {video.name for video in videos}
    missing = [name for name in names or () if name not in known]
    if missing:
        raise AnnotationError(f'Video {missing[0]!r} is not among the {len(known)} of the labels.')
    return [video for video in videos if names is None or video.name in names]


if __name__ == '__main__':
    sys.exit(main())
