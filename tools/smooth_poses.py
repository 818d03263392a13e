"""Smooths predicted poses over time and fills short gaps in their tracks."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import partial

from tqdm import tqdm

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed here, and importing it takes seconds

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.smoothing import smooth_files


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""examples:
  python tools/infer_video.py dance.mp4 --out-json dance.json
  python tools/smooth_poses.py dance.json smooth.json
  python tools/smooth_poses.py work_dirs/tracked work_dirs/smooth --frame-rate 25

PREDICTIONS is a JSON file in PoseTrack18's form or a folder of such files, with any joints and with
track ids. A polynomial is fitted to the frames around each one (Savitzky-Golay). Persons who are
filled in have "filled": true. tools/eval_posetrack.py --jitter measures what was won.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('predictions', metavar='PREDICTIONS')
    parser.add_argument('out', metavar='OUT', help='file or folder to write')
    parser.add_argument('--window', type=float, default=0.25, metavar='S',
                        help='seconds that a polynomial covers (default: %(default)s)')  # fmt: skip
    parser.add_argument('--order', type=int, default=2, help='of it (default: %(default)s)')
    parser.add_argument('--max-gap', type=float, default=0.2, metavar='S',
                        help='longest gap to fill, in seconds; 0 fills none (default: '
                        '%(default)s)')  # fmt: skip
    parser.add_argument('--frame-rate', type=float, metavar='F',
                        help='frames a second (default: from the times in the file)')  # fmt: skip
    return parser.parse_args()


def main() -> int:
    args = vars(parse_args())
    progress = partial(tqdm, delay=1, leave=False, desc='smoothing', unit=' files')
    try:
        done = smooth_files(args.pop('predictions'), args['out'], progress=progress,
                            **{k: v for k, v in args.items() if k != 'out'})  # fmt: skip
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    counts = ', '.join(
        f'{number} {name.replace("_", " ")}' for name, number in asdict(done).items()
    )
    print(f'{args["out"]}: {counts}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
