"""Frames in, video out: one frame at a time, in memory that does not grow with the video.

Files are read and written through PyAV, cameras through OpenCV. Images are (H, W, 3) uint8 BGR, and
times are seconds from the start of a file by its own time stamps, so that a variable frame rate
is kept.
"""

from __future__ import annotations

import io
import os
import time as clock
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from cmpose_mm.posetrack.frames import IMAGE_SUFFIXES, is_truncated, list_images

_ENCODERS = ('libx264', 'mpeg4')  # the first that PyAV's FFmpeg has; every FFmpeg has mpeg4
_OPTIONS = {
    'libx264': {'preset': 'veryfast', 'crf': '20'},
    'mpeg4': {'flags': '+qscale', 'global_quality': str(3 * 118)},
}
_TICKS = 60_000  # of the written time stamps in a second; MPEG-4 part 2 takes up to 65535
_LAYOUTS = {'1 channels': 'mono', '2 channels': 'stereo'}  # where a file gives the number only
_WRITTEN_SUFFIXES = ('.mp4', '.mov', '.mkv')


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
              become 8 bit BGR. A file that is cut off or damaged gives the frames that decode,
              then one warning that says how many of how many;
            * a folder of images, sorted as numbers are (2.jpg before 10.jpg), or one image file;
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


