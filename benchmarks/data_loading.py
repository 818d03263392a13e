"""The cost of loading a training sample, if frames are decoded once or three times per sample.

    python benchmarks/data_loading.py                # frames of $CMPOSE_TEST_DATA, else rendered
    python benchmarks/data_loading.py --workers 16   # the last table, on a machine with more cores
    python benchmarks/data_loading.py --profile      # only show where the time of a sample goes

Prints three tables: (1) CPU time of one core for a sample of the ViT-B config's training pipeline,
for two image sizes and numbers of persons, as shipped and with the random order of
`DefaultSampler`, and whether the pixels are equal; (2) how well mixed the batches are, compared
with a random order, for an artificial dataset of PoseTrack18's size; (3) the speed of a real data
loader with workers, extrapolated to 16 cores. Files are in the page cache, so the numbers do not
include reading from a slow disk.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import json
import os
import platform
import pstats
import resource
import tempfile
import time
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS
from tqdm import tqdm

from cmpose_mm import config_path
from cmpose_mm.datasets import GroupedFrameSampler
from cmpose_mm.evaluation.report import markdown_table
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17
from cmpose_mm.synthetic import Settings, write_dataset

LABELED = 30  # key frames in the middle of each video, as in PoseTrack's training labels
TARGET = 600  # clips per second for a GPU, from CORES
CORES = 16


# ---- data --------------------------------------------------------------------------------------


def source_frames(folder: str, size: tuple[int, int]) -> tuple[str, list[bytes]]:
    """Description and content of up to 41 JPEG files; rendered ones have this size."""
    real = os.environ.get('CMPOSE_TEST_DATA')
    if real:
        paths = sorted(Path(real).glob('posetrack_clip/images/**/*.jpg'))
        return 'frames of a real PoseTrack video, resized where needed', [
            path.read_bytes() for path in paths[:41]
        ]
    settings = Settings(videos={'train': 1}, frames=34, height=size[1], width=size[0])
    root = write_dataset(Path(folder) / 'rendered', settings)
    paths = sorted(root.glob('images/**/*.jpg'))
    return 'rendered frames', [path.read_bytes() for path in paths]


def write_videos(
    root: Path, frames: list[bytes], size: tuple[int, int], args, persons: int
) -> None:
    """Writes videos that share one folder of frames of one size, with made-up persons."""
    width, height = size
    folder = root / 'frames'
    folder.mkdir(parents=True)
    for number, content in enumerate(frames):
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image.shape[:2] != (height, width):  # files of the right size are not changed
            image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
            content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        (folder / f'{number:06d}.jpg').write_bytes(content)
    (root / 'annotations').mkdir()
    first = (len(frames) - LABELED) // 2
    for video in range(args.videos):
        rng = np.random.default_rng(video)
        (root / f'video{video:03d}').symlink_to(folder, target_is_directory=True)
        boxes = rng.uniform((0, 0), (0.7 * width, 0.4 * height), (persons, 2))
        extent = rng.uniform((0.1 * width, 0.3 * height), (0.3 * width, 0.6 * height), (persons, 2))
        images, annotations = [], []
        for position in range(len(frames)):
            image_id = 1000 * video + position
            labeled = first <= position < first + LABELED
            images.append(dict(
                id=image_id, frame_id=image_id, is_labeled=labeled, width=width, height=height,
                file_name=f'video{video:03d}/{position:06d}.jpg',
            ))  # fmt: skip
            for person in range(persons if labeled else 0):
                joints = np.zeros((len(JOINT_NAMES_17), 3))
                points = (
                    boxes[person] + rng.uniform(0.1, 0.9, (len(JOINT_NAMES), 2)) * extent[person]
                )
                joints[[JOINT_NAMES_17.index(name) for name in JOINT_NAMES]] = np.c_[
                    points, np.ones(len(JOINT_NAMES))
                ]
                annotations.append(dict(
                    id=100 * image_id + person, image_id=image_id, category_id=1, track_id=person,
                    keypoints=joints.ravel().tolist(), scores=[], bbox_head=[0, 0, 9, 9],
                    bbox=[*boxes[person], *extent[person]],
                ))  # fmt: skip
        content = dict(
            images=images,
            annotations=annotations,
            categories=[dict(id=1, name='person', keypoints=list(JOINT_NAMES_17))],
        )
        (root / 'annotations' / f'video{video:03d}.json').write_text(json.dumps(content))


def loader_config(root: Path) -> dict:
    """The ViT-B config's training loader, with our files."""
    config = Config.fromfile(config_path('cmpose_vit_posetrack18.py'))
    init_default_scope(config.default_scope)
    loader = config.train_dataloader
    loader.dataset.update(data_root=str(root), ann_file='annotations', data_prefix=dict(img=''))
    return loader


