"""Frames of a video, a folder of images, a stream, a camera or arrays, one at a time.

Images are (H, W, 3) uint8 BGR, and times are seconds from the start of a file, be it of its picture
or its sound, by its own time stamps, so that a variable frame rate is kept.
"""

from __future__ import annotations

import copy
import math
import os
import time as clock
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Condition, Thread, local
from typing import Union
from urllib.parse import urlsplit

import cv2
import numpy as np
import PIL.Image

from cmpose_cli.grammar import Moment, parse_moment
from cmpose_mm.images import read_image
from cmpose_mm.posetrack.frames import IMAGE_SUFFIXES, list_images

from .av_files import (
    STAMPED_BY_PLACE,
    Packets,
    import_av,
    is_url,
    may_be_joined,
    open_container,
    reason,
    shown_path,
    start_time,
)

# formats whose header counts the length from time 0, not from the first frame
_LENGTH_FROM_ZERO = ('matroska,webm', 'asf', 'nut')
_NO_TIMESTAMPS = 0x0080  # FFmpeg's AVFMT_NOTIMESTAMPS
_EXACT = 1e-6  # seconds by which a time stamp may miss the moment that was asked for
_CONVERTERS = local()

Image = Union[np.ndarray, Callable[[], np.ndarray]]
"""(H, W, 3) uint8 BGR, or what makes it: frames that nobody asked for are not converted."""


@dataclass
class VideoFrame:
    """One frame of a source.

    Attributes:
        image: (H, W, 3) uint8 BGR, upright: the rotation that a file asks for is applied.
        number: 0-based position among the frames that the source delivers.
        time: seconds from the start of the source; None where it has no time stamps.
        path: of the image file; None if the source is not a folder of images.
        is_neighbor: it is no frame that was asked for, but one before or after, see
            `FrameReader.with_neighbors`.
    """

    image: np.ndarray
    number: int
    time: float | None = None
    path: str | None = None
    is_neighbor: bool = False


