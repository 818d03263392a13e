"""How an image file becomes an array, and a picture a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from cmpose_mm.posetrack.frames import is_truncated


def _read_file(path: str) -> bytes:
    return Path(path).read_bytes()


def _decode(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def read_image(
    path: str,
    where: str | None = None,
    *,
    read: Callable[[str], bytes] = _read_file,
    decode: Callable[[bytes], np.ndarray | None] = _decode,
) -> np.ndarray:
    """Reads one image.

    Args:
        path: of the file.
        where: what messages call it; the path by default.
        read: gives the file's content, from wherever it is stored.
        decode: makes an array of the content, None if it can not. By default OpenCV does.

    Returns:
        (H, W, 3) uint8 BGR, upright: turned and mirrored as its EXIF data ask for.

    Raises:
        OSError: if the file can not be read, is no image, or ends before the image does.
    """
    where = where or path
    try:
        content = read(path)
    except Exception as error:  # each kind of storage has its own
        raise OSError(f'{where}: image can not be read: {error}') from error
    if is_truncated(content):
        is_tiff = content.startswith((b'II*\0', b'MM\0*'))
        other = ', or a TIFF of a kind that is not read, such as floats' if is_tiff else ''
        raise OSError(f'{where}: image is truncated or broken{other} ({len(content)} bytes)')
    try:
        image = decode(content)
    except cv2.error:  # for example more pixels than OpenCV takes
        image = None
    if image is None:
        raise OSError(f'{where}: image can not be decoded')
    return image


def write_image(path: str | Path, image: np.ndarray, quality: int = 85) -> None:
    """Writes a picture (H, W, 3) uint8 BGR; `quality` is of JPEG.

    Raises:
        OSError: if the name has no ending of a picture, or the file can't be written.
    """
    suffix = Path(path).suffix
    if not (suffix.isascii() and cv2.haveImageWriter(f'picture{suffix}')):
        raise OSError(f'{path}: is no name of a picture, expected one like picture.jpg.')
    # OpenCV itself can not write names that are no UTF-8
    is_encoded, content = cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_encoded:
        raise OSError(f'{path}: could not be written.')
    Path(path).write_bytes(content)
