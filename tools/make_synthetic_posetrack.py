"""Renders a synthetic dataset in PoseTrack18's format and prints statistics of it.

Example:
    python tools/make_synthetic_posetrack.py data/synthetic --train 300 --val 40
    python tools/make_synthetic_posetrack.py data/hard --set occluder_coverage=0.2 --set speed=3
    python tools/make_synthetic_posetrack.py data/test_bed --test-bed

The test bed (see docs/synthetic.md) is one fixed dataset. --test-bed writes its files if they do
not exist, and compares them with the published checksums; the exit status is 1 if any differ.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from dataclasses import asdict, fields

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed here, and importing it takes seconds

from cmpose_mm.evaluation.label_statistics import label_statistics
from cmpose_mm.evaluation.report import format_table
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.synthetic import Difficulty, Settings, write_dataset
from cmpose_mm.synthetic.test_bed import TEST_BED, differences


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder to write to; the same finished dataset is kept')
    parser.add_argument('--train', type=int, default=300, help='training videos (default: 300)')
    parser.add_argument('--val', type=int, default=40, help='validation videos (default: 40)')
    parser.add_argument('--frames', type=int, default=20, help='frames per video (default: 20)')
    parser.add_argument('--size', type=int, nargs=2, default=(320, 240), metavar=('W', 'H'),
                        help='image size in pixels (default: 320 240)')  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='same seed, same files (default: 0)')
    parser.add_argument('--workers', type=int, default=os.cpu_count(),
                        help='number of processes (default: number of cores)')  # fmt: skip
    names = ', '.join(f.name for f in fields(Difficulty))
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', dest='dials',
                        help=f'a difficulty setting; one of {names}')  # fmt: skip
    parser.add_argument('--test-bed', action='store_true',
                        help='write the test bed, which has no settings')  # fmt: skip
    parser.add_argument('--verify', action='store_true',
                        help='with --test-bed: only check the files, write none')  # fmt: skip
    args = parser.parse_args(argv)
    of_others = [o for o in ('train', 'val', 'frames', 'size', 'seed', 'dials')
                 if getattr(args, o) != parser.get_default(o)]  # fmt: skip
    if args.test_bed and of_others:
        parser.error(f'--test-bed: nothing about it can be set, found {", ".join(of_others)}.')
    if args.verify and not args.test_bed:
        parser.error('--verify: only the test bed has checksums, expected --test-bed.')
    args.difficulty = {}
    for dial in args.dials:
        name, _, value = dial.partition('=')
        try:
            args.difficulty[name] = ast.literal_eval(value)
        except (SyntaxError, TypeError, ValueError):
            parser.error(f'--set {dial}: expected NAME=VALUE with a number or (low, high).')
        if name not in names.split(', '):
            parser.error(f'--set {dial}: unknown dial; expected one of {names}.')
        try:
            Difficulty(**{name: args.difficulty[name]})
        except ValueError as error:
            parser.error(f'--set {dial}: {error}')
    settings = {
        '--train': dict(videos={'train': args.train}),
        '--val': dict(videos={'val': args.val}),
        '--frames': dict(frames=args.frames),
        '--size': dict(width=args.size[0], height=args.size[1]),
        '--seed': dict(seed=args.seed),
    }
    for option, setting in settings.items():
        try:
            Settings(**setting)
        except ValueError as error:
            parser.error(f'{option}: {error}')
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    settings = TEST_BED if args.test_bed else Settings(
        videos=dict(train=args.train, val=args.val),
        frames=args.frames,
        seed=args.seed,
        width=args.size[0],
        height=args.size[1],
        difficulty=Difficulty(**args.difficulty),
    )  # fmt: skip
    try:
        if not args.verify:
            write_dataset(args.root, settings, workers=args.workers)
        wrong = differences(args.root) if args.test_bed else []
        rows = {
            split: asdict(label_statistics(read_videos(f'{args.root}/annotations/{split}')))
            for split in settings.videos
        }
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(format_table(rows, rows['train']))
    if args.test_bed and not wrong:
        print(f'{args.root}: all checksums are right.')
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
