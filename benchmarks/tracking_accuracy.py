"""How well persons keep their ids, and what smoothing does to their boxes.

    python benchmarks/tracking_accuracy.py
    python benchmarks/tracking_accuracy.py --labels data/posetrack18/annotations/val

Persons are the labels, without ids, of rendered videos in which people cross, and of real videos if
given: unchanged, with noise, and with persons left out. They are tracked by boxes alone (IoU), by
joints alone (OKS) and by both. "true ids" keeps the labeled ids, so its losses come from noise and
missed persons, not from tracking. Each cell has MOTA (Total) and switches, counted in joints, as
mean and standard deviation over the seeds.

The second table shows the mean distance of noisy boxes' edges from those of the labeled box, in
percent of the person's size, after smoothing with several decays.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.modules['mmpose'] = None  # not needed here, and importing it takes seconds

from cmpose_mm.evaluation import select_scored, tracking_accuracy  # noqa: E402
from cmpose_mm.evaluation.report import markdown_table  # noqa: E402
from cmpose_mm.posetrack.annotations import Frame, Video, read_videos  # noqa: E402
from cmpose_mm.posetrack.persons import person_boxes  # noqa: E402
from cmpose_mm.synthetic import Difficulty, Settings, write_dataset  # noqa: E402
from cmpose_mm.tracking import BoxSmoother, PoseTracker, assign_track_ids  # noqa: E402

JOINT_NOISE = 0.02  # standard deviations in units of the square root of the person's box area
BOX_NOISE = 0.05
MISSED = 0.2
AWAY = (5, 15)  # number of frames that a person is away
TRACKERS = {'IoU': dict(oks_weight=0), 'OKS': dict(oks_weight=1), 'both': {}}
DECAYS = (0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def noisy_boxes(boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes (P, 4) xyxy with noise on center and size; corners move by about `BOX_NOISE`."""
    center, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    size = np.sqrt(extent.prod(axis=1, keepdims=True))
    center = center + rng.normal(0, BOX_NOISE / 2**0.5, center.shape) * size
    extent = extent * np.exp(rng.normal(0, 2**0.5 * BOX_NOISE, extent.shape))
    return np.concatenate([center - extent / 2, center + extent / 2], axis=1)


def predicted(frame: Frame, rng: np.random.Generator, noise: bool) -> Frame:
    """The labeled persons of a frame as predictions, with noise, in random order."""
    order = rng.permutation(np.flatnonzero((frame.keypoints != 0).any(axis=(1, 2))))
    keypoints = frame.keypoints[order]
    boxes = person_boxes(frame.boxes[order], keypoints)
    order = order[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    keypoints = frame.keypoints[order].copy()
    boxes = person_boxes(frame.boxes[order], keypoints)
    if noise:
        size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
        moved = (
            keypoints[..., :2]
            + rng.normal(0, JOINT_NOISE, keypoints[..., :2].shape) * (size[:, None, None])
        )
        keypoints[..., :2] = np.where((keypoints != 0).any(-1, keepdims=True), moved, 0)
        boxes = noisy_boxes(boxes, rng)
    return replace(
        frame,
        keypoints=keypoints,
        scores=frame.scores[order],
        boxes=np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1),
        head_boxes=frame.head_boxes[order],
        track_ids=frame.track_ids[order],
        ids=frame.ids[order],
    )


def without(frame: Frame, gone: np.ndarray) -> Frame:
    """The frame without some persons, (P,) bool."""
    parts = ('keypoints', 'scores', 'boxes', 'head_boxes', 'track_ids', 'ids')
    return replace(frame, **{name: getattr(frame, name)[~gone] for name in parts})


def perfect(video: Video, rng: np.random.Generator) -> Video:
    return replace(video, frames=[predicted(frame, rng, False) for frame in video.frames])


def noisy(video: Video, rng: np.random.Generator) -> Video:
    return replace(video, frames=[predicted(frame, rng, True) for frame in video.frames])


def missed(video: Video, rng: np.random.Generator) -> Video:
    """With noise; each person is missed with the same probability in each frame."""
    frames = [
        without(frame, rng.random(len(frame.ids)) < MISSED) for frame in noisy(video, rng).frames
    ]
    return replace(video, frames=frames)


def away(video: Video, rng: np.random.Generator) -> Video:
    """With noise; sometimes a person is missed for several frames in a row."""
    returns: dict[int, int] = {}
    frames = []
    for number, frame in enumerate(noisy(video, rng).frames):
        for track_id in frame.track_ids.tolist():
            if number >= returns.get(track_id, 0) and rng.random() < 0.03:
                returns[track_id] = number + int(rng.integers(AWAY[0], AWAY[1] + 1))
        gone = np.array([number < returns.get(i, 0) for i in frame.track_ids.tolist()], dtype=bool)
        frames.append(without(frame, gone))
    return replace(video, frames=frames)


POSES: dict[str, Callable[[Video, np.random.Generator], Video]] = {
    'labels': perfect,
    'noise': noisy,
    f'noise, {MISSED:.0%} missed': missed,
    f'noise, away for {AWAY[0]} to {AWAY[1]} frames': away,
}


