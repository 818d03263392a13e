"""Random numbers of a frame, which depend only on seed, corruption, video and frame number."""

from __future__ import annotations

import hashlib
import posixpath
import re
from functools import cache

import numpy as np

from cmpose_mm.posetrack.file_names import numbers_in_names, split_name
from cmpose_mm.posetrack.frames import list_images


def frame_of(path: str) -> tuple[str, int]:
    """Sequence and number of a frame, from its path.

    This alone identifies a frame, whether it is a key frame or a neighbor, labeled or not, and
    whichever dataset loads it.

    Args:
        path: of the image; ``images/val/000342_mpii_test/000012.jpg`` is frame 12 of
            ``000342_mpii_test``.

    Returns:
        The name of the folder, and the number: that of `numbers_in_names` among the images of the
        folder, or its place among them if their names have none. If the folder is not there, the
        last run of digits in the file's stem.

    Raises:
        ValueError: if the folder is not there and the file name has no digit.
    """
    folder, name = split_name(path)
    number = _numbers(folder).get(name)
    if number is None:
        digits = re.findall(r'\d+', posixpath.splitext(name)[0])
        if not digits:
            raise ValueError(
                f"{path}: no frame number in the file's name, expected one like 000012"
            )
        number = int(digits[-1])
    return posixpath.basename(folder), number


@cache
def _numbers(folder: str) -> dict[str, int]:
    """Numbers of the images in a folder, by their names."""
    names = list_images(folder)
    return dict(zip(names, numbers_in_names(names) or range(len(names))))


def random_stream(
    seed: int, corruption: str, sequence: str, frame_number: int | None = None
) -> np.random.Generator:
    """The random numbers of a corruption for one frame, or for a whole sequence.

    They do not depend on the severity, so that all severities of a corruption use the same random
    numbers and can be compared.

    Args:
        seed: of the benchmark.
        corruption: its name.
        sequence: name of the video.
        frame_number: None for random numbers that all frames of the sequence share.
    """
    number = None if frame_number is None else int(frame_number)  # NumPy's would differ
    key = repr((int(seed), corruption, sequence, number)).encode()
    digest = hashlib.sha256(key).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, 'little')))
