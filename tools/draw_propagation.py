"""Draws a strip of frames with labels and the poses propagated from them.

Captions say which is which; a propagated person has its mean score beside the track id.

Example:
    python tools/draw_propagation.py DENSE/annotations/train --images data/posetrack18 strip.jpg
"""

from __future__ import annotations

import argparse
import sys

from cmpose_mm.images import write_image
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.visualization.propagation_strip import first_gap, propagation_strip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('labels', metavar='DENSE', help='what tools/propagate_poses.py wrote')
    parser.add_argument('out', help='picture to write')
    parser.add_argument('--images', required=True, metavar='DIR',
                        help="folder that the labels' file names start from")  # fmt: skip
    parser.add_argument('--video', help='name of the video (default: the first)')
    parser.add_argument('--first', type=int, metavar='N',
                        help='position of the first frame in the video (default: the label before '
                             'the first propagated poses)')  # fmt: skip
    parser.add_argument('--frames', type=int, default=5, help='frames to draw (default: 5)')
    parser.add_argument('--per-row', type=int, default=5, help='frames in a row (default: 5)')
    parser.add_argument('--height', type=int, default=240,
                        help='height of a frame in pixels (default: 240)')  # fmt: skip
    parser.add_argument('--min-score', type=float, default=0.0,
                        help='leave out propagated joints below (default: 0)')  # fmt: skip
    args = parser.parse_args(argv)
    for name in ('frames', 'per_row', 'height'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} {getattr(args, name)}: expected at least 1.')
    try:
        videos = {video.name: video for video in read_videos(args.labels)}
        name = args.video or next(iter(videos))
        if name not in videos:
            raise ValueError(f'{args.labels}: has no video {name!r}, expected one like '
                             f'{next(iter(videos))!r}.')  # fmt: skip
        video = videos[name]
        strip = propagation_strip(
            video,
            args.images,
            first=first_gap(video) if args.first is None else args.first,
            num_frames=args.frames,
            height=args.height,
            per_row=args.per_row,
            min_score=args.min_score,
        )
        write_image(args.out, strip)
    except (AnnotationError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{args.out}: {strip.shape[1]}x{strip.shape[0]} pixels, video {name}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