def build_dataset(loader: dict, **replaced: dict):
    """The loader's dataset; ``replaced`` maps types of transforms to their replacements."""
    cfg = loader.dataset.copy()
    cfg['pipeline'] = [replaced.get(step['type'], step) for step in cfg['pipeline']]
    dataset = DATASETS.build(cfg)
    dataset.set_epoch(0, seed=0)
    return dataset


class Counted:
    """A dataset with its loading time and number of decoded frames."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset
        self.load = dataset.pipeline.transforms[0]
        self.samples = self.decoded = self.peak = 0
        read = self.load.read

        def counting(*args, **kwargs):
            self.decoded += 1
            return read(*args, **kwargs)

        self.load.read = counting

    def run(self, indices: list[int]) -> float:
        """Loads the samples; returns the CPU milliseconds per sample."""
        start = time.process_time()
        for index in indices:
            self.dataset[index]
            self.peak = max(self.peak, self.load.cache.num_bytes)
        self.samples += len(indices)
        return 1000 * (time.process_time() - start) / len(indices)


def quartiles(values: list[float], digits: int = 2) -> str:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f'{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})'


# ---- (1) one core ------------------------------------------------------------------------------


def measure_core(root: Path, size: tuple[int, int], persons: int, args) -> list:
    """A row of the first table; the three kinds of loading take turns."""
    loader = loader_config(root)
    plain_load = dict(type='LoadClip')
    kinds = dict(
        before=build_dataset(loader, LoadClip=plain_load, ClipRandomFlip=dict(type='RandomFlip')),
        three=build_dataset(loader, LoadClip=plain_load),
        ours=build_dataset(loader),
    )
    sampler = GroupedFrameSampler(kinds['ours'], seed=0, batch_size=16, num_workers=0)
    at_random = list(DefaultSampler(kinds['ours'], seed=0))
    count, ours = args.rounds * args.samples, list(sampler)
    # An epoch begins with three frames for every stream; they are loaded before we count.
    warm_up = min(4 * sampler.num_streams, len(ours) // 2)
    orders = dict(
        before=np.array_split(at_random[:count], args.rounds),
        three=np.array_split(at_random[-count:], args.rounds),
        ours=np.array_split(ours[warm_up : warm_up + 3 * count], args.rounds),
    )
    equal = at_random[:: max(1, len(at_random) // 24)]
    for index in equal:
        clips = [dataset[int(index)]['inputs'] for dataset in kinds.values()]
        if not all(torch.equal(clip, clips[0]) for clip in clips):
            raise SystemExit(f'pixels of sample {index} differ')
    # A copy's cache is empty.
    kinds = {name: Counted(copy.deepcopy(dataset)) for name, dataset in kinds.items()}
    kinds['ours'].run(ours[:warm_up])
    kinds['ours'].samples = kinds['ours'].decoded = 0
    times = {name: [] for name in kinds}
    for part in tqdm(range(args.rounds), desc=f'{size[0]}x{size[1]}, {persons} persons'):
        for name, counted in kinds.items():
            times[name].append(counted.run(orders[name][part].tolist()))
    ratio = {
        name: [a / b for a, b in zip(times[name], times['ours'])] for name in ('before', 'three')
    }
    decoded = {name: f'{c.decoded / c.samples:.2f}' for name, c in kinds.items()}
    return [
        f'{size[0]}x{size[1]}',
        persons,
        *(quartiles(times[name]) for name in ('before', 'three', 'ours')),
        f'{1000 / np.median(times["ours"]):.0f}',
        *(quartiles(ratio[name]) for name in ('before', 'three')),
        decoded['before'],
        decoded['ours'],
        f'{kinds["ours"].peak / 1e6:.0f}',
        f'{len(equal)} of {len(equal)}',
    ]


def show_profile(root: Path, num_samples: int = 300) -> None:
    """Prints where a sample's CPU time goes, with three decodes and as shipped.

    The times include the profiler's own.
    """
    loader = loader_config(root)
    three, ours = build_dataset(loader, LoadClip=dict(type='LoadClip')), build_dataset(loader)
    sampler = GroupedFrameSampler(ours, seed=0, batch_size=16, num_workers=0)
    warm_up = min(4 * sampler.num_streams, len(ours) // 2)
    for name, dataset, order in (
        ('three decodes', three, list(DefaultSampler(three, seed=0))),
        ('as shipped', ours, list(sampler)),
    ):
        for index in order[:warm_up]:
            dataset[index]
        measured = order[warm_up : warm_up + num_samples]
        with cProfile.Profile(time.process_time) as profiler:
            for index in measured:
                dataset[index]
        print(f'{name}, {len(measured)} samples:')
        pstats.Stats(profiler).strip_dirs().sort_stats('tottime').print_stats(8)


# ---- (2) batches -------------------------------------------------------------------------------


class MadeUpFrames:
    """The key frames of a dataset as large as PoseTrack18's training labels."""

    def __init__(self, num_videos: int) -> None:
        rng = np.random.default_rng(0)
        persons = np.maximum(1, rng.poisson(5, num_videos))
        self.rows = np.array(
            [
                (v, f, p)
                for v in range(num_videos)
                for f in range(LABELED)
                for p in range(persons[v])
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def key_frames(self) -> list[tuple[str, int]]:
        return [(str(video), int(frame)) for video, frame, _ in self.rows]


def effective_number(names: np.ndarray, window: int) -> float:
    """The number of equally frequent names that a window of samples is worth; mean over windows.

    It is 1 / sum of squared shares. If samples of the same name (say, a person) share an error, the
    mean over the window varies like that of this number of independent samples.
    """
    starts = np.linspace(0, max(0, len(names) - window), 40).astype(int)
    counts = [np.unique(names[s : s + window], return_counts=True)[1] for s in starts]
    return float(np.mean([c.sum() ** 2 / (c**2).sum() for c in counts]))


def simulated_decodes(order: np.ndarray, rows: np.ndarray, batch: int, workers: int, room: int):
    """Decoded frames per sample, if each worker keeps the latest ``room`` frames; T = 3."""
    decoded = 0
    for worker in range(workers):
        kept: OrderedDict = OrderedDict()
        for index in order[np.arange(len(order)) // batch % workers == worker]:
            video, frame, _ = rows[index].tolist()
            for key in ((video, frame + offset) for offset in (-1, 0, 1)):
                decoded += key not in kept
                kept[key] = None
                kept.move_to_end(key)
                if len(kept) > room:
                    kept.popitem(last=False)
    return decoded / len(order)


def batch_statistics(args) -> None:
    """Prints the second table."""
    data = MadeUpFrames(args.made_up_videos)
    rows, batch, workers = data.rows, 16, 4
    _, person = np.unique(rows[:, [0, 2]], axis=0, return_inverse=True)
    _, frame = np.unique(rows[:, :2], axis=0, return_inverse=True)
    names = {'videos': rows[:, 0], 'persons': person.ravel(), 'frames': frame.ravel()}
    print(
        f'\n{len(data)} made-up samples of {args.made_up_videos} videos; {workers} workers, '
        f'batches of {batch}. Effective number of ... in 1, 10, 100, 1000 batches:\n'
    )
    orders = {'random': (np.array(list(DefaultSampler(data, seed=0))), 4 * 32)}
    for streams in (16, 32, 64):
        sampler = GroupedFrameSampler(
            data, seed=0, num_streams=streams, batch_size=batch, num_workers=workers
        )
        orders[f'{streams} streams'] = np.array(list(sampler)), 4 * streams
    table = []
    for title, (order, room) in orders.items():
        cells = [
            ', '.join(f'{effective_number(n[order], batch * k):.0f}' for k in (1, 10, 100, 1000))
            for n in names.values()
        ]
        decoded = simulated_decodes(order, rows, batch, workers, room)
        table.append([title, f'{decoded:.2f}', *cells])
    print(markdown_table(['order', 'decodes a sample', *names], table))


# ---- (3) data loader ---------------------------------------------------------------------------


def run_loader(root: Path, workers: int, collate: str) -> tuple[float, float, float]:
    """1440 samples with a real loader: clips per second, CPU ms per clip in main and in workers."""
    cfg = loader_config(root)
    cfg.dataset.indices = 1440
    cfg.update(num_workers=workers, persistent_workers=False, collate_fn=dict(type=collate))
    loader = Runner.build_dataloader(cfg, seed=0)
    loader.sampler.set_layout(cfg.batch_size, workers)
    loader.dataset.set_epoch(0, seed=0)
    batches = iter(loader)
    next(batches)  # now the workers are running
    count = 0
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        clips = batch['inputs']
        # A list is stacked by the model's preprocessor, in this process.
        count += len(clips if isinstance(clips, torch.Tensor) else torch.stack(clips))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    del batches  # ends the workers, so that their time is counted
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worker = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    return count / seconds, 1000 * cpu / count, 1000 * worker / len(loader.dataset)


def image_size(text: str) -> tuple[int, int]:
    """'960x540' -> (960, 540)."""
    width, height = text.split('x')
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--videos', type=int, default=24, help='videos of 30 key frames')
    parser.add_argument('--rounds', type=int, default=8, help='rounds of each way of loading')
    parser.add_argument('--samples', type=int, default=24,
                        help='per round; three times as many for the shipped way')  # fmt: skip
    parser.add_argument('--workers', type=int, default=2, help='data workers in the last table')
    parser.add_argument('--made-up-videos', type=int, default=593, metavar='N',
                        help='size of the dataset in the second table')  # fmt: skip
    parser.add_argument('--sizes', nargs='+', type=image_size, metavar='WxH',
                        default=[(960, 540), (1280, 720)])  # fmt: skip
    parser.add_argument('--persons', nargs='+', type=int, default=[4, 7], help='in a frame')
    parser.add_argument('--profile', action='store_true',
                        help='only show where the time goes')  # fmt: skip
    args = parser.parse_args()
    MMLogger.get_instance('data_loading', log_level='WARNING')
    cv2.setNumThreads(0)  # as MMEngine's runner does
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        what, frames = source_frames(folder, max(args.sizes))
        print(f'{what}; Python {platform.python_version()}, OpenCV {cv2.__version__}, '
              f'torch {torch.__version__}, {os.cpu_count()} cores ({platform.machine()}). '
              'Median (quartiles).\n')  # fmt: skip
        rows, roots = [], {}
        for size in args.sizes:
            for persons in args.persons:
                root = roots[size, persons] = Path(folder) / f'{size[0]}_{persons}'
                write_videos(root, frames, size, args, persons)
                if args.profile:
                    show_profile(root)
                    return
                rows.append(measure_core(root, size, persons, args))
        header = [
            'image', 'persons', 'ms, 3 decodes, MMPose flip', 'ms, 3 decodes', 'ms, ours',
            'samples/s/core', 'ratio to 1st', 'ratio to 2nd', 'decodes, 3', 'decodes, ours',
            'cache, MB', 'pixels equal',
        ]  # fmt: skip
        print(markdown_table(header, rows))

        batch_statistics(args)

        rows = []
        runs = [(key, root, 'collate_clips') for key, root in roots.items()]
        for (size, persons), root, collate in [(*runs[0][:2], 'pseudo_collate'), *runs]:
            speed, main_ms, worker_ms = run_loader(root, args.workers, collate)
            file_size = np.mean([file.stat().st_size for file in (root / 'frames').iterdir()])
            # Each frame once, and two more for each chunk of 40 samples.
            read = TARGET * file_size * (1 / persons + 2 / 40) / 1e6
            rows.append(
                [f'{size[0]}x{size[1]}', persons, collate, args.workers, f'{speed:.0f}',
                 f'{worker_ms:.2f}', f'{main_ms:.2f}', f'{1000 * (CORES - 1) / worker_ms:.0f}',
                 f'{1000 / main_ms:.0f}', f'{read:.0f}']
            )  # fmt: skip
        header = [
            'image', 'persons', 'collate_fn', 'workers', 'clips/s', 'worker, ms CPU a clip',
            'main process, ms CPU a clip', f'{CORES} cores: clips/s of the workers',
            'of the main process', f'MB/s read at {TARGET} clips/s',
        ]  # fmt: skip
        print('\n' + markdown_table(header, rows))


if __name__ == '__main__':
    main()