class FrameReader:
    """Iterates over the frames of a source, holding one at a time; made by `open_frames`.

    Files, folders and sequences can be iterated over again, streams, cameras and generators not.

    Args:
        name: of the source, see `source_name`.
        frames: makes an iterator of (image, time, path), see `VideoFrame`; the image may be a
            function that makes it.
        num_frames: how many to expect, for a progress bar; None if unknown.
        frame_rate: frames a second, on average; None if unknown.
        paths: of the image files, in order; None if the source is not a folder of images.
        is_live: frames come at their own pace, and without an end.
        pixel_aspect: width of a pixel by its height, where a video names it; else None.

    Attributes:
        start, end: the part to read, see `cut`; None for all.
    """

    def __init__(
        self,
        name: str,
        frames: Callable[[], Iterator[tuple[Image, float | None, str | None]]],
        num_frames: int | None = None,
        frame_rate: float | None = None,
        paths: list[str] | None = None,
        is_live: bool = False,
        pixel_aspect: Fraction | None = None,
    ) -> None:
        self.name = name
        self.paths = paths
        self.num_frames = num_frames
        self.frame_rate = frame_rate
        self.is_live = is_live
        self.pixel_aspect = pixel_aspect
        self.start: Moment | None = None
        self.end: Moment | None = None
        self._frames = frames

    def cut(
        self,
        start: Moment | str | None = None,
        end: Moment | str | None = None,
        frame_rate: float | None = None,
    ) -> FrameReader:
        """A reader of a part: from `start` on, up to, but without, `end`.

        Frames keep the numbers and times that they have in the whole source. All frames before the
        part are decoded and passed by: only in this way the numbers are exact in every file.

        Args:
            start, end: as `cmpose_cli.grammar.parse_moment` takes them: ``'90'``, ``'1:30'``,
                ``'300f'``. None is the start or the end of the source.
            frame_rate: frames a second of sources without times, where moments are in seconds; by
                default that which the source names.

        Raises:
            ValueError: if a moment is written in another way, the end is not after the start, or
                seconds mean nothing because neither times nor a frame rate are known.
        """
        start, end = (parse_moment(m) if isinstance(m, str) else m for m in (start, end))
        part = copy.copy(self)
        part.start, part.end = start, end
        rate = part.frame_rate = frame_rate or self.frame_rate
        in_seconds = [m for m in (start, end) if m is not None and not m.in_frames]
        if in_seconds and self.paths is not None and not rate:
            raise ValueError(
                f'{self.name}: images have no times, expected a frame rate (--frame-rate), or the '
                f'numbers of frames such as 300f; found {in_seconds[0]}'
            )
        first, last = 0, self.num_frames
        if start is not None and (start.in_frames or rate):
            first = start.value if start.in_frames else start.value * rate
        if end is not None and (end.in_frames or rate):
            until = end.value if end.in_frames else end.value * rate
            last = until if last is None else min(last, until)
        both = start is not None and end is not None
        if both and start.in_frames == end.in_frames and end.value <= start.value:
            raise ValueError(
                f'{self.name}: the part ends at {end}, expected a moment after its start, {start}'
            )
        part.num_frames = None if last is None else max(round(last - first), 1)
        return part

    def with_neighbors(self, past: int, future: int) -> Iterator[VideoFrame]:
        """The frames of the part, and those around it that clips reach into.

        Args:
            past: how many frames to give that come before the part.
            future: how many to give that follow it.

        Raises:
            ValueError: if the part, or the whole source, has no frame.
        """
        before: deque[tuple] = deque(maxlen=past)
        number, time, found = -1, None, False
        with closing(self._numbered()) as frames:
            for number, image, time, path in frames:
                item = number, image, time, path
                if self._is_before(self.start, number, time):
                    before.append(item)
                    continue
                is_over = self.end is not None and not self._is_before(self.end, number, time)
                if is_over and (not found or future == 0):
                    break
                if not found:
                    found = True
                    for neighbor in before:
                        yield _video_frame(*neighbor, is_neighbor=True)
                    before.clear()
                yield _video_frame(*item, is_neighbor=is_over)
                future -= is_over
        if number < 0:
            raise ValueError(f'{self.name}: has no frames, expected at least one.')
        if not found:
            end = '' if self.end is None else f' and before {self.end}'
            start = self.start or 'its start'
            where = f'frame {number}' + ('' if time is None else f', at {time:.2f} s')
            raise ValueError(
                f'{self.name}: there is no frame from {start} on{end}; the last that was read is '
                f'{where}'
            )

    def __iter__(self) -> Iterator[VideoFrame]:
        return self.with_neighbors(0, 0)

    def _numbered(self) -> Iterator[tuple[int, Image, float | None, str | None]]:
        """All frames of the source: number, image or what makes it, time, path."""
        for number, item in enumerate(self._frames()):
            yield (number, *item)

    def _is_before(self, moment: Moment | None, number: int, time: float | None) -> bool:
        if moment is None:
            return False
        if moment.in_frames:
            return number < moment.value
        if time is None:
            if not self.frame_rate:
                raise ValueError(
                    f'{self.name}: frame {number} has no time, expected a frame rate, or the '
                    f'numbers of frames such as 300f; found {moment}'
                )
            time = number / self.frame_rate
        return time < moment.value - _EXACT


def _video_frame(
    number: int, image: Image, time: float | None, path: str | None, is_neighbor: bool
) -> VideoFrame:
    image = image() if callable(image) else image
    return VideoFrame(image, number, time, path, is_neighbor)


