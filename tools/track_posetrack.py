"""Adds track ids to the persons in PoseTrack predictions."""

import argparse
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

if __name__ == '__main__':
    sys.modules['mmpose'] = None  # not needed here, and importing it takes seconds

from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.predictions import write_predictions
from cmpose_mm.tracking import assign_track_ids


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""example:
  python tools/track_posetrack.py work_dirs/predictions work_dirs/tracked
  python tools/eval_posetrack.py data/posetrack18/annotations/val work_dirs/tracked --mota

PREDICTIONS is a folder with one file per video (PoseTrack18/21 JSON, PoseTrack17 annolist as JSON
or .mat), or one file that holds all videos. One PoseTrack18 JSON file per video is written to OUT.
Ids in PREDICTIONS are replaced; persons with too low a score are kept, with id -1.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('predictions', metavar='PREDICTIONS', type=Path)
    parser.add_argument('out', metavar='OUT', type=Path, help='folder to write to')
    parser.add_argument(
        '--min-score',
        type=float,
        default=0.3,
        help='persons with a lower mean joint score are not tracked (default: %(default)s)',
    )
    parser.add_argument(
        '--min-joint-score',
        type=float,
        default=0.3,
        help='joints with this score or less are not compared (default: %(default)s)',
    )
    parser.add_argument(
        '--memory',
        type=int,
        default=30,
        help='frames for which a person may be unseen and keep the id (default: %(default)s)',
    )
    args = parser.parse_args()
    if args.out.resolve() in (args.predictions.resolve(), args.predictions.resolve().parent):
        parser.error(f'{args.out} holds PREDICTIONS; expected another folder to write to.')
    return args


def main() -> int:
    args = parse_args()
    progress = partial(tqdm, delay=1, leave=False)
    try:
        videos = assign_track_ids(
            read_videos(
                args.predictions, progress=partial(progress, desc='reading', unit=' files')
            ),
            progress=partial(progress, desc='tracking', unit=' videos'),
            min_score=args.min_score,
            min_joint_score=args.min_joint_score,
            memory=args.memory,
        )
        write_predictions(videos, args.out)
    except (AnnotationError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    ids = [{i for frame in v.frames for i in frame.track_ids.tolist()} - {-1} for v in videos]
    persons = sum(len(frame.track_ids) for video in videos for frame in video.frames)
    unsure = sum((frame.track_ids == -1).sum() for video in videos for frame in video.frames)
    print(
        f'{args.out}: {persons} persons in {len(videos)} videos, {sum(map(len, ids))} tracks, '
        f'{unsure} persons without id'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
