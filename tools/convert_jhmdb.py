"""Converts JHMDB or sub-JHMDB to PoseTrack's form.

    python tools/convert_jhmdb.py downloads/jhmdb --out data/jhmdb_release

ROOT holds the official release (jhmdb.is.tue.mpg.de) as its archives unpack: Rename_Images,
joint_positions, puppet_mask, splits, and sub_splits for --sub. Or the frames with MMPose's
Sub{1,2,3}_{train,test}.json. Frames stay where they are.

OUT/split1, split2 and split3 receive annotations/{train,test} and clips.csv. To train on one:

    mim train mmpose configs/cmpose/cmpose_vit_jhmdb.py --cfg-options (what the command prints)

JHMDB's numbers are means over the three splits: train on each, report each and the mean.
"""

import argparse
import sys
from pathlib import Path

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed for this, and the package would spend seconds on it

from cmpose_mm.converters.jhmdb import convert_jhmdb
from cmpose_mm.converters.posetrack_form import config_options, mim_can_not_read
from cmpose_mm.posetrack.annotations import AnnotationError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='of the release')
    parser.add_argument('--out', required=True, metavar='DIR', help='new folder for the labels')
    parser.add_argument(
        '--sub', action='store_true', help='the clips and splits of sub-JHMDB (full bodies)'
    )
    parser.add_argument(
        '--distinct',
        action='store_true',
        help='leave out frames that repeat the one before; those that are kept get hard links in '
        'DIR/images',
    )
    args = parser.parse_args()
    try:
        report = convert_jhmdb(args.root, args.out, sub=args.sub, distinct=args.distinct)
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print('\n'.join(report.lines()))
    print(f'All cases: {Path(args.out) / "report.txt"}. For --cfg-options:')
    frames = args.out if args.distinct else args.root
    for folder in sorted(Path(args.out).glob('split?')):
        print(config_options(folder, frames))
    if sentence := mim_can_not_read(args.out, frames):
        print(sentence, file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main())