class NewestFrames(FrameReader):
    """A live source without lag: whoever asks for a frame gets the newest that nobody got.

    A thread reads the source at its pace. Frames that come while one is worked on are dropped but
    for the last of them. Numbers and times are those that the frames have in the source.

    Args:
        source: a reader that can be iterated over.

    Attributes:
        num_dropped: how many frames were dropped so far.
        num_read: how many were read so far.
    """

    def __init__(self, source: FrameReader) -> None:
        super().__init__(
            source.name, source._frames, None, source.frame_rate, is_live=True,
            pixel_aspect=source.pixel_aspect,
        )  # fmt: skip
        self.num_dropped = self.num_read = 0

    def _numbered(self) -> Iterator[tuple[int, Image, float | None, str | None]]:
        changed = Condition()
        newest: list[tuple] = []
        ended: list[BaseException | None] = []  # with what the source ended
        stopped: list[bool] = []
        numbered = super()._numbered()

        def read() -> None:
            error = None
            try:
                with closing(numbered):
                    for item in numbered:
                        with changed:
                            if stopped:
                                break
                            self.num_read += 1
                            self.num_dropped += len(newest)
                            newest[:] = [item]
                            changed.notify()
            except BaseException as problem:  # raised again in the thread that asks
                error = problem
            with changed:
                ended.append(error)
                changed.notify()

        thread = Thread(target=read, name='newest_frames', daemon=True)
        thread.start()
        try:
            while True:
                with changed:
                    changed.wait_for(lambda: newest or ended)
                    if not newest:
                        break
                    item = newest.pop()
                yield item
            if ended[0] is not None:
                raise ended[0]
        finally:
            stopped.append(True)
            thread.join(timeout=2)  # a source that hangs must not keep its user


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
            * the address of a stream or of a file on a server, such as ``rtsp://`` or ``http://``,
              see `av_files.open_container`;
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
        OSError: if there is no such camera, or an address does not answer.
        ImportError: if a video file is to be read without PyAV installed.
        TypeError: if `source` is none of these.
    """
    if isinstance(source, FrameReader):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        if os.path.isdir(path):
            return _open_folder(path)
        if is_url(path):
            return _open_video(path)
        if not os.path.exists(path):
            raise FileNotFoundError(f'{path}: not found; expected a video or a folder of images.')
        if path.lower().endswith(IMAGE_SUFFIXES):
            _warn_of_pages(path)
            return FrameReader(source_name(path), lambda: _read_images([path]), 1, paths=[path])
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


def source_name(source: str | Path | int) -> str:
    """A file's stem, a folder's name, `camera 0`, or the end of an address."""
    if isinstance(source, (int, np.integer)):
        return f'camera {source}'
    path = os.fspath(source)
    if is_url(path):
        address = urlsplit(path)
        return Path(address.path).stem or address.hostname or 'stream'
    return Path(path).resolve().name if os.path.isdir(path) else Path(path).stem


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
    container = open_container(path)
    try:
        stream = _video_stream(container, shown_path(path))
        rate = _frame_rate(container, stream)
        length = _length(container, stream)
        num_frames = _num_shown_frames(container, stream)
        aspect = stream.sample_aspect_ratio
    except BaseException:
        container.close()
        raise
    opened = []
    if is_url(path):  # a stream may be asked for once only
        opened.append(container)
    else:
        container.close()
    if not num_frames and rate and length:
        num_frames = max(round(length * rate), 1)
    is_live = is_url(path) and not length

    def frames() -> Iterator[tuple]:
        container = opened.pop() if opened else open_container(path)
        return _of_one_size(_read_video(path, container), shown_path(path))

    return FrameReader(
        source_name(path), frames, num_frames or None, rate, is_live=is_live, pixel_aspect=aspect
    )


def _frame_rate(container, stream) -> float | None:
    """Frames a second, None if the file does not tell.

    Where frames have no times (raw H.264), and in DV, the average is that of FFmpeg's clock, not of
    the video; the guess then is the rate that the video itself names, if it does.
    """
    rate = stream.average_rate
    is_clock = rate and stream.time_base and rate * stream.time_base == 1
    if is_clock or int(container.format.flags) & _NO_TIMESTAMPS:
        rate = stream.guessed_rate or rate
    return float(rate) if rate else None


def _length(container, stream) -> float:
    """Seconds from a file's first to its last time stamp as far as its header tells, else 0."""
    length = float((stream.duration or 0) * stream.time_base)
    length = length or (container.duration or 0) / import_av().time_base
    start = start_time(container)
    is_from_zero = container.format.name in _LENGTH_FROM_ZERO
    return length - start if is_from_zero and 0 < start < length else length


def _num_shown_frames(container, stream) -> int:
    """How many frames a file's index tells of that are to be shown; 0 if it has none."""
    rate = _frame_rate(container, stream)
    if stream.frames and rate and container.format.name.startswith('mov,'):
        # an edit list may leave some of them out: phones trim a video in that way
        shown = round(_length(container, stream) * rate)
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
    broke_off: str = ''  # why no more could be read
    first_loss: float = math.inf  # when the first frame that was lost is shown
    last_shown: float = -math.inf  # when the last one that was read is

    def lose(self, time: float | None) -> None:
        """Counts a frame that is lost, to be shown at this time."""
        self.num_broken += 1
        self.first_loss = min(self.first_loss, math.inf if time is None else time)