class VideoWriter:
    """Writes frames to a video file as they come, with the sound of another file.

    The video is H.264 in 4:2:0, which every player and browser shows. An image with an odd width
    or height gets its last column or row doubled, because 4:2:0 needs even sizes. If PyAV's FFmpeg
    has no x264 the codec is MPEG-4 part 2, and a warning says so. Frames are compressed in a thread
    of their own, so the caller can compute the next frame meanwhile and Ctrl-C can't fall
    between two parts of a frame.

    The sound is copied without being decoded, as far as the video reaches; to its end if
    the video of `audio_from` is over, too. A sound track that the container can't hold is left out
    and a warning says so (.mkv holds nearly all).

    Use it as a context manager: left by an exception or Ctrl-C, it closes a file that plays up
    to the last frame. When the process is killed (kill -9, power failure), .mkv plays up to a few
    seconds before that, and so do .mp4 and .mov with FFmpeg >= 7.1 (PyAV >= 14): they are written
    in fragments of two seconds, which `close` turns into a plain file. Plain files are what
    players, editors and web pages accept best; fragments left as such lack a length and a table to
    seek by. Older versions write plain files from the start and lose one that is killed.

    Args:
        path: of the file, .mp4, .mov or .mkv; missing folders are made. Nothing is written before
            the first frame.
        frame_rate: frames a second, for frames without a time, the last frame, and the encoder.
        audio_from: video or sound file; its start is time 0. None for no sound.

    Raises:
        ValueError: if `path` has another ending, or is `audio_from`; if `frame_rate` is not above
            0; if `audio_from` is no video or sound.
        FileNotFoundError: if `audio_from` does not exist.
        ImportError: if PyAV is not installed.
    """

    def __init__(
        self, path: str | Path, frame_rate: float, audio_from: str | Path | None = None
    ) -> None:
        self.path = os.fspath(path)
        if Path(self.path).suffix.lower() not in _WRITTEN_SUFFIXES:
            raise ValueError(
                f'{self.path}: can not write this format, expected a name that ends with '
                f'{", ".join(_WRITTEN_SUFFIXES)}.'
            )
        if not frame_rate > 0:
            raise ValueError(f'{self.path}: frame_rate is {frame_rate}, expected a number above 0.')
        if audio_from is not None:
            _open_container(audio_from).close()  # says now what is wrong with it
            if os.path.exists(self.path) and os.path.samefile(self.path, audio_from):
                raise ValueError(f'{self.path}: is the source of the sound, expected another file.')
        _import_av()
        os.makedirs(os.path.dirname(self.path) or '.', exist_ok=True)
        self.frame_rate = float(frame_rate)
        self.audio_from = audio_from
        self._size: tuple[int, int] | None = None  # (H, W) of the images
        self._last = -1  # time stamp of the last frame in ticks
        self._told_order = False
        self._container = self._stream = self._audio = None
        self._job: Future | None = None
        # All that touches the file runs in this one thread, in order; Ctrl-C only reaches the main
        # thread, so an encoded packet can't get lost between encoder and file.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix='video_writer')

    def write(self, image: np.ndarray, time: float | None = None) -> None:
        """Adds a frame; the image may be changed afterward.

        Args:
            image: (H, W, 3) uint8 BGR, of the size of the first.
            time: seconds from the start. None puts the frame 1 / `frame_rate` after the one
                before, and so, with one warning, does a time that is not later than that one's.

        Raises:
            ValueError: if the image has another type, shape or size, or the writer is closed.
            OSError: if the file can't be written; also for the frame before this one.
        """
        image = _as_image(image, f'{self.path}: a frame')
        if self._size is None:
            self._size = image.shape[:2]
        if image.shape[:2] != self._size:
            raise ValueError(
                f'{self.path}: a frame is {image.shape[1]} x {image.shape[0]} pixels, expected '
                f'{self._size[1]} x {self._size[0]} like the first.'
            )
        if self._thread is None:
            raise ValueError(f'{self.path}: is closed, no frame can be added.')
        stamp = self._next_stamp(time)
        if self._job is not None:
            self._job.result()
        height, width = self._size
        padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._job = self._thread.submit(self._encode, padded, stamp)
        self._last = stamp

    def close(self) -> None:
        """Finishes the file; without a frame there is none. Closing twice is allowed."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        finished = thread.submit(self._finish)
        thread.shutdown(wait=True)
        if self._job is not None:
            self._job.result()
        finished.result()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _next_stamp(self, time: float | None) -> int:
        step = max(round(_TICKS / self.frame_rate), 1)
        follows = self._last + step if self._last >= 0 else 0
        if time is None:
            return follows
        stamp = round(time * _TICKS)
        if stamp > self._last:
            return stamp
        if not self._told_order:
            self._told_order = True
            warnings.warn(
                f'{self.path}: a frame has the time {time:.3f} s, which is not after '
                f'{self._last / _TICKS:.3f} s of the one before; such frames are put one frame '
                'later.',
                stacklevel=3,
            )
        return follows

    def _open(self, height: int, width: int) -> None:
        av = _import_av()
        codec = next(name for name in _ENCODERS if name in av.codecs_available)
        if codec != _ENCODERS[0]:
            warnings.warn(
                f'{self.path}: PyAV has no {_ENCODERS[0]} here, writing {codec} instead, which '
                'browsers do not play (pip install av brings x264).',
                stacklevel=2,
            )
        options = {}
        if not self.path.lower().endswith('.mkv') and av.library_versions['libavformat'] >= (61, 7):
            # delay_moov: without it fragments have no edit list, and B-frames delay the picture
            options['movflags'] = 'hybrid_fragmented+delay_moov'
        self._container = av.open(self.path, 'w', options=options)
        rate = Fraction(self.frame_rate).limit_denominator(1001)
        stream = self._stream = self._container.add_stream(codec, rate=rate or 1)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.options = _OPTIONS[codec]
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.gop_size = max(round(2 * self.frame_rate), 1)
        # BT.709, and the file says so
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1  # 16 to 235
        if self.audio_from is not None:
            self._audio = _AudioCopy(self.audio_from, self._container, self.path)

    def _encode(self, image: np.ndarray, stamp: int) -> None:
        if self._container is None:
            self._open(*image.shape[:2])
        av = _import_av()
        frame = av.VideoFrame.from_ndarray(image, format='bgr24')
        frame = frame.reformat(format='yuv420p', dst_colorspace='ITU709', dst_color_range='MPEG')
        frame.pts, frame.time_base = stamp, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))
        if self._audio is not None:
            self._audio.copy_until(stamp / _TICKS)

    def _finish(self) -> None:
        if self._container is None:
            return
        try:
            self._container.mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.copy_rest(self._last / _TICKS, 1 / self.frame_rate)
        finally:
            if self._audio is not None:
                self._audio.close()
            self._container.close()


class _AudioCopy:
    """Copies sound from a file into an open output, packet by packet, as time goes on.

    Args:
        path: of the source.
        output: PyAV's output container; the streams are added to it.
        output_path: for messages.
    """

    def __init__(self, path: str | Path, output, output_path: str) -> None:
        self._path = path
        self._output = output
        self._source = _open_container(path)
        self._start = _start_time(self._source)
        self._video_time = -float('inf')  # the latest of the source's video that was passed by
        self._streams = {}
        for stream in self._source.streams.audio:
            copy = _add_copy_of(stream, output, path)
            if copy is None:
                warnings.warn(
                    f'{output_path}: the sound of {path} ({stream.codec_context.name}) is left '
                    f'out, because {Path(output_path).suffix} can not hold it as it is.',
                    stacklevel=2,
                )
            else:
                self._streams[stream.index] = copy
        self._packets = self._read_packets()
        self._next = next(self._packets, None)

    def copy_until(self, time: float) -> None:
        """Copies what comes up to `time` in seconds."""
        while self._next is not None and self._time(self._next) <= time:
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def copy_rest(self, last_time: float, frame_duration: float) -> None:
        """Copies what belongs to the last frame, and all that follows where no frame follows."""
        self.copy_until(last_time + frame_duration)
        while self._next is not None and self._video_time < last_time + frame_duration / 2:
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._packets.close()
        self._source.close()

    def _time(self, packet) -> float:
        return float(packet.dts * packet.time_base)

    def _read_packets(self) -> Iterator:
        """The sound's packets, with times from the start of the file and their new streams."""
        av = _import_av()
        if not self._streams:
            return
        try:
            for packet in self._source.demux():
                if packet.dts is None or packet.size == 0:
                    continue
                shift = round(self._start / packet.time_base)
                if packet.stream.index in self._streams:
                    packet.dts -= shift
                    packet.pts = None if packet.pts is None else packet.pts - shift
                    packet.stream = self._streams[packet.stream.index]
                    yield packet
                elif packet.stream.type == 'video' and packet.pts is not None:
                    time = float((packet.pts - shift) * packet.time_base)
                    self._video_time = max(self._video_time, time)
        except av.error.FFmpegError as error:
            warnings.warn(f'{self._path}: its sound ends early ({error.strerror}).', stacklevel=2)


