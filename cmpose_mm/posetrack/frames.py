"""Which frames of a video exist on disk, and which of them make a clip.

T is the number of frames of a clip. A frame's position is its place in the sorted listing of its
video's folder; offsets count positions, not the numbers in file names, so gaps in the numbering,
1-based names and names like ``0012_crop.jpg`` need no special care.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .annotations import Frame

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp')
JPEG_END, PNG_END = b'\xff\xd9', b'IEND\xaeB`\x82'


def clip_offsets(num_frames: int, stride: int = 1, causal: bool = False) -> np.ndarray:
    """Positions of a clip's frames relative to its key frame.

    Args:
        num_frames: T >= 1. With even T the past has one frame more than the future.
        stride: distance between two frames of the clip, in existing frames; >= 1.
        causal: no frame later than the key frame.

    Returns:
        (T,) int64, ascending, with stride ``stride``; 0 marks the key frame, which is at index
        T // 2, or T - 1 if causal.

    Raises:
        ValueError: if ``num_frames`` or ``stride`` is below 1.
    """
    if num_frames < 1 or stride < 1:
        raise ValueError(
            f'a clip needs num_frames >= 1 and stride >= 1, got {num_frames} and {stride}'
        )
    key_index = num_frames - 1 if causal else num_frames // 2
    return (np.arange(num_frames) - key_index) * stride


def random_clip_offsets(
    num_frames: int, stride: int = 1, causal: bool = False, rng=np.random
) -> np.ndarray:
    """Offsets as `clip_offsets` gives them, with neighbors at random distances.

    On each side of the key frame n neighbors get n different distances, drawn uniformly from
    1 ... n * stride: the clip reaches no further than the one of `clip_offsets`, stays in temporal
    order, and shows no frame twice. With a stride of 1 nothing is left to chance.

    Args:
        num_frames: T >= 1.
        stride: how much further than n frames n neighbors may reach; >= 1.
        causal: no frame later than the key frame.
        rng: source of randomness with numpy's ``choice``.

    Returns:
        (T,) int64, strictly ascending, 0 at the key frame's index.
    """
    fixed = clip_offsets(num_frames, stride, causal)
    offsets = np.zeros_like(fixed)
    for side in (fixed < 0, fixed > 0):
        count = int(side.sum())
        distances = 1 + rng.choice(count * stride, size=count, replace=False)
        offsets[side] = np.sort(distances * np.sign(fixed[side]))
    return offsets


def image_size(path: str) -> tuple[int, int]:
    """(width, height) in pixels from the image's header; the pixels are not decoded.

    Raises:
        OSError: if the file is missing or no image.
    """
    with Image.open(path) as image:
        return image.size


def is_truncated(content: bytes) -> bool:
    """Whether an image file's content ends before the image does (or is no image at all).

    A complete JPEG or PNG ends with its end marker. Only a file that doesn't (trailing bytes are
    allowed, other formats exist) is decoded by Pillow, which notices missing data. Some versions
    of OpenCV decode a truncated file without complaint and paint the rest gray.
    """
    if content.endswith((JPEG_END, PNG_END)):
        return False
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, SyntaxError):  # SyntaxError: Pillow on a broken PNG
        return True
    return False


class FrameTable:
    """The frame files that exist on disk; each video's folder is listed once.

    A label file names a frame relative to ``root``. Where that folder does not exist, the name is
    also tried without its first component: labels say ``images/...``, while the frames may lie in
    ``images_renamed/...``, which is then the ``root``.

    Args:
        root: folder that the label files' names start from.
    """

    def __init__(self, root: str = '') -> None:
        self.root = root
        self._folders: dict[str, str] = {}
        self._frames: dict[str, list[str]] = {}
        self._positions: dict[str, dict[str, int]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def folder(self, file_name: str) -> str:
        """The folder on disk that holds (or should hold) the frames beside ``file_name``."""
        label_folder = _split(file_name)[0]
        if label_folder not in self._folders:
            folder = os.path.join(self.root, label_folder)
            shorter = os.path.join(self.root, *label_folder.split('/')[1:])
            if not os.path.isdir(folder) and '/' in label_folder and os.path.isdir(shorter):
                folder = shorter
            self._folders[label_folder] = folder
        return self._folders[label_folder]

    def frames(self, file_name: str) -> list[str]:
        """Sorted names of the images in the folder of ``file_name``; empty if there is none."""
        folder = self.folder(file_name)
        if folder not in self._frames:
            self._frames[folder] = list_images(folder)
            self._positions[folder] = {name: i for i, name in enumerate(self._frames[folder])}
        return self._frames[folder]

    def path(self, file_name: str) -> str:
        """Where the frame is (or should be) on disk."""
        return os.path.join(self.folder(file_name), _split(file_name)[1])

    def exists(self, file_name: str) -> bool:
        """Whether the frame is in its folder's listing."""
        self.frames(file_name)
        return _split(file_name)[1] in self._positions[self.folder(file_name)]

    def position(self, file_name: str) -> int:
        """Place of the frame in its folder's listing.

        Raises:
            FileNotFoundError: if the frame is not on disk.
        """
        if not self.exists(file_name):
            raise FileNotFoundError(f'{self.path(file_name)}: frame not found')
        return self._positions[self.folder(file_name)][_split(file_name)[1]]

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """(width, height) in pixels from the label, else from the header of the video's first file.

        Raises:
            OSError: if that file is no image.
            FileNotFoundError: if the folder holds no image.
        """
        if frame.width and frame.height:
            return frame.width, frame.height
        folder = self.folder(frame.file_name)
        if folder not in self._sizes:
            if not self.frames(frame.file_name):
                raise FileNotFoundError(f'{folder}: no image in this folder')
            self._sizes[folder] = image_size(os.path.join(folder, self._frames[folder][0]))
        return self._sizes[folder]

    def neighbors(self, file_name: str, offsets: Sequence[int]) -> tuple[list[str], np.ndarray]:
        """The clip around a frame.

        Args:
            file_name: the key frame as the label file names it; it must exist.
            offsets: (T,) positions relative to the key frame, see `clip_offsets`.

        Returns:
            T paths, and a (T,) bool mask. The mask is False where the clip reaches beyond the
            video's first or last existing frame; that frame stands in there.

        Raises:
            FileNotFoundError: if the key frame is not on disk.
        """
        frames = self.frames(file_name)
        folder = self.folder(file_name)
        wanted = self.position(file_name) + np.asarray(offsets)
        nearest = np.clip(wanted, 0, len(frames) - 1)
        return [os.path.join(folder, frames[i]) for i in nearest], nearest == wanted


def list_images(folder: str) -> list[str]:
    """Names of the images in a folder in temporal order; empty if the folder does not exist.

    Digits compare as numbers (``2.jpg`` before ``10.jpg``). Hidden files are left out: some
    archive tools leave a ``._000001.jpg`` beside each ``000001.jpg``.
    """
    if not os.path.isdir(folder):
        return []
    names = (n for n in os.listdir(folder) if n.lower().endswith(IMAGE_SUFFIXES))
    return sorted((n for n in names if not n.startswith('.')), key=natural_key)


def natural_key(name: str) -> tuple[list, str]:
    """Sort key that compares runs of digits as numbers; equal numbers go by the plain name."""
    parts = re.split(r'(\d+)', name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _split(file_name: str) -> tuple[str, str]:
    """Folder and name of a file as a label file writes it, on whichever system."""
    return posixpath.split(file_name.replace('\\', '/'))
