"""Fills the frames between labels with poses: labels in every k-th frame, poses in all.

    python tools/propagate_poses.py SPARSE/annotations/train --out DENSE/annotations/train \\
        --images data/posetrack18 --propagator linear
    python tools/propagate_poses.py SPARSE/annotations/train --out DENSE/annotations/train \\
        --images data/posetrack18 --propagator warp --config CONFIG --checkpoint CHECKPOINT

SPARSE is a folder of label files (PoseTrack18/21 JSON, PoseTrack17 annolist as JSON or .mat), or
one file. Its labels stay as they are; the poses that are added have scores and "pseudo": true, so
that no evaluation takes them for ground truth. Train any config on DENSE (`ann_file`).

propagators:
  copy      the pose of the nearest label                                             (no model)
  linear    along straight lines from one label to the next                           (no model)
  estimate  any pose model on the frame; the labels say who is there and where
  warp      warps the nearest label by the difference of both frames, see configs/heatmap_warp
  stdpose   estimates the pose in the frame with both labels

Persons are followed by track id. Who enters or leaves between two labels gets no pose there, and
so on: what was left out is counted at the end, and docs/propagation.md has the rules. Run again
after a kill: files that are complete are not done again.
"""

import argparse
import sys
from functools import partial

from tqdm import tqdm

if __name__ == '__main__' and not any(arg.startswith('--config') for arg in sys.argv):
    sys.modules['mmpose'] = None  # no model: not needed, and importing it takes seconds

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.propagation import PROPAGATORS, Filter, build_propagator, propagate_labels


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('labels', metavar='SPARSE', help='folder of label files, or one file')
    parser.add_argument('--out', required=True, metavar='DENSE', help='new folder (or file)')
    parser.add_argument(
        '--propagator', choices=list(PROPAGATORS), default='linear', help='default: linear'
    )
    parser.add_argument(
        '--images',
        metavar='DIR',
        help="folder that the labels' file names start from; needed for a model. If given, frames "
        'that are not on disk get no poses',
    )
    parser.add_argument('--config', help='of the model')
    parser.add_argument('--checkpoint', help='of the model')
    parser.add_argument(
        '--every',
        type=int,
        metavar='K',
        help='how many frames apart labels are; poses are not carried over larger gaps (default: '
        'what is most frequent in the labels)',
    )
    parser.add_argument(
        '--min-score',
        type=float,
        default=Filter.min_score,
        help="joints are kept above this score (default: %(default)s; a model's scores depend on "
        'its heatmaps)',
    )
    parser.add_argument(
        '--agreement',
        type=float,
        metavar='X',
        help='drop joints that the label before alone and the label after alone put more than X '
        'head sizes apart, such as 0.5 (default: off; without a model it drops what has moved)',
    )
    parser.add_argument('--device', default='cpu', help='of the model (default: cpu)')
    parser.add_argument('--batch-size', type=int, default=16, help='of the model (default: 16)')
    args = parser.parse_args()
    for name in ('every', 'batch_size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} {value}: expected at least 1.')
    try:
        propagator = build_propagator(
            args.propagator,
            args.config,
            args.checkpoint,
            image_root=args.images,
            device=args.device,
            batch_size=args.batch_size,
        )
        result = propagate_labels(
            args.labels,
            args.out,
            propagator,
            every=args.every,
            image_root=args.images,
            rules=Filter(args.min_score, args.agreement),
            progress=partial(tqdm, desc='propagating', unit=' files', delay=1, leave=False),
        )
    except (AnnotationError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{args.out}: ' + '\n  '.join(result.lines()))
    return 0


if __name__ == '__main__':
    sys.exit(main())
