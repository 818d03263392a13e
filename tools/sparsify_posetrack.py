"""Takes labels out of a data set in PoseTrack's form until every k-th frame is labeled.

    python tools/sparsify_posetrack.py data/posetrack18/annotations/train \\
        data/posetrack18_sparse/annotations/train --every 4

In each video the first labeled frame keeps its labels, then always the last one at most k frames
further on, or the next where labels are further apart. Everywhere else persons go and the frame no
longer counts as labeled. IN is a folder of label files (PoseTrack18/21 JSON, PoseTrack17 annolist
as JSON or .mat), or one file; images are not touched. Prints the share of labels that is left: of
30 frames in a row and k = 4, 26.7 %.
Training on OUT, and what to do with the frames between: docs/propagation.md.
"""

import argparse
import sys
from functools import partial

from tqdm import tqdm

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed for this, and the package would spend seconds on it

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.propagation import sparsify_labels


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('labels', metavar='IN', help='folder of label files, or one file')
    parser.add_argument('out', metavar='OUT', help='new folder (or file)')
    parser.add_argument(
        '--every', type=int, default=4, metavar='K', help='keep every K-th label (default: 4)'
    )
    args = parser.parse_args()
    if args.every < 1:
        parser.error(f'--every {args.every}: expected at least 1.')
    try:
        result = sparsify_labels(
            args.labels,
            args.out,
            args.every,
            partial(tqdm, desc='writing', unit=' files', delay=1, leave=False),
        )
    except (AnnotationError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    share = 100 * result.kept_frames / max(result.frames, 1)
    print(
        f'{args.out}: {result.kept_frames} of {result.frames} labeled frames of {result.videos} '
        f'videos ({share:.1f} %), {result.kept_persons} of {result.persons} persons'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
