"""What converters read: arrays of label files and folders of frames, or why they can't be used.

Errors name field or image, what was found and what was expected; whoever catches one adds the clip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.file_names import is_hidden, numbers_in_names, split_name
from cmpose_mm.posetrack.frames import image_size, list_images

_KINDS = {'U': 'text', 'S': 'text', 'V': 'a struct', 'c': 'complex numbers'}


def number_array(
    fields: Mapping[str, object], name: str, shape: tuple[int | str, ...], place: str = ''
) -> np.ndarray:
    """A field of a label file as float64. It may hold NaN and infinities.

    MATLAB drops a last axis of length 1, which is put back, and has no vectors: where one axis is
    expected, a matrix of one row or column will do.

    Args:
        fields: of a .mat file or of a JSON object.
        name: of the field.
        shape: expected; a letter stands for any length.
        place: which object it is, for the error.

    Raises:
        AnnotationError: if there is no such field, it has no (real) numbers or another shape.
    """
    wanted = f'numbers of the shape {shape}'.replace("'", '')
    if len(shape) < 2:
        wanted = 'a number' if shape in ((), (1,)) else f'{shape[0]} numbers'
    subject, expected = f'{place}: {name}' if place else name, f'expected {wanted}'
    if fields.get(name) is None:
        raise AnnotationError(f'{subject} is missing, {expected}')
    try:
        array = np.asarray(fields[name])
    except ValueError:  # a ragged list
        array = np.asarray(fields[name], dtype=object)
    if array.dtype.kind not in 'biuf':
        found = _KINDS.get(array.dtype.kind, 'no plain numbers')
        raise AnnotationError(f'{subject} holds {found}, {expected}')
    found = array.shape
    if array.ndim == len(shape) - 1:
        array = array[..., None]
    elif array.ndim == 2 and len(shape) == 1 and 1 in found:
        array = array.ravel()
    fits = (isinstance(want, str) or want == have for want, have in zip(shape, array.shape))
    if array.ndim != len(shape) or not all(fits):
        raise AnnotationError(f'{subject} has the shape {found}, {expected}')
    return array.astype(np.float64)


def folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones; empty if there is no such folder."""
    found = path.iterdir() if path.is_dir() else ()
    return sorted(p for p in found if p.is_dir() and not is_hidden(p.name))


def frame_numbers(names: list[str]) -> list[int]:
    """The numbers in the names of a clip's frames; places from 1 if no name has a digit.

    Raises:
        AnnotationError: if some names lack a number, or have the number of another. Places would
            then shift labels to other frames.
    """
    numbers = numbers_in_names(names)
    if numbers is not None:
        return numbers
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        file = split_name(name)[1]
        digits = re.findall(r'\d+', os.path.splitext(file)[0])
        alike.setdefault(tuple(map(int, digits)), []).append(file)
    if alike.keys() - {()}:
        odd = alike.get((), max(alike.values(), key=len))
        raise AnnotationError(
            f'the images {", ".join(odd[:3])} have no frame number of their own, expected one for '
            'each'
        )
    return list(range(1, len(names) + 1))


def check_size(
    folder: Path, names: Iterable[str], size: tuple[int, int] | None = None
) -> tuple[int, int]:
    """(width, height) in pixels of all images of a clip, by their headers.

    Args:
        folder: of the images.
        names: of the images.
        size: expected; that of the first image if not given.

    Raises:
        AnnotationError: if an image is broken or has another size.
    """
    for name in names:
        try:
            found = image_size(str(folder / name))
        except (OSError, Image.DecompressionBombError) as error:
            reason = getattr(error, 'strerror', None) or 'broken'
            raise AnnotationError(f'{name} is {reason}, expected an image') from error
        size = size or found
        if found != size:
            raise AnnotationError(
                f'{name} has {found[0]}x{found[1]} pixels, expected {size[0]}x{size[1]}'
            )
    return size


def read_frames(
    folder: Path, size: tuple[int, int] | None = None
) -> tuple[dict[int, str], tuple[int, int]]:
    """The frames of a clip by their positions, and their (width, height).

    Frames count from 1, so position is number minus 1; a number 0 tells otherwise.

    Args:
        folder: of the images.
        size: expected; that of the first image if not given.

    Returns:
        Position -> name, in order of the positions.

    Raises:
        AnnotationError: if there is no image, frames can't be told apart by number, or an image is
            broken or has another size.
    """
    names = list_images(str(folder))
    if not names:
        raise AnnotationError('no images')
    numbers = frame_numbers(names)
    first = 0 if 0 in numbers else 1
    size = check_size(folder, names, size)
    return {number - first: name for number, name in sorted(zip(numbers, names))}, size