def _seconds(pts: int | None, time_base: Fraction, start: float) -> float | None:
    return None if pts is None else float(pts * time_base) - start


def _read_video(path: str, container) -> Iterator[tuple[Image, float | None, None]]:
    """Decodes what can be decoded of a video; warns if that is not all."""
    av = import_av()
    tally = _Tally()
    with container:
        stream = _video_stream(container, path)
        # Threads for whole frames hold some back, and mark a broken one only sometimes.
        stream.thread_type = 'SLICE'
        start = start_time(container)
        stamps = _Stamps(container)
        try:
            for packet in _read_packets(container, stream, tally):
                try:
                    frames = stream.decode(packet)
                except av.error.FFmpegError:
                    is_last = packet is None  # what flushes the decoder
                    tally.lose(None if is_last else _seconds(packet.pts, packet.time_base, start))
                    continue
                stamps.add(packet)
                for frame in frames:
                    pts = stamps.of_next(frame)
                    time = _seconds(pts, stream.time_base, start)
                    if frame.is_corrupt:  # parts of it are missing, and were made up
                        tally.lose(time)
                        continue
                    tally.num_frames += 1
                    if time is not None:
                        tally.last_shown = max(tally.last_shown, time)
                    yield partial(_upright, frame), time, None
        finally:
            # Waits for the decoder's threads without holding Python's lock. PyAV holds it when it
            # frees the decoder; a thread that logs needs it (older torchvision switches logging
            # on), and both would wait forever.
            stream.codec_context.flush_buffers()
        lost = 'data was lost on the way' if is_url(path) else 'the file is cut off or damaged'
        problem = _describe_loss(container, stream, tally, lost)
    name = shown_path(path)
    if tally.broke_off and is_url(path):
        if tally.num_frames == 0:
            raise OSError(f'{name}: broke off before its first frame ({tally.broke_off}).')
        problem = f'broke off after {tally.num_frames} frames ({tally.broke_off}).'
    if tally.num_frames == 0:
        raise ValueError(f'{name}: none of its frames can be decoded, expected at least one.')
    if problem:
        warnings.warn(f'{name}: {problem}', stacklevel=2)


class _Stamps:
    """Time stamps of pictures, in the order in which they are shown.

    AVI and ASF have none: a packet's time is its place in the file, and FFmpeg guesses those of
    pictures, wrongly where B-frames are stored in another order than they are shown in. So there
    the picture that is shown first gets the first place, and so on.
    """

    def __init__(self, container) -> None:
        self._is_guessed = container.format.name in STAMPED_BY_PLACE
        self._places: deque[int | None] = deque()  # of packets whose pictures were not shown yet

    def add(self, packet) -> None:
        """Takes a packet that was decoded; None at the end."""
        if self._is_guessed and packet is not None:
            self._places.append(packet.dts)

    def of_next(self, frame) -> int | None:
        """The time stamp of the picture that the decoder gives now; None if it has none."""
        if not self._is_guessed:
            return frame.pts
        if self._places.maxlen is None:
            # the decoder holds back as many all the time: more are packets without a picture
            self._places = deque(self._places, maxlen=len(self._places))
        return self._places.popleft() if self._places else None


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
                tally.lose(_seconds(packet.pts, packet.time_base, start))
                continue
            tally.num_gaps += packet.is_corrupt
            yield packet
    except import_av().error.FFmpegError as error:
        tally.num_broken += 1
        tally.broke_off = reason(error)
    tally.num_gaps -= packets.num_joins
    yield None


