"""Writes the frames of videos as JPEG files, numbered from 0 as they are decoded.

    python tools/extract_frames.py data/jhmdb/videos --out data/jhmdb/images

VIDEOS is a video or a folder of any depth: VIDEOS/a/b.mp4 becomes OUT/a/b/000000.jpg, ... A folder
appears when it is complete. Run again after a kill: what is there is not done again. Reading videos
needs PyAV (pip install av). The exit status is 1 if a video could not be read, or not wholly, now
or by the run that wrote its folder, and if frames of a folder are gone.
"""

import argparse
import sys

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed for this, and the package would spend seconds on it

from cmpose_mm.converters.extract import extract_frames


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('videos', help='video or folder of videos')
    parser.add_argument('--out', required=True, metavar='DIR', help='receives a folder a video')
    parser.add_argument('--quality', type=int, default=95, help='of the JPEG files (default: 95)')
    args = parser.parse_args()
    if not 1 <= args.quality <= 100:
        parser.error(f'--quality {args.quality}: expected 1 to 100.')
    try:
        result = extract_frames(args.videos, args.out, args.quality)
    except (OSError, ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f'{result.videos} videos, {result.frames} frames written to {args.out}; '
        f'{result.done_before} videos were there; {result.other_files} files are no videos'
    )
    for sentence in result.warnings + result.errors:
        print(sentence, file=sys.stderr)
    if result.errors:
        print(f'{len(result.errors)} videos could not be extracted.', file=sys.stderr)
    return 1 if result.warnings or result.errors else 0


if __name__ == '__main__':
    sys.exit(main())
