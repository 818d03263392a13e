"""Renders a synthetic dataset in PoseTrack18's format: people, occluders, motion blur, defocus.

Example:
    python tools/make_synthetic_posetrack.py data/synthetic --train 300 --val 40
    python tools/make_synthetic_posetrack.py data/hard --set occluder_coverage=0.2 --set speed=3
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os

from cmpose_mm.synthetic import Difficulty, Settings, write_dataset


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder to write to; an equal finished dataset is kept')
    parser.add_argument('--train', type=int, default=300, help='training videos (default 300)')
    parser.add_argument('--val', type=int, default=40, help='validation videos (default 40)')
    parser.add_argument('--frames', type=int, default=20, help='frames a video (default 20)')
    parser.add_argument('--size', type=int, nargs=2, default=(320, 240), metavar=('W', 'H'),
                        help='image size in pixels (default 320 240)')  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='same seed, same files (default 0)')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes')
    names = ', '.join(f.name for f in dataclasses.fields(Difficulty))
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', dest='dials',
                        help=f'a difficulty dial; one of {names}')  # fmt: skip
    args = parser.parse_args(argv)
    args.difficulty = {}
    for dial in args.dials:
        name, _, value = dial.partition('=')
        try:
            args.difficulty[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            parser.error(f'--set {dial}: expected NAME=VALUE with a number or (low, high).')
        if name not in names.split(', '):
            parser.error(f'--set {dial}: unknown dial; expected one of {names}.')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    settings = Settings(
        videos=dict(train=args.train, val=args.val),
        frames=args.frames,
        seed=args.seed,
        width=args.size[0],
        height=args.size[1],
        difficulty=Difficulty(**args.difficulty),
    )
    root = write_dataset(args.root, settings, workers=args.workers)
    print(f'{root}: {args.train} training and {args.val} validation videos of {args.frames} frames')


if __name__ == '__main__':
    main()
