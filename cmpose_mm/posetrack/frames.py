"""Which frames of a video exist on disk, and which of them make a clip.

T is the number of frames of a clip. A frame's position is its place in the sorted listing of its
video's folder; offsets count positions, not the numbers in file names, so gaps in the numbering,
1-based names and names like ``0012_crop.jpg`` need no special care.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .file_names import is_hidden, natural_key, split_name
from .videos import Frame, Video

IMAGE_SUFFIXES = (
    '.jpg',
    '.jpeg',
    '.jpe',
    '.jfif',
    '.png',
    '.webp',
    '.bmp',
    '.tif',
    '.tiff',
    '.jp2',
) + ('.ppm', '.pgm', '.pbm', '.pnm')
"""How the names of images end (in either case): the formats that OpenCV and Pillow both read."""
VIDEO_SUFFIXES = (
    '.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.wmv', '.asf', '.flv', '.mpg', '.mpeg',
    '.vob', '.ts', '.mts', '.m2ts', '.3gp', '.3g2', '.ogv', '.mxf', '.nut', '.y4m', '.dv',
    '.qt', '.f4v', '.divx', '.m2v', '.h264', '.264', '.h265', '.hevc', '.ivf',
)  # fmt: skip
"""How the names of videos in a folder end. A file that is named itself may have any name."""
_OTHER_IMAGE_SUFFIXES = (
    '.avif',
    '.heic',
    '.heif',
    '.jxl',
    '.gif',
    '.tga',
    '.exr',
    '.hdr',
    '.pfm',
    '.psd',
) + ('.dng', '.cr2', '.cr3', '.nef', '.arw', '.raf', '.orf', '.rw2')
_ORIENTATION = 274  # tag of EXIF and TIFF
_QUARTER_TURNS = (5, 6, 7, 8)
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
    """(width, height) in pixels as the image is decoded, from its header.

    A photo may be stored lying and say by its EXIF orientation that it is to be shown upright.
    OpenCV decodes it upright if it is a JPEG, PNG or TIFF, and as of 4.13 if it is a WebP.

    Raises:
        OSError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            if image.format == 'TIFF':  # some versions of Pillow turn the size themselves
                width, height, orientation = map(image.tag_v2.get, (256, 257, _ORIENTATION))
            else:
                (width, height), orientation = image.size, _exif_orientation(image)
    except (ValueError, Image.DecompressionBombError) as error:  # Pillow's, on a broken header
        raise OSError(f'{path}: no image that can be read ({error})') from error
    return (height, width) if orientation in _QUARTER_TURNS else (width, height)


def _exif_orientation(image: Image.Image) -> int | None:
    """The orientation that OpenCV decodes an image by; None for as it is stored."""
    if 'exif' not in image.info:
        return None
    if image.format == 'WEBP':
        if not _opencv_turns_webp():
            return None
    elif image.format not in ('JPEG', 'MPO', 'PNG'):
        return None
    exif = Image.Exif()  # `image.getexif` would decode a PNG, and look into XMP, unlike OpenCV
    try:
        exif.load(image.info['exif'])
    except (SyntaxError, struct.error):  # damaged EXIF, which OpenCV ignores as well
        return None
    return exif.get(_ORIENTATION)


def _opencv_turns_webp() -> bool:
    try:
        from cv2 import __version__
    except ImportError:  # then nothing here decodes images
        return False
    return tuple(map(int, __version__.split('.')[:2])) >= (4, 13)


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
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # broken files
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
        label_folder = split_name(file_name)[0]
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
        return os.path.join(self.folder(file_name), split_name(file_name)[1])

    def exists(self, file_name: str) -> bool:
        """Whether the frame is in its folder's listing."""
        self.frames(file_name)
        return split_name(file_name)[1] in self._positions[self.folder(file_name)]

    def position(self, file_name: str) -> int:
        """Place of the frame in its folder's listing.

        Raises:
            FileNotFoundError: if the frame is not on disk.
        """
        if not self.exists(file_name):
            raise FileNotFoundError(f'{self.path(file_name)}: frame not found')
        return self._positions[self.folder(file_name)][split_name(file_name)[1]]

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """(width, height) in pixels from the label, else from the header of the frame's file.

        Raises:
            OSError: if that file is missing or no image.
        """
        if frame.width and frame.height:
            return frame.width, frame.height
        path = self.path(frame.file_name)
        if path not in self._sizes:
            self._sizes[path] = image_size(path)
        return self._sizes[path]

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


def shared_folders(videos: list[Video], table: FrameTable) -> list[str]:
    """One sentence for each folder that holds the frames of several videos."""
    names: dict[str, dict[str, None]] = {}
    for video in videos:
        for folder in {table.folder(frame.file_name): None for frame in video.frames}:
            names.setdefault(folder, {})[video.name] = None
    return [
        f'{folder}: holds the frames of {len(found)} videos ({", ".join([*found][:2])}'
        f'{", ..." if len(found) > 2 else ""}), expected a folder for each, as clips take their '
        'frames from the folder, also those of another video'
        for folder, found in names.items()
        if len(found) > 1
    ]


def list_images(folder: str) -> list[str]:
    """Names of the images in a folder in temporal order; empty if the folder does not exist.

    Digits compare as numbers (``2.jpg`` before ``10.jpg``). Hidden files are left out, and so are
    images in a format that is not read (`IMAGE_SUFFIXES`), of which a warning tells.
    """
    if not os.path.isdir(folder):
        return []
    names = [name for name in os.listdir(folder) if not is_hidden(name)]
    others = sorted(name for name in names if name.lower().endswith(_OTHER_IMAGE_SUFFIXES))
    if others:
        warnings.warn(
            f'{folder}: {len(others)} image files are left out (first: {others[0]}), their format '
            f'is not read; expected {", ".join(IMAGE_SUFFIXES)}.',
            stacklevel=2,
        )
    return sorted((n for n in names if n.lower().endswith(IMAGE_SUFFIXES)), key=natural_key)
