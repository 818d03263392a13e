"""A picture of a dataset's splits: consecutive frames with joints colored by visibility."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cmpose_mm.evaluation.scored_frames import ScoredVideo, select_scored
from cmpose_mm.evaluation.visibility import VISIBILITY_CLASSES, visibility_classes
from cmpose_mm.images import read_image
from cmpose_mm.posetrack.annotations import read_videos

from .layout import captioned, row, stack, text_line

COLORS = {'visible': (80, 220, 80), 'recoverable': (0, 170, 255), 'lost': (60, 60, 255)}
"""BGR of joints that are visible, hidden but visible in a neighboring frame, or hidden in all."""
_LEGEND = 'green: visible; orange: hidden, but visible a frame before or after; red: hidden'


def visibility_sheet(
    root: str | Path, splits: list[str], video: int = 0, num_frames: int = 5, height: int = 180
) -> np.ndarray:
    """Frames of one video from each split, one row per split.

    Args:
        root: of a dataset in PoseTrack18's layout.
        splits: folders in ``annotations/``.
        video: index of the video in each split.
        num_frames: number of frames, from the start of the video.
        height: of a frame in the picture, in pixels.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        OSError: if a frame cannot be read.
        ValueError: if a split has no such video.
    """
    rows = []
    for split in splits:
        videos = read_videos(Path(root) / 'annotations' / split)
        if not 0 <= video < len(videos):
            raise ValueError(f'Split {split!r} has the videos 0 to {len(videos) - 1}, not {video}.')
        labeled = videos[video]
        scored = select_scored([labeled], [labeled]).videos[0]
        classes = dict(zip(VISIBILITY_CLASSES, visibility_classes(scored)))
        files = {frame.number: frame.file_name for frame in labeled.frames}
        images = [
            _draw(Path(root) / files[number], number, scored, classes, height)
            for number in scored.frame_numbers[:num_frames].tolist()
        ]
        if not images:
            raise ValueError(f'Video {video} of split {split!r} has no labeled person.')
        rows.append(captioned(row(images), split))
    return stack([*rows, text_line(_LEGEND, rows[0].shape[1])])


def _draw(
    path: Path, number: int, video: ScoredVideo, classes: dict[str, np.ndarray], height: int
) -> np.ndarray:
    image = read_image(str(path))
    zoom = height / image.shape[0]
    size = round(zoom * image.shape[1]), height
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    here = video.frames_and_tracks()[0] == number
    for name, color in COLORS.items():
        for x, y in ((video.gt_xy + 0.5) * zoom - 0.5)[here][classes[name][here]]:
            center = round(float(x)), round(float(y))
            cv2.circle(image, center, 4, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(image, center, 3, color, -1, cv2.LINE_AA)
    return image
