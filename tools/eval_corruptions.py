"""Tests a model on corrupted videos (PoseTrack-C): mPC, rPC, recall on occluded joints, and what
its neighboring frames are worth."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from cmpose_mm.config_options import CfgOptions
from cmpose_mm.corruptions import SEVERITIES
from cmpose_mm.robustness import (
    IMAGE_MODES,
    format_summary,
    plot_summary,
    run_benchmark,
)

PLOT_SUFFIXES = '.png', '.jpg', '.pdf', '.svg'
EXAMPLES = """
examples:
  python tools/eval_corruptions.py configs/cmpose_vit_posetrack18.py epoch_20.pth --plot ap.png
  python tools/eval_corruptions.py CONFIG CHECKPOINT --corruptions motion_blur frame_drop \\
      --severities 1 3 5 --modes key

CONFIG is any top-down model's, of clips or of single frames, with test data in PoseTrack's format.
The results file is written after each test; the same command continues after an interruption.
All of it takes 132 tests of a model of clips, 41 of a model of single frames.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument(
        '--corruptions',
        nargs='+',
        choices=SEVERITIES,
        default=list(SEVERITIES),
        help='default: all',
    )
    parser.add_argument(
        '--severities', nargs='+', type=int, choices=range(1, 6), default=[1, 2, 3, 4, 5]
    )
    parser.add_argument(
        '--modes',
        nargs='+',
        choices=IMAGE_MODES,
        default=list(IMAGE_MODES),
        help='key: only the key frame is corrupted; persistent: all frames are (default: both)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the corruptions (default: 0)')
    parser.add_argument(
        '--out',
        type=Path,
        help='results, JSON (default: work_dirs/corruptions/<config>_<checkpoint>.json)',
    )
    parser.add_argument('--plot', type=Path, metavar='FILE', help='draw AP over severity')
    parser.add_argument(
        '--cfg-options', nargs='+', action=CfgOptions, help='changes to the config, KEY=VALUE ...'
    )
    args = parser.parse_args()
    if args.out is not None and args.out.suffix != '.json':  # its table has the same name, with .md
        parser.error(f'argument --out: {args.out} does not end with .json')
    if args.plot is not None and args.plot.suffix.lower() not in PLOT_SUFFIXES:
        parser.error(f'argument --plot: {args.plot} ends with none of {", ".join(PLOT_SUFFIXES)}')
    name = f'{Path(args.config).stem}_{Path(args.checkpoint).stem}.json'
    out = args.out or Path('work_dirs', 'corruptions', name)
    try:
        with redirect_stdout(sys.stderr):  # datasets and models print, too
            results = run_benchmark(
                args.config,
                args.checkpoint,
                out,
                corruptions=args.corruptions,
                severities=args.severities,
                modes=args.modes,
                seed=args.seed,
                cfg_options=args.cfg_options,
            )
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    text = format_summary(results)
    print(text)
    out.with_suffix('.md').write_text(text + '\n')
    if args.plot:
        plot_summary(results, args.plot)
    print(f'written to {out} and {out.with_suffix(".md")}', file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main())