def _add_copy_of(stream, output, path: str | Path):
    """A stream of `output` for those of a file's `stream`, or None if it can't hold them."""
    context = stream.codec_context
    if context.name not in output.supported_codecs:
        return None
    if context.name == 'aac' and not context.extradata:  # as broadcasts have it: other packets
        return None
    return _copy_stream(stream, output) if _can_hold(output.format.name, path, stream) else None


def _can_hold(container_format: str, path: str | Path, stream) -> bool:
    """Tries it with the first packet: formats list codecs of which they take some streams only."""
    av = _import_av()
    try:
        trial = av.open(io.BytesIO(), 'w', format=container_format)
        with _open_container(path) as source, trial:
            copy = _copy_stream(stream, trial)
            packets = source.demux(source.streams[stream.index])
            packet = next((p for p in packets if p.size > 0 and p.dts is not None), None)
            if packet is not None:
                packet.stream = copy
                trial.mux(packet)
    except av.error.FFmpegError:
        return False
    return True


def _copy_stream(stream, output):
    if hasattr(output, 'add_stream_from_template'):  # PyAV >= 14
        copy = output.add_stream_from_template(stream)
    else:
        copy = output.add_stream(template=stream)
    # .avi and .mkv may leave open which channels a PCM track has, .mp4 must know
    layout = _LAYOUTS.get(stream.codec_context.layout.name)
    if layout is not None:
        copy.codec_context.layout = layout
    return copy


def _import_av():
    try:
        import av
    except ImportError as error:
        raise ImportError('Reading and writing videos needs PyAV (pip install av).') from error
    return av


# ----------------------------------------------------------------------------------- reading


