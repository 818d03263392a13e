"""Frames of a video, a folder of images, a camera or arrays, one at a time.

Images are (H, W, 3) uint8 BGR, and times are seconds from the start of a file by its own time
stamps, so that a variable frame rate is kept.
"""

from __future__ import annotations

import os
import time as clock
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cmpose_mm.images import read_image
from cmpose_mm.posetrack.frames import IMAGE_SUFFIXES, list_images

from .av_files import Packets, import_av, may_be_joined, open_container, start_time

# formats whose header counts the length from time 0, not from the first frame
_LENGTH_FROM_ZERO = ('matroska,webm', 'asf', 'nut')


@dataclass
class VideoFrame:
    """One frame of a source.

    Attributes:
        image: (H, W, 3) uint8 BGR, upright: the rotation that a file asks for is applied.
        number: 0-based position among the frames that the source delivers.
        time: seconds from the start of the source; None where it has no time stamps.
        path: of the image file; None if the source is not a folder of images.
    """

    image: np.ndarray
    number: int
    time: float | None = None
    path: str | None = None


class FrameReader:
    """Iterates over the frames of a source, holding one at a time; made by `open_frames`.

    Files, folders and sequences can be iterated over again, cameras and generators not.

    Args:
        name: of the source: the file's stem, the folder's name, `camera 0` or `frames`.
        frames: makes an iterator of (image, time, path), see `VideoFrame`.
        num_frames: how many to expect, for a progress bar; None if unknown.
        frame_rate: frames a second, on average; None if unknown.
        paths: of the image files, in order; None if the source is not a folder of images.
    """

    def __init__(
        self,
        name: str,
        frames: Callable[[], Iterator[tuple[np.ndarray, float | None, str | None]]],
        num_frames: int | None = None,
        frame_rate: float | None = None,
        paths: list[str] | None = None,
    ) -> None:
        self.name = name
        self.paths = paths
        self.num_frames = num_frames
        self.frame_rate = frame_rate
        self._frames = frames

    def __iter__(self) -> Iterator[VideoFrame]:
        number = -1
        for number, (image, time, path) in enumerate(self._frames()):
            yield VideoFrame(image, number, time, path)
        if number < 0:
            raise ValueError(f'{self.name}: has no frames, expected at least one.')


def open_frames(source: str | Path | int | Iterable[np.ndarray] | FrameReader) -> FrameReader:
    """Opens a video, or what can stand for one.

    Args:
        source: one of

            * a video file of any format that PyAV reads (mp4, avi, mov, mkv, ...). 10 bit and gray
              become 8 bit BGR. A file that is cut off or damaged gives the frames that are whole,
              then one warning that says how many of how many. Frames of another size than the
              first are scaled to it, with one warning. In joined MPEG streams time goes on;
            * a folder of images, sorted as numbers are (2.jpg before 10.jpg), or one image file,
              see `read_image` and `list_images`;
            * the index of a camera;
            * images, each (H, W, 3) BGR or (H, W) gray, uint8: a sequence, an array
              (T, H, W, 3), a generator or any other iterable;
            * a `FrameReader`, which is returned as it is.

    Returns:
        The reader. Iterating over it raises OSError for an image that is broken, and ValueError if
        no frame can be had or an array is no image; both name the file or frame.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if the file is no video, or the folder holds no image.
        OSError: if there is no such camera.
        ImportError: if a video file is to be read without PyAV installed.
        TypeError: if `source` is none of these.
    """
    if isinstance(source, FrameReader):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if os.path.isdir(path):
            return _open_folder(path)
        if not os.path.exists(path):
            raise FileNotFoundError(f'{path}: not found; expected a video or a folder of images.')
        if path.lower().endswith(IMAGE_SUFFIXES):
            return FrameReader(Path(path).stem, lambda: _read_images([path]), 1)
        return _open_video(path)
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool):
        return _open_camera(int(source))
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise ValueError(
            f'the array of frames has shape {source.shape}, expected (T, H, W, 3); '
            'put a single image into a list.'
        )
    if isinstance(source, Iterable):
        num_frames = len(source) if hasattr(source, '__len__') else None
        return FrameReader('frames', lambda: _read_arrays(source), num_frames)
    raise TypeError(
        f'source is a {type(source).__name__}, expected a path, the index of a camera, or images.'
    )


