"""Videos of persons who walk: labels whose joints move as one wants."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
from label_files import ORDER_15, annolist, coco, person, write

SHAPE = {name: (30 + 7 * (i % 5), 20 + 11 * (i // 5)) for i, name in enumerate(ORDER_15)}


def walker(x: float, y: float = 0.0, track: int | None = 0, joints=None, **fields) -> dict:
    """A person whose joints are those of `SHAPE`, moved by (x, y), with box and head box."""
    names = SHAPE if joints is None else joints
    moved = {name: (SHAPE[name][0] + x, SHAPE[name][1] + y) for name in names}
    fields.setdefault('bbox', [20 + x, 10 + y, 60, 60])
    return person(moved, head=(30 + x, 20 + y, 30, 40), track_id=track, **fields)


def walk(num_frames: int, speed: float = 2.0, name: str = '000001_test', **fields) -> dict:
    """A file in which one person moves at a constant speed; all frames are labeled."""
    frames = [[walker(speed * number, **fields)] for number in range(num_frames)]
    return coco(frames, name=name)


def keep(data: dict, frames: list[int]) -> dict:
    """The file with labels in these frames only."""
    data = copy.deepcopy(data)
    ids = [data['images'][frame]['id'] for frame in frames]
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] in ids]
    for image in data['images']:
        image['is_labeled'] = image['id'] in ids
    return data


def annolist_file(path: Path, data: dict) -> Path:
    """Writes the PoseTrack17 form of a file."""
    return write(path, annolist(data))


def slow_linear(before: np.ndarray, after: np.ndarray, share: float) -> list[list[float]]:
    """Joint by joint, coordinate by coordinate; ``share`` of the way from one to the other."""
    return [[float(a[c]) + share * (float(b[c]) - float(a[c])) for c in (0, 1)]
            for a, b in zip(before, after)]  # fmt: skip