def _open_container(path: str | Path):
    """Opens a file for reading; ValueError says what is wrong with it."""
    av = _import_av()
    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f'{path}: not found; expected a video.')
    if os.path.getsize(path) == 0:
        raise ValueError(f'{path}: is empty, expected a video.')
    try:
        # FFmpeg would take a text file for ANSI art
        container = av.open(path, metadata_errors='ignore')
    except av.error.FFmpegError as error:
        raise ValueError(
            f'{path}: is no readable video ({error.strerror}); it may be of another kind, or cut '
            'off before its index was written.'
        ) from error
    if container.format.name == 'tty':
        container.close()
        raise ValueError(f'{path}: is a text file, expected a video.')
    return container


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
    with _open_container(path) as container:
        stream = _video_stream(container, path)
        rate = stream.average_rate
        duration = container.duration / _import_av().time_base if container.duration else None
        num_frames = stream.frames or None
        if num_frames is None and rate and duration:
            num_frames = max(round(duration * rate), 1)
    return FrameReader(
        Path(path).stem, lambda: _read_video(path), num_frames, float(rate) if rate else None
    )


@dataclass
class _Tally:
    """What was met while a video was read: counts, and the times in seconds that were reached."""

    num_packets: int = 0
    num_broken: int = 0
    num_frames: int = 0
    video_end: float = 0.0
    end: float = 0.0


def _read_video(path: str) -> Iterator[tuple[np.ndarray, float | None, None]]:
    """Decodes what can be decoded of a video file; warns if that is not all."""
    av = _import_av()
    tally = _Tally()
    with _open_container(path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = 'AUTO'
        start = _start_time(container)
        for packet in _read_packets(container, stream, tally):
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError:
                tally.num_broken += 1
                continue
            for frame in frames:
                tally.num_frames += 1
                time = None if frame.pts is None else float(frame.pts * stream.time_base) - start
                yield _upright(frame), time, None
        problem = _describe_loss(container, stream, tally)
    if tally.num_frames == 0:
        raise ValueError(f'{path}: none of its frames can be decoded, expected at least one.')
    if problem:
        warnings.warn(f'{path}: {problem}', stacklevel=2)


def _read_packets(container, stream, tally: _Tally) -> Iterator:
    """The whole packets of a stream as far as the file can be read, then what flushes it."""
    start = _start_time(container)
    try:
        for packet in container.demux():
            end = 0.0
            if packet.size > 0 and packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start
                tally.end = max(tally.end, end)
            if packet.stream.index != stream.index or packet.size == 0:
                continue
            tally.num_packets += 1
            tally.video_end = max(tally.video_end, end)
            if packet.is_corrupt:  # cut off: would become half an image
                tally.num_broken += 1
            else:
                yield packet
    except _import_av().error.FFmpegError:
        tally.num_broken += 1
    yield None


def _describe_loss(container, stream, tally: _Tally) -> str:
    """How many of how many frames were read, or '' if nothing says that frames are missing."""
    frame_duration = float(1 / stream.average_rate) if stream.average_rate else 0.0
    num_expected, about = tally.num_frames + tally.num_broken, ''
    if stream.frames:
        # avi also counts frames that are not in the file, but time goes on in their place
        is_over = tally.video_end > (stream.frames - 0.5) * frame_duration
        if tally.num_packets < stream.frames and not is_over:
            num_expected = stream.frames
    elif container.duration and frame_duration:
        lost = container.duration / _import_av().time_base - tally.end
        if lost > 1:  # only the length is known, and may be off by a few frames
            num_expected += round(lost / frame_duration)
            about = 'about '
    if num_expected == tally.num_frames:
        return ''
    return (
        f'{tally.num_frames} of {about}{num_expected} frames could be read, the file is cut off '
        'or damaged.'
    )


def _start_time(container) -> float:
    """Of a file, in seconds of its time stamps."""
    return (container.start_time or 0) / _import_av().time_base


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
        content = Path(path).read_bytes()
        if is_truncated(content):
            raise OSError(f'{path}: image is cut off or broken ({len(content)} bytes).')
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise OSError(f'{path}: image can not be decoded.')
        yield image, None, path


def _read_arrays(images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, None, None]]:
    for number, image in enumerate(images):
        yield _as_image(image, f'frame {number}'), None, None


def _as_image(image: np.ndarray, what: str) -> np.ndarray:
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
            yield _as_image(image, 'a frame of the camera'), clock.monotonic() - start, None
    finally:
        camera.release()
