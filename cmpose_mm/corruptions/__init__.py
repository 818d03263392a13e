"""PoseTrack-C: corrupted videos, the same on every run, for every clip and every person.

Needs only NumPy and OpenCV. `docs/robustness.md` describes the benchmark.
"""

from __future__ import annotations

import numpy as np

from cmpose_mm.old_names import old_names

from . import image_corruptions
from .neighbors import frozen, is_lost, without_lost
from .occluders import moving_occluders, occluded_points
from .severities import (
    IMAGE_CORRUPTIONS,
    NEIGHBOR_CORRUPTIONS,
    NUM_SEVERITIES,
    SEVERITIES,
    VERSION,
    SeverityTable,
    setting,
)
from .streams import frame_of, random_stream

__all__ = [
    'IMAGE_CORRUPTIONS',
    'NEIGHBOR_CORRUPTIONS',
    'NUM_SEVERITIES',
    'SEVERITIES',
    'VERSION',
    'SeverityTable',
    'corrupt_frame',
    'frame_of',
    'frozen',
    'is_lost',
    'moving_occluders',
    'occluded_points',
    'random_stream',
    'setting',
    'without_lost',
]
__getattr__ = old_names(__name__, {'NEIGHBOUR_CORRUPTIONS': 'NEIGHBOR_CORRUPTIONS'})


def corrupt_frame(
    image: np.ndarray,
    corruption: str,
    severity: int,
    *,
    seed: int,
    sequence: str,
    frame_number: int,
) -> np.ndarray:
    """Corrupts one whole frame.

    Args:
        image: (H, W, 3) uint8 BGR; it is not changed.
        corruption: one of `IMAGE_CORRUPTIONS`.
        severity: 1 to 5.
        seed: of the benchmark.
        sequence: name of the video.
        frame_number: of the frame in it.

    Returns:
        (H, W, 3) uint8 BGR, which depends only on the arguments (and on the versions of NumPy and
        OpenCV).

    Raises:
        ValueError: if there is no such corruption of images or no such severity, or the image has
            another type or shape.
    """
    if corruption not in IMAGE_CORRUPTIONS:
        raise ValueError(
            f'no corruption of images named {corruption!r}, expected one of '
            f'{", ".join(IMAGE_CORRUPTIONS)}'
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f'frame {frame_number} of {sequence} is {image.dtype} of shape {image.shape}, expected '
            'uint8 of shape (H, W, 3)'
        )
    if corruption == 'moving_occluders':
        rng = random_stream(seed, corruption, sequence)
        return moving_occluders(image, severity, rng, frame_number)
    rng = random_stream(seed, corruption, sequence, frame_number)
    return getattr(image_corruptions, corruption)(image, severity, rng)
