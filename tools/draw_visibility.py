"""Draws consecutive frames of each split of a dataset, with joints colored by visibility.

Green joints are visible, orange ones are hidden but visible one frame before or after, red ones are
hidden there too. For labels in PoseTrack18's layout with track ids.

Example:
    python tools/draw_visibility.py data/test_bed test_bed.jpg --splits clean occluded
"""

from __future__ import annotations

import argparse
import sys

from cmpose_mm.images import write_image
from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.visualization.visibility_sheet import visibility_sheet


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder with annotations/SPLIT/ and the images')
    parser.add_argument('out', help='picture to write')
    parser.add_argument('--splits', nargs='+', default=['val'], help='one row each (default: val)')
    parser.add_argument('--video', type=int, default=0, metavar='N',
                        help='index of the video in each split, by name (default: 0)')  # fmt: skip
    parser.add_argument('--frames', type=int, default=5, help='frames per row (default: 5)')
    parser.add_argument('--height', type=int, default=180,
                        help='height of a frame in pixels (default: 180)')  # fmt: skip
    args = parser.parse_args(argv)
    for name in ('frames', 'height'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} {getattr(args, name)}: expected at least 1.')
    try:
        sheet = visibility_sheet(args.root, args.splits, args.video, args.frames, args.height)
        write_image(args.out, sheet, quality=80)
    except (AnnotationError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{args.out}: {sheet.shape[1]}x{sheet.shape[0]} pixels')
    return 0


if __name__ == '__main__':
    sys.exit(main())