def _video_stream(container, path: str):
    """The first video stream that is no cover picture of a sound file."""
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        found = ', '.join(sorted({s.type for s in container.streams})) or 'nothing'
        raise ValueError(
            f'{path}: has no video stream (found: {found}); it may be a sound file, or cut off.'
        )
    return streams[0]


def _is_cover(stream) -> bool:
    disposition = getattr(stream, 'disposition', 0)  # PyAV >= 13.1: an enum, a number since 18
    return bool(getattr(disposition, 'value', disposition) & 0x0400)


def _open_video(path: str) -> FrameReader:
    with open_container(path) as container:
        stream = _video_stream(container, path)
        rate = float(stream.average_rate) if stream.average_rate else None
        length = _length(container, stream)
        num_frames = _num_shown_frames(container, stream)
    if not num_frames and rate and length:
        num_frames = max(round(length * rate), 1)
    return FrameReader(
        Path(path).stem, lambda: _of_one_size(_read_video(path), path), num_frames or None, rate
    )


def _length(container, stream) -> float:
    """Seconds from a file's first to its last time stamp as far as its header tells, else 0."""
    length = float((stream.duration or 0) * stream.time_base)
    length = length or (container.duration or 0) / import_av().time_base
    start = start_time(container)
    is_from_zero = container.format.name in _LENGTH_FROM_ZERO
    return length - start if is_from_zero and 0 < start < length else length


def _num_shown_frames(container, stream) -> int:
    """How many frames a file's index tells of that are to be shown; 0 if it has none."""
    if stream.frames and stream.average_rate and container.format.name.startswith('mov,'):
        # an edit list may leave some of them out: phones trim a video in that way
        shown = round(_length(container, stream) * stream.average_rate)
        return min(stream.frames, max(shown, 1))
    return stream.frames


@dataclass
class _Tally:
    """What was met while a video was read: counts, and the times in seconds that were reached."""

    num_packets: int = 0
    num_broken: int = 0
    num_frames: int = 0
    num_gaps: int = 0
    video_end: float = 0.0
    end: float = 0.0