def _describe_loss(container, stream, tally: _Tally, lost: str) -> str:
    """How many of how many frames were read, or '' if nothing says that frames are missing."""
    rate = _frame_rate(container, stream)
    # without a rate, as long as those that were read
    frame_duration = 1 / rate if rate else tally.video_end / max(tally.num_packets, 1)
    num_expected, about = tally.num_frames + tally.num_broken, ''
    if stream.frames:
        # avi also counts frames that are not in the file, but time goes on in their place
        num_shown = _num_shown_frames(container, stream)
        is_over = tally.video_end > (num_shown - 0.5) * frame_duration
        if tally.num_packets < num_shown and not is_over:
            num_expected = num_shown
    elif frame_duration and not may_be_joined(container):  # there the length is guessed
        rest = _length(container, stream) - tally.end
        if rest > 1:  # only the length is known, and may be off by a few frames
            num_expected += round(rest / frame_duration)
            about = 'about '
    if num_expected == tally.num_frames:
        if tally.num_gaps <= 0:
            return ''
        return 'parts of the file are missing, frames there are left out or look wrong.'
    read = f'{tally.num_frames} of {about}{num_expected} frames could be read, {lost}.'
    if tally.first_loss < tally.last_shown:
        read += f' Those after {tally.first_loss:.2f} s are numbered as if none were missing.'
    return read


def _of_one_size(frames: Iterable[tuple], name: str) -> Iterator[tuple]:
    """Frames of a stream, those of another size scaled to that of the first, with one warning."""
    size: list[tuple[int, int]] = []
    told: list[bool] = []

    def scaled(number: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        image = make()
        if not size:
            size.append(image.shape[:2])
        height, width = size[0]
        if image.shape[:2] == (height, width):
            return image
        if not told:
            told.append(True)
            warnings.warn(
                f'{name}: frame {number} is {image.shape[1]} x {image.shape[0]} pixels, the '
                f'first {width} x {height}; frames of another size are scaled to that of '
                'the first.',
                stacklevel=2,
            )
        shrinks = height * width < image.shape[0] * image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return cv2.resize(image, (width, height), interpolation=method)

    with closing(frames):
        for number, (make, time, path) in enumerate(frames):
            image = partial(scaled, number, make)
            yield (image if number else image()), time, path  # the first gives the size


def _converter():
    """This thread's converter of colors: a new one for each frame takes a millisecond more."""
    if not hasattr(_CONVERTERS, 'own'):
        _CONVERTERS.own = import_av().video.reformatter.VideoReformatter()
    return _CONVERTERS.own


def _upright(frame) -> np.ndarray:
    """A decoded frame as (H, W, 3) uint8 BGR, turned and mirrored by its display matrix."""
    # PyAV < 14 takes BT.709 for BT.601 unless another space is named for BGR, which has none
    other = 'DEFAULT' if frame.colorspace == 1 else None
    image = _converter().reformat(frame, format='bgr24', dst_colorspace=other).to_ndarray()
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
    return FrameReader(source_name(folder), lambda: _read_images(paths), len(paths), paths=paths)


def _warn_of_pages(path: str) -> None:
    """Warns of an image file that holds several pictures, of which the first is read."""
    try:
        with warnings.catch_warnings(), open(path, 'rb') as file, PIL.Image.open(file) as image:
            warnings.simplefilter('ignore')
            # a photo (MPO) may hold previews of itself
            count = image.n_frames if image.format in ('TIFF', 'WEBP', 'PNG') else 1
    except Exception:  # damaged in any way: reading it says what is wrong, if it can not be read
        return
    if count > 1:
        warnings.warn(
            f'{path}: holds {count} pictures, of which the first is read; expected a video, or a '
            'folder with an image for each.',
            stacklevel=3,
        )


def _read_images(paths: list[str]) -> Iterator[tuple[Image, None, str]]:
    for path in paths:
        yield partial(read_image, path), None, path


def _read_arrays(images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, None, None]]:
    held: dict[int, tuple[int, weakref.ref]] = {}  # by address: a frame lives as long as a clip
    fills_buffers = not isinstance(images, (list, tuple, np.ndarray))
    for number, image in enumerate(images):
        image = as_image(image, f'frame {number}')
        if fills_buffers:
            held = {place: frame for place, frame in held.items() if frame[1]() is not None}
            if image.ctypes.data in held:
                other = held[image.ctypes.data][0]
                name = 'the frame before' if other == number - 1 else f'frame {other}'
                raise ValueError(
                    f'frame {number} is in the same memory as {name}, which is still needed; '
                    'expected an array of its own for each frame, such as image.copy().'
                )
            held[image.ctypes.data] = number, weakref.ref(image)
        yield image, None, None


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
    rate = rate if rate > 0 else None
    return FrameReader(source_name(index), lambda: _read_camera(camera), None, rate, is_live=True)


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
