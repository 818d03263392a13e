"""Converts Penn Action to PoseTrack's form.

    python tools/convert_penn_action.py downloads/Penn_Action --out data/penn_action

ROOT holds frames/0001/000001.jpg and labels/0001.mat. OUT receives annotations/{train,test} and
clips.csv; frames stay where they are. Left and right, which the release has the wrong way around,
are swapped. Penn Action counts visible joints only: PoseTrackPCK(visible_only=True),
eval_posetrack.py --pck --pck-visible-only.
"""

import argparse
import sys
from pathlib import Path

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed for this, and the package would spend seconds on it

from cmpose_mm.converters.penn_action import convert_penn_action
from cmpose_mm.converters.posetrack_form import config_options, mim_can_not_read
from cmpose_mm.posetrack.annotations import AnnotationError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='of the release')
    parser.add_argument('--out', required=True, metavar='DIR', help='new folder for the labels')
    args = parser.parse_args()
    try:
        report = convert_penn_action(args.root, args.out)
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print('\n'.join(report.lines()))
    print(f'All cases: {Path(args.out) / "report.txt"}. For --cfg-options:')
    print(config_options(args.out, args.root))
    if sentence := mim_can_not_read(args.out, args.root):
        print(sentence, file=sys.stderr)
    return 0


if __name__ == '__main__':
    sys.exit(main())
