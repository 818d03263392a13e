"""Shows a frame under each of PoseTrack-C's image corruptions, at severities 1 to 5.

python tools/browse_corruptions.py data/posetrack18/images/val/000342_mpii_test/000012.jpg \\
    --out corruptions.jpg
"""

from __future__ import annotations

import argparse
import sys

from cmpose_mm.corruptions import IMAGE_CORRUPTIONS
from cmpose_mm.images import write_image
from cmpose_mm.visualization.corruption_sheet import corruption_sheet


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('image', help='a frame; its folder and number decide the random numbers')
    parser.add_argument('--out', required=True, help='picture to write')
    parser.add_argument(
        '--corruptions', nargs='+', choices=IMAGE_CORRUPTIONS, default=list(IMAGE_CORRUPTIONS)
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the corruptions (default: 0)')
    parser.add_argument('--height', type=int,
                        help="height of one picture in pixels (default: the frame's)")  # fmt: skip
    args = parser.parse_args()
    try:
        if args.height is not None and args.height < 1:
            raise ValueError(f'--height {args.height}: expected at least 1')
        sheet = corruption_sheet(args.image, args.corruptions, args.seed, args.height)
        write_image(args.out, sheet, quality=80)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
