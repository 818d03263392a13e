"""Copies a data set in PoseTrack's form without the frames that repeat the one before.

    python tools/distinct_frames.py data/jhmdb --out data/jhmdb_distinct

Two frames are the same if their gray levels, at 160x120, differ by less than 0.5 in the mean. The
first of a run of such frames is kept, or the first that has a label. Labels of the others go. What
is kept keeps its name; frames are hard links where the file system has them. OUT appears when it is
complete; after a kill the same command begins anew.
"""

import argparse
import sys

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed for this, and the package would spend seconds on it

from cmpose_mm.converters.distinct import SAME_BELOW, write_distinct_set


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='of the data set')
    parser.add_argument('--out', required=True, metavar='DIR', help='new folder for the copy')
    parser.add_argument(
        '--labels',
        nargs='+',
        default=[],
        metavar='PATH',
        help='folders of label files, or merged files, relative to ROOT (default: all folders in '
        'annotations/ and posetrack_data/)',
    )
    parser.add_argument(
        '--image-root',
        default='',
        metavar='DIR',
        help="folder that the labels' file names start from, relative to ROOT or absolute",
    )
    parser.add_argument(
        '--threshold',
        type=float,
        default=SAME_BELOW,
        help=f'mean difference below which frames are the same (default: {SAME_BELOW})',
    )
    args = parser.parse_args()
    try:
        result = write_distinct_set(
            args.root,
            args.out,
            labels=args.labels,
            image_root=args.image_root,
            threshold=args.threshold,
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    share = 100 * result.dropped_frames / result.frames
    print(
        f'{args.out}: {result.frames - result.dropped_frames} of {result.frames} frames of '
        f'{result.videos} videos; {result.dropped_frames} ({share:.1f} %) repeated the one before '
        f'and went, with {result.dropped_labels} labeled persons'
    )
    if result.missing_frames:
        print(
            f'{result.missing_frames} frames that the labels name are not on disk; their labels '
            'are kept',
            file=sys.stderr,
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
