"""A strip of frames with labels and the poses that were propagated from them."""

from __future__ import annotations

import cv2
import numpy as np

from cmpose_mm.images import read_image
from cmpose_mm.posetrack.annotations import Frame, Video
from cmpose_mm.posetrack.frames import FrameTable

from .layout import captioned, row, stack
from .skeletons import draw_poses


def propagation_strip(
    video: Video,
    image_root: str,
    *,
    first: int = 0,
    num_frames: int = 5,
    height: int = 240,
    per_row: int = 5,
    min_score: float = 0.0,
) -> np.ndarray:
    """Consecutive frames of a video; captions tell labels from propagated poses.

    Args:
        video: of labels with pseudo-labels, see `cmpose_mm.propagation`.
        image_root: folder that the labels' file names start from.
        first: position of the first frame among those of the video.
        num_frames: at most; fewer at the video's end.
        height: of a frame in the picture, in pixels.
        per_row: frames in a row.
        min_score: propagated joints with a lower score are not drawn.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        OSError: if a frame cannot be read.
        ValueError: if the video has no such frame.
    """
    if not 0 <= first < len(video.frames):
        raise ValueError(
            f'{video.source}: video {video.name!r} has the frames 0 to {len(video.frames) - 1}, '
            f'not {first}.'
        )
    table = FrameTable(image_root)
    shown = [
        _draw(frame, place, table, height, min_score)
        for place, frame in enumerate(video.frames[first : first + num_frames], first)
    ]
    return stack([row(shown[i : i + per_row]) for i in range(0, len(shown), per_row)])


def first_gap(video: Video) -> int:
    """Position of the label before the first frame with propagated poses; 0 if there are none."""
    for place, frame in enumerate(video.frames):
        if frame.num_pseudo:
            return max(0, place - 1)
    return 0


def _draw(frame: Frame, place: int, table: FrameTable, height: int, min_score: float) -> np.ndarray:
    image = read_image(table.path(frame.file_name))
    zoom = height / image.shape[0]
    size = round(zoom * image.shape[1]), height
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pseudo = np.zeros(len(frame.keypoints), bool) if frame.pseudo is None else frame.pseudo
    shown = (frame.keypoints != 0).any(axis=-1)
    shown &= ~pseudo[:, None] | (frame.scores >= min_score)
    image = draw_poses(
        image,
        (frame.keypoints[..., :2] + 0.5) * zoom - 0.5,
        shown,
        ids=frame.track_ids,
        scores=_person_scores(frame, shown) if pseudo.any() else None,
    )
    if pseudo.any():
        text = f'propagated: {pseudo.sum()}'
    else:
        text = f'labels: {len(pseudo)}' if len(pseudo) else 'no poses'
    return captioned(image, f'frame {place}, {text}')


def _person_scores(frame: Frame, shown: np.ndarray) -> np.ndarray:
    """(P,) mean score of the joints that are shown."""
    total = np.where(shown, frame.scores, 0).sum(axis=1)
    return total / np.maximum(shown.sum(axis=1), 1)
