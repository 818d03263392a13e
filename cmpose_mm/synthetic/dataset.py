"""Writes synthetic videos as a dataset in PoseTrack18's format."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from tqdm import tqdm

from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17, SKELETON_17

from .scene import (
    FRAME_RATE,
    Difficulty,
    FrameLabels,
    Scene,
    frame_labels,
    render_frame,
    sample_scene,
)

VERSION = 4
"""Increased whenever the same settings give different files."""
MANIFEST = 'synthetic.json'
_MIN_JOINTS = 3
_MAX_FRAMES = 10_000
_JPEG_QUALITY = 90
CATEGORIES = [
    dict(
        supercategory='person',
        id=1,
        name='person',
        keypoints=list(JOINT_NAMES_17),
        skeleton=[list(pair) for pair in SKELETON_17],
    )
]


@dataclass
class Settings:
    """Settings that determine a synthetic dataset, with `VERSION` and OpenCV's JPEG encoder.

    Attributes:
        videos: number of videos by split; splits share no random numbers, so their textures,
            colors, backgrounds, bodies and motions differ.
        frames: frames per video, all labeled.
        seed: of all random numbers.
        height, width: of the images in pixels.
        difficulty: of all scenes, except those of the splits in `by_split`.
        by_split: split -> difficulties, which the split's videos take in turn.
    """

    videos: dict[str, int] = field(default_factory=lambda: {'train': 300, 'val': 40})
    frames: int = 20
    seed: int = 0
    height: int = 240
    width: int = 320
    difficulty: Difficulty = field(default_factory=Difficulty)
    by_split: dict[str, tuple[Difficulty, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for split, count in self.videos.items():
            if not 1 <= count < 100_000:
                raise ValueError(f'Split {split!r} has {count} videos; expected 1 to 99999.')
        for split, choices in self.by_split.items():
            if split not in self.videos or not choices:
                raise ValueError(
                    f'by_split names {len(choices)} difficulties of split {split!r}; expected at '
                    f'least one of a split among {", ".join(self.videos)}.'
                )
        if self.frames < 1:
            raise ValueError(f'Videos have {self.frames} frames; expected at least 1.')
        if self.frames > _MAX_FRAMES:
            raise ValueError(
                f'Videos have {self.frames} frames; expected at most {_MAX_FRAMES}, for which '
                'image ids have room.'
            )
        if self.seed < 0:
            raise ValueError(f'The seed is {self.seed}; expected at least 0.')
        if min(self.height, self.width) < 32:
            raise ValueError(
                f'Images are {self.width}x{self.height} pixels; expected at least 32x32.'
            )


def video_scene(settings: Settings, split: str, index: int) -> Scene:
    """The scene of one video, which depends only on the settings, the split and the index."""
    appearance, motion = (
        np.random.default_rng([settings.seed, crc32(split.encode()), index, stream])
        for stream in (0, 1)
    )
    duration = settings.frames / FRAME_RATE
    choices = settings.by_split.get(split, (settings.difficulty,))
    difficulty = choices[index % len(choices)]
    return sample_scene(appearance, motion, difficulty, duration, settings.height, settings.width)


def frame_time(settings: Settings, frame: int) -> float:
    """Time of a frame in seconds; the middle of the video is 0."""
    return (frame - (settings.frames - 1) / 2) / FRAME_RATE


def write_dataset(root: str | Path, settings: Settings, workers: int = 1) -> Path:
    """Writes all splits below ``root``, in PoseTrack18's layout.

    ``annotations/SPLIT/NAME.json`` holds a video's labels, ``images/SPLIT/NAME/%06d.jpg`` its
    frames, and ``synthetic.json`` the settings. If the folder already holds the finished dataset
    with the same settings and version, only videos that lack files are written; an unfinished one
    is written again.

    Args:
        root: folder to write to, created if it does not exist.
        settings: what to write.
        workers: number of processes; the files do not depend on it.

    Returns:
        ``root``.

    Raises:
        FileExistsError: if the folder holds something else, or settings that can't be read.
    """
    root = Path(root)
    manifest = root / MANIFEST
    jobs = [(split, order, i) for order, split in enumerate(settings.videos)
            for i in range(settings.videos[split])]  # fmt: skip
    wanted = json.loads(json.dumps(dict(version=VERSION, **asdict(settings))))
    if manifest.exists():
        found = _with_later_settings(_read_manifest(manifest))
        finished = found.pop('finished', False)
        changed = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        if not changed and [*found['videos']] != [*wanted['videos']]:  # it numbers the videos
            changed = ['order of videos']
        if changed:
            raise FileExistsError(
                f'{manifest} is of a dataset with other settings ({", ".join(changed)} differ); '
                'delete the folder or choose another.'
            )
        if finished:
            jobs = [job for job in jobs if not _is_whole(root, settings, job)]
            if not jobs:
                return root
    elif root.exists() and any(root.iterdir()):
        raise FileExistsError(
            f'{root} is not empty and holds no {MANIFEST}; choose another folder.'
        )
    root.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps(dict(**wanted, finished=False), indent=1))

    write = partial(_write_video, root, settings)
    progress = partial(tqdm, total=len(jobs), desc='Rendering', unit='video')
    if workers <= 1:
        for _ in progress(map(write, jobs)):
            pass
    else:
        with ProcessPoolExecutor(workers) as pool:
            for _ in progress(pool.map(write, jobs)):
                pass
    manifest.write_text(json.dumps(dict(**wanted, finished=True), indent=1))
    return root


def _read_manifest(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get('difficulty', {}), dict):
        raise FileExistsError(
            f'{path}: found no settings of a dataset, expected them in JSON; delete the folder or '
            'choose another.'
        )
    return content


def _with_later_settings(manifest: dict) -> dict:
    """A manifest, with later settings that it does not have added at their defaults."""
    old = json.loads(json.dumps(asdict(Difficulty())))
    by_split = {
        split: [{**old, **choice} for choice in choices]
        for split, choices in manifest.get('by_split', {}).items()
    }
    difficulty = {**old, **manifest.get('difficulty', {})}
    return {**manifest, 'by_split': by_split, 'difficulty': difficulty}


def _write_video(root: Path, settings: Settings, job: tuple[str, int, int]) -> None:
    cv2.setNumThreads(1)  # the pool already uses the cores
    split, order, index = job
    number = order * 100_000 + index
    name, folder, label_file = _places(root, job)
    folder.mkdir(parents=True, exist_ok=True)
    scene = video_scene(settings, split, index)
    images, annotations = [], []
    for frame in range(settings.frames):
        time = frame_time(settings, frame)
        noise = np.random.default_rng([settings.seed, crc32(split.encode()), index, 2, frame])
        image, canvas = render_frame(scene, time, noise)
        path = folder / f'{frame:06d}.jpg'
        if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
            raise OSError(f'Could not write {path}.')
        image_id = 10_000_000_000 + number * _MAX_FRAMES + frame
        images.append(dict(
            file_name=f'images/{split}/{name}/{frame:06d}.jpg', id=image_id, frame_id=image_id,
            vid_id=f'{number:06d}', nframes=settings.frames, is_labeled=True,
            has_no_densepose=True, ignore_regions_x=[], ignore_regions_y=[],
            width=settings.width, height=settings.height,
        ))  # fmt: skip
        annotations += person_annotations(frame_labels(scene, time, canvas), images[-1])
    label_file.parent.mkdir(parents=True, exist_ok=True)
    data = dict(images=images, annotations=annotations, categories=CATEGORIES)
    label_file.write_text(json.dumps(data))


def _places(root: Path, job: tuple[str, int, int]) -> tuple[str, Path, Path]:
    """Name of a job's video, the folder of its frames, and the file of its labels."""
    split, order, index = job
    name = f'{order * 100_000 + index:06d}_synthetic'
    return name, root / 'images' / split / name, root / 'annotations' / split / f'{name}.json'


