"""One frame under each corruption and severity of PoseTrack-C."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from cmpose_mm.corruptions import IMAGE_CORRUPTIONS, NUM_SEVERITIES, corrupt_frame, frame_of
from cmpose_mm.images import read_image

from .layout import captioned, row, stack


def corruption_sheet(
    path: str,
    corruptions: Sequence[str] = IMAGE_CORRUPTIONS,
    seed: int = 0,
    height: int | None = None,
) -> np.ndarray:
    """A row for each corruption: the original frame, then severities 1 to 5.

    Args:
        path: of the frame; its folder and number decide the random numbers, as in a test.
        corruptions: some of `IMAGE_CORRUPTIONS`.
        seed: of the benchmark.
        height: of one picture in pixels, by default that of the frame. Corruption comes first.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        OSError: if the image can not be read, see `read_image`.
        ValueError: see `corrupt_frame` and `frame_of`.
    """
    image = read_image(path)
    sequence, number = frame_of(path)
    rows = []
    for corruption in corruptions:
        pictures = [captioned(_resized(image, height), 'clean')]
        for severity in range(1, NUM_SEVERITIES + 1):
            corrupted = corrupt_frame(
                image, corruption, severity, seed=seed, sequence=sequence, frame_number=number
            )
            pictures.append(captioned(_resized(corrupted, height), f'{corruption} {severity}'))
        rows.append(row(pictures))
    return stack(rows)


def _resized(image: np.ndarray, height: int | None) -> np.ndarray:
    if height is None:
        return image
    width = round(image.shape[1] * height / image.shape[0])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