def _read_video(path: str) -> Iterator[tuple[np.ndarray, float | None, None]]:
    """Decodes what can be decoded of a video file; warns if that is not all."""
    av = import_av()
    tally = _Tally()
    with open_container(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = 'AUTO'
        start = start_time(container)
        try:
            for packet in _read_packets(container, stream, tally):
                try:
                    frames = stream.decode(packet)
                except av.error.FFmpegError:
                    tally.num_broken += 1
                    continue
                for frame in frames:
                    if frame.is_corrupt:  # parts of it are missing, and were made up
                        tally.num_broken += 1
                        continue
                    tally.num_frames += 1
                    pts = frame.pts
                    time = None if pts is None else float(pts * stream.time_base) - start
                    yield _upright(frame), time, None
        finally:
            # Waits for the decoder's threads without holding Python's lock. PyAV holds it when it
            # frees the decoder; a thread that logs needs it (older torchvision switches logging
            # on), and both would wait forever.
            stream.codec_context.flush_buffers()
        problem = _describe_loss(container, stream, tally)
    if tally.num_frames == 0:
        raise ValueError(f'{path}: none of its frames can be decoded, expected at least one.')
    if problem:
        warnings.warn(f'{path}: {problem}', stacklevel=2)


def _read_packets(container, stream, tally: _Tally) -> Iterator:
    """The packets of a stream as far as the file can be read, then what flushes it."""
    start = start_time(container)
    may_have_gaps = may_be_joined(container)
    packets = Packets(container)
    try:
        for packet in packets:
            end = 0.0
            if packet.size > 0 and packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start
                tally.end = max(tally.end, end)
            if packet.stream.index != stream.index or packet.size == 0:
                continue
            tally.num_packets += 1
            tally.video_end = max(tally.video_end, end)
            # A packet that is marked was cut off: some decoders would make half an image of it
            # without saying so. Only in formats that may be joined the mark stands for a gap
            # somewhere near, such as a join, and the packet is often whole.
            if packet.is_corrupt and not may_have_gaps:
                tally.num_broken += 1
                continue
            tally.num_gaps += packet.is_corrupt
            yield packet
    except import_av().error.FFmpegError:
        tally.num_broken += 1
    tally.num_gaps -= packets.num_joins
    yield None


def _describe_loss(container, stream, tally: _Tally) -> str:
    """How many of how many frames were read, or '' if nothing says that frames are missing."""
    frame_duration = float(1 / stream.average_rate) if stream.average_rate else 0.0
    num_expected, about = tally.num_frames + tally.num_broken, ''
    if stream.frames:
        # avi also counts frames that are not in the file, but time goes on in their place
        num_shown = _num_shown_frames(container, stream)
        is_over = tally.video_end > (num_shown - 0.5) * frame_duration
        if tally.num_packets < num_shown and not is_over:
            num_expected = num_shown
    elif frame_duration and not may_be_joined(container):  # there the length is guessed
        lost = _length(container, stream) - tally.end
        if lost > 1:  # only the length is known, and may be off by a few frames
            num_expected += round(lost / frame_duration)
            about = 'about '
    if num_expected == tally.num_frames:
        if tally.num_gaps <= 0:
            return ''
        return 'parts of the file are missing, frames there are left out or look wrong.'
    return (
        f'{tally.num_frames} of {about}{num_expected} frames could be read, the file is cut off '
        'or damaged.'
    )


def _of_one_size(frames: Iterable[tuple], name: str) -> Iterator[tuple]:
    """Frames of a stream, those of another size scaled to that of the first, with one warning."""
    size, is_told = None, False
    for number, (image, time, path) in enumerate(frames):
        size = size or image.shape[:2]
        if image.shape[:2] != size:
            if not is_told:
                is_told = True
                warnings.warn(
                    f'{name}: frame {number} is {image.shape[1]} x {image.shape[0]} pixels, the '
                    f'first {size[1]} x {size[0]}; frames of another size are scaled to that of '
                    'the first.',
                    stacklevel=2,
                )
            shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
            method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            image = cv2.resize(image, size[::-1], interpolation=method)
        yield image, time, path


def _upright(frame) -> np.ndarray:
    """A decoded frame as (H, W, 3) uint8 BGR, turned and mirrored by its display matrix."""
    # PyAV < 14 takes BT.709 for BT.601 unless another space is named for BGR, which has none
    other = 'DEFAULT' if frame.colorspace == 1 else None
    image = frame.reformat(format='bgr24', dst_colorspace=other).to_ndarray()
    data = frame.side_data.get('DISPLAYMATRIX')
    if data is None:
        return image
    # a pixel at (x, y) is shown at (a x + c y, b x + d y) plus an offset
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(np.int64).tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):  # a quarter turn
        image, a, d = image.transpose(1, 0, 2), c, b
    image = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(image)


def _open_folder(folder: str) -> FrameReader:
    names = list_images(folder)
    if not names:
        raise ValueError(
            f'{folder}: has no image, expected files that end with {", ".join(IMAGE_SUFFIXES)}.'
        )
    paths = [os.path.join(folder, name) for name in names]
    name = Path(folder).resolve().name
    return FrameReader(name, lambda: _read_images(paths), len(paths), paths=paths)


def _read_images(paths: list[str]) -> Iterator[tuple[np.ndarray, None, str]]:
    for path in paths:
        yield read_image(path), None, path


def _read_arrays(images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, None, None]]:
    for number, image in enumerate(images):
        yield as_image(image, f'frame {number}'), None, None


def as_image(image: np.ndarray, what: str) -> np.ndarray:
    """(H, W, 3) uint8 from that or (H, W); ValueError starts with `what`."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f'{what} is a {type(image).__name__}, expected an array.')
    is_gray = image.ndim == 2
    if image.dtype != np.uint8 or image.size == 0 or not (is_gray or image.shape[2:] == (3,)):
        raise ValueError(
            f'{what} has shape {image.shape} and type {image.dtype}, expected (H, W, 3) uint8 BGR '
            'or (H, W) gray.'
        )
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if is_gray else image


def _open_camera(index: int) -> FrameReader:
    camera = cv2.VideoCapture(index)
    if not camera.isOpened():
        raise OSError(f'camera {index}: can not be opened, expected the index of a camera.')
    rate = camera.get(cv2.CAP_PROP_FPS)
    return FrameReader(
        f'camera {index}', lambda: _read_camera(camera), None, rate if rate > 0 else None
    )


def _read_camera(camera) -> Iterator[tuple[np.ndarray, float, None]]:
    start = clock.monotonic()
    try:
        while True:
            is_read, image = camera.read()
            if not is_read:
                return
            yield as_image(image, 'a frame of the camera'), clock.monotonic() - start, None
    finally:
        camera.release()