def _is_whole(root: Path, settings: Settings, job: tuple[str, int, int]) -> bool:
    """Whether all files of a job's video are there."""
    _, folder, label_file = _places(root, job)
    frames = (folder / f'{frame:06d}.jpg' for frame in range(settings.frames))
    return all(file.is_file() for file in (label_file, *frames))


def person_annotations(labels: FrameLabels, image: dict) -> list[dict]:
    """The persons of one frame as PoseTrack18 annotations.

    A person is labeled if at least three joints are inside the image and at least one is visible.

    Args:
        labels: truth about the frame.
        image: the frame's entry under ``images``.
    """
    annotations = []
    for track, (keypoints, head_box) in enumerate(zip(labels.keypoints, labels.head_boxes)):
        inside = keypoints.any(axis=1)
        if inside.sum() < _MIN_JOINTS or not keypoints[:, 2].any():
            continue
        low, high = keypoints[inside, :2].min(0), keypoints[inside, :2].max(0)
        # The joints' extent times 1.3, clipped to the image.
        grow = 0.15 * (high - low)
        low = np.maximum(low - grow, 0)
        high = np.minimum(high + grow, [image['width'], image['height']])
        by_name = dict(zip(JOINT_NAMES, keypoints.round(2).tolist()))
        annotations.append(dict(
            id=image['id'] * 100 + track, image_id=image['id'], category_id=1, track_id=track,
            keypoints=[v for name in JOINT_NAMES_17
                       for v in _official(by_name.get(name, [0.0, 0.0, 0.0]))],
            scores=[], bbox=[*low.round(2).tolist(), *(high - low).round(2).tolist()],
            bbox_head=head_box.round(2).tolist(),
        ))  # fmt: skip
    return annotations


def _official(point: list[float]) -> list[float | int]:
    return [point[0], point[1], int(point[2])]