def rendered(folder: Path, seed: int, args: argparse.Namespace, speed: float) -> list[Video]:
    difficulty = Difficulty(crossing=1, people=(3, 5), speed=speed)
    settings = Settings({'val': args.videos}, args.frames, seed, difficulty=difficulty)
    root = write_dataset(folder / f'{speed}_{seed}', settings, workers=args.workers)
    return read_videos(root / 'annotations' / 'val')


def labeled(paths: list[str]) -> list[Video]:
    """All videos, renamed so that videos of the same name in two paths differ."""
    return [
        replace(video, name=f'{index}_{video.name}')
        for index, path in enumerate(paths)
        for video in read_videos(path)
    ]


def tracking_cells(videos_of_seeds: list[list[Video]], pose: Callable) -> list[str]:
    """A cell for the true ids and for each tracker."""
    scores: dict[str, list[tuple[float, int]]] = {name: [] for name in ('true ids', *TRACKERS)}
    for seed, videos in enumerate(videos_of_seeds):
        persons = [pose(video, np.random.default_rng([seed, i])) for i, video in enumerate(videos)]
        for name, values in scores.items():
            tracked = persons
            if name != 'true ids':
                tracked = assign_track_ids(persons, **TRACKERS[name])
            result = tracking_accuracy(select_scored(videos, tracked))
            values.append((result.summary()['Total'], int(result.switches.sum())))
    cells = []
    for values in scores.values():
        mota, switches = np.mean(values, 0)
        mota_sd, switches_sd = np.std(values, 0, ddof=min(1, len(values) - 1))
        cells.append(f'{mota:.1f} ± {mota_sd:.1f}, {switches:.0f} ± {switches_sd:.0f}')
    return cells


def box_error(videos_of_seeds: list[list[Video]], decay: float) -> float:
    """Mean distance of smoothed noisy boxes' edges from the labeled ones, in person sizes."""
    errors = []
    for seed, videos in enumerate(videos_of_seeds):
        for index, video in enumerate(videos):
            rng, smoother = np.random.default_rng([seed, index]), BoxSmoother(decay)
            for frame in video.frames:
                boxes = person_boxes(frame.boxes, frame.keypoints)
                good = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
                boxes = boxes[good]
                smooth = smoother.update(frame.track_ids[good], noisy_boxes(boxes, rng))
                size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
                errors.append(np.abs(smooth - boxes).mean(axis=1) / size)
    return float(np.concatenate(errors).mean())


def milliseconds_a_frame(num_persons: int, num_frames: int = 100) -> float:
    """CPU time of one update with many persons who walk back and forth."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 1000, (num_persons, 1, 2))
    shape = rng.uniform(0, 100, (num_persons, 15, 2))
    tracker, elapsed = PoseTracker(), 0.0
    for frame in range(num_frames):
        joints = start + shape + 20 * np.sin(frame / 5) + rng.normal(0, 2, shape.shape)
        boxes = np.concatenate([joints.min(axis=1), joints.max(axis=1)], axis=1)
        before = time.process_time()
        tracker.update(joints, np.ones((num_persons, 15)), boxes, np.ones(num_persons))
        elapsed += time.process_time() - before
    return 1000 * elapsed / num_frames


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--labels', nargs='+', default=[], help='also track real labels: folders of files, or files'
    )
    parser.add_argument('--seeds', type=int, default=5, help='default: %(default)s')
    parser.add_argument('--videos', type=int, default=8, help='per seed (default: %(default)s)')
    parser.add_argument('--frames', type=int, default=40, help='per video (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='rendering processes')
    args = parser.parse_args()

    seeds = range(args.seeds)
    data: dict[str, list[list[Video]]] = {}
    if args.labels:
        data['real'] = [labeled(args.labels)] * args.seeds
    with tempfile.TemporaryDirectory() as folder:
        for name, speed in (('crossings', 1.0), ('crossings, 2.5 x speed', 2.5)):
            data[name] = [rendered(Path(folder), seed, args, speed) for seed in seeds]
    for name, videos_of_seeds in data.items():
        frames = [frame for video in videos_of_seeds[0] for frame in video.frames]
        persons = sum(len(frame.ids) for frame in frames)
        print(f'{name}: {len(videos_of_seeds[0])} videos, {persons} persons a seed')
    print()
    rows = [
        [name, pose, *tracking_cells(videos, POSES[pose])]
        for name, videos in tqdm(data.items(), desc='tracking')
        for pose in POSES
    ]
    print(markdown_table(['persons of', 'as', 'true ids', *TRACKERS], rows), end='\n\n')
    rows = [
        [name, *(f'{100 * box_error(videos, decay):.2f}' for decay in DECAYS)]
        for name, videos in data.items()
    ]
    print(markdown_table(['decay', *map(str, DECAYS)], rows), end='\n\n')
    for persons in (5, 60):
        print(f'{persons} persons: {milliseconds_a_frame(persons):.2f} ms a frame')


if __name__ == '__main__':
    main()
