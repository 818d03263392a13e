"""Writes lists of JHMDB's clips as folders of labels: held out, clean, full body.

    python tools/list_clips.py data/jhmdb

Beside annotations/train and annotations/test, DIR/annotations receives

    train_chosen      training clips of films that are not held out
    held_out          training clips of held-out films (SHA-1 of the film's name modulo 5 is 0)
    clean             test clips of films without any training clip
    full_body         test clips that show the whole body
    clean_full_body   those that are both

--by-video is for other data sets, whose every video is a film of its own: it writes train_chosen
and held_out by the names of the label files, and needs no clips.csv.

    python tools/list_clips.py data/test_bed --by-video

Whatever is chosen (methods, rates, checkpoints) is chosen by training on train_chosen and testing
on held_out. The test clips say at the end what it is worth.
"""

import argparse
import sys

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed for this, and the package would spend seconds on it

from cmpose_mm.converters.clip_lists import write_clip_lists, write_held_out
from cmpose_mm.posetrack.annotations import AnnotationError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', help='folder of clips.csv and annotations/{train,test}')
    parser.add_argument('--out', metavar='DIR', help='write to DIR/annotations (default: root)')
    parser.add_argument('--by-video', action='store_true',
                        help='every video is a film: write train_chosen and held_out')  # fmt: skip
    args = parser.parse_args()
    try:
        write = write_held_out if args.by_video else write_clip_lists
        counts = write(args.root, args.out)
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, count in counts.items():
        print(f'annotations/{name}: {count} clips')
    return 0


if __name__ == '__main__':
    sys.exit(main())
