"""Time and memory of PoseTrack evaluation on an artificial set as large as PoseTrack18's val.

    python benchmarks/bench_evaluation.py             # 9,000 frames, 7 persons, 12 predictions
    python benchmarks/bench_evaluation.py --profile   # where the time goes

Uses one thread and measures its CPU time, so other work on the machine hardly matters. Reports the
time of average precision without and with reading, and of MOTA, in milliseconds per frame, the time
of two JSON parsers for the same files, and the peak memory of the process.
"""

import argparse
import cProfile
import json
import multiprocessing
import os
import pstats
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson

sys.modules['mmpose'] = None  # not needed here, and would count as memory

from cmpose_mm.evaluation import (  # noqa: E402
    average_precision,
    select_scored,
    tracking_accuracy,
)
from cmpose_mm.posetrack.annotations import Frame, Video, read_videos  # noqa: E402
from cmpose_mm.posetrack.predictions import write_predictions  # noqa: E402

FRAMES_PER_VIDEO = 100
IMAGE_SIZE = 1280, 720


def make_video(index: int, args: argparse.Namespace) -> tuple[Video, Video]:
    """Labels of moving persons with ignore regions, and noisy predictions with some strangers."""
    rng = np.random.default_rng(index)
    num_gt, num_pred = args.persons, args.predictions
    name = f'{index:06d}_mpii_test'
    centers = rng.uniform((100, 100), IMAGE_SIZE, (num_gt, 2))
    speed = rng.normal(0, 3, (num_gt, 2))
    shape = rng.normal(0, 60, (num_gt, 15, 2))
    regions = [
        rng.uniform((0, 0), IMAGE_SIZE) + rng.normal(0, 60, (rng.integers(4, 60), 2))
        for _ in range(4)
    ]
    labels, predictions = [], []
    for number in range(FRAMES_PER_VIDEO):
        true = np.ones((num_gt, 15, 3))
        true[..., :2] = centers[:, None] + number * speed[:, None] + shape
        true[rng.random((num_gt, 15)) < 0.2] = 0
        guess = np.ones((num_pred, 15, 3))
        guess[:, :, :2] = rng.uniform((0, 0), IMAGE_SIZE, (num_pred, 1, 2)) + rng.normal(
            0, 60, (num_pred, 15, 2)
        )
        guess[:num_gt, :, :2] = (centers + number * speed)[:, None] + shape
        guess[:num_gt, :, :2] += rng.normal(0, 12, (num_gt, 15, 2))
        common = dict(
            file_name=f'images/val/{name}/{number:06d}.jpg',
            image_id=10_000_000_000 + index * 10_000 + number,
            number=number,
            is_labeled=True,
        )
        labels.append(
            Frame(
                **common,
                ignore_regions=[region + number for region in regions],
                keypoints=true,
                scores=np.zeros((num_gt, 15)),
                head_boxes=np.full((num_gt, 4), [0.0, 0.0, 40.0, 50.0]),
                boxes=np.full((num_gt, 4), np.nan),
                track_ids=np.arange(num_gt),
                ids=np.arange(num_gt),
            )
        )
        predictions.append(
            Frame(
                **common,
                ignore_regions=[],
                keypoints=guess,
                scores=rng.random((num_pred, 15)),
                head_boxes=np.full((num_pred, 4), np.nan),
                boxes=np.full((num_pred, 4), np.nan),
                track_ids=np.arange(num_pred),
                ids=np.arange(num_pred),
            )
        )
    return Video(name, labels, ''), Video(name, predictions, '')


def add_labels(file: Path, video: Video) -> None:
    """What ground-truth files have and predictions do not: ignore regions and head boxes."""
    data = orjson.loads(file.read_bytes())
    for image, frame in zip(data['images'], video.frames):
        image['is_labeled'] = True
        image['ignore_regions_x'] = [region[:, 0].tolist() for region in frame.ignore_regions]
        image['ignore_regions_y'] = [region[:, 1].tolist() for region in frame.ignore_regions]
    for annotation in data['annotations']:
        annotation['bbox_head'] = [0, 0, 40, 50]
        annotation['scores'] = []
    file.write_bytes(orjson.dumps(data))


def make_files(folder: Path, args: argparse.Namespace) -> None:
    for index in range(args.frames // FRAMES_PER_VIDEO):
        labels, predictions = make_video(index, args)
        write_predictions([labels], folder / 'gt')
        add_labels(folder / 'gt' / f'{labels.name}.json', labels)
        write_predictions([predictions], folder / 'pred')


def peak_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--frames', type=int, default=9000, help='labeled frames')
    parser.add_argument('--persons', type=int, default=7, help='labeled persons a frame')
    parser.add_argument('--predictions', type=int, default=12, help='predicted persons a frame')
    parser.add_argument('--profile', action='store_true', help='show where the time goes')
    args = parser.parse_args()
    if args.frames < 1 or args.frames % FRAMES_PER_VIDEO:
        parser.error(f'--frames is {args.frames}, expected a multiple of {FRAMES_PER_VIDEO}')

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        maker = multiprocessing.get_context('spawn').Process(target=make_files, args=(folder, args))
        maker.start()
        maker.join()
        files = sorted(folder.glob('*/*.json'))
        size = sum(file.stat().st_size for file in files) / 2**20
        print(f'{args.frames} frames in {len(files)} files, {size:.0f} MiB of JSON')
        print(f'memory before reading: {peak_memory_mb():.0f} MB')

        profiler = cProfile.Profile()
        if args.profile:
            profiler.enable()
        start = time.process_time()
        labels = read_videos(folder / 'gt')
        predictions = read_videos(folder / 'pred')
        read = time.process_time()
        result = average_precision(select_scored(labels, predictions))
        scored = time.process_time()
        profiler.disable()
        memory = peak_memory_mb()
        tracking_accuracy(select_scored(labels, predictions))
        tracked = time.process_time()

        def per_frame(seconds: float) -> str:
            return f'{1000 * seconds / args.frames:.3f} ms a frame ({seconds:.2f} s)'

        print(f'AP without reading:    {per_frame(scored - read)}')
        print(f'AP with reading:       {per_frame(scored - start)}')
        print(f'MOTA without reading:  {per_frame(tracked - scored)}')
        print(f'peak memory:           {memory:.0f} MB')
        for name, parse in (('orjson', orjson.loads), ('json', json.loads)):
            start = time.process_time()
            for file in files:
                parse(file.read_bytes())
            print(f'parsing by {name + ":":12}{per_frame(time.process_time() - start)}')
        print(f'Total AP {result.summary()["Total"]:.3f}')
        if args.profile:
            pstats.Stats(profiler).sort_stats('cumtime').print_stats('cmpose_mm|loads|argsort', 22)


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    main()
