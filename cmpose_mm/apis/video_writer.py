"""Frames to a video file as they come, in memory that does not grow with the video."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from .av_files import file_url, import_av, open_container
from .frame_reader import as_image
from .sound import SoundCopy

_ENCODERS = ('libx264', 'mpeg4')  # the first that PyAV's FFmpeg has; every FFmpeg has mpeg4
_OPTIONS = {
    'libx264': {'preset': 'veryfast', 'crf': '20'},
    'mpeg4': {'flags': '+qscale', 'global_quality': str(3 * 118)},
}
_HYBRID = (62, 12)  # libavformat of FFmpeg 8.1; those of 7.1 to 8.0 lose the first bytes
_TICKS = 60_000  # of the written time stamps in a second; MPEG-4 part 2 takes up to 65535
_WRITTEN_SUFFIXES = ('.mp4', '.mov', '.mkv')


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
    seconds before that, and so do .mp4 and .mov with FFmpeg >= 8.1 (PyAV >= 17.1): they are written
    in fragments of two seconds, which `close` turns into a plain file. Plain files are what
    players, editors and web pages accept best; fragments left as such lack a length and a table to
    seek by. Older versions write plain files from the start and lose one that is killed.

    Args:
        path: of the file, .mp4, .mov or .mkv; missing folders are made. Nothing is written before
            the first frame.
        frame_rate: frames a second, for frames without a time, the last frame, and the encoder.
        audio_from: video or sound file; its start is time 0. None for no sound.
        is_part: the frames are a part of a longer video: the time of the first is where the file,
            and the sound, start.
        pixel_aspect: width of a pixel by its height, `FrameReader.pixel_aspect`; None for squares.

    Raises:
        ValueError: if `path` has another ending, or is `audio_from`; if `frame_rate` is not above
            0; if `audio_from` is no video or sound.
        FileNotFoundError: if `audio_from` does not exist.
        ImportError: if PyAV is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        frame_rate: float,
        audio_from: str | Path | None = None,
        is_part: bool = False,
        pixel_aspect: Fraction | None = None,
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
            open_container(audio_from).close()  # says now what is wrong with it
            if os.path.exists(self.path) and os.path.samefile(self.path, audio_from):
                raise ValueError(f'{self.path}: is the source of the sound, expected another file.')
        import_av()
        os.makedirs(os.path.dirname(self.path) or '.', exist_ok=True)
        self.frame_rate = float(frame_rate)
        self.audio_from = audio_from
        self._size: tuple[int, int] | None = None  # (H, W) of the images
        self.is_part, self.pixel_aspect = is_part, pixel_aspect
        self._start: float | None = None  # of a part, the first frame's time in seconds
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
        image = as_image(image, f'{self.path}: a frame')
        if self._size is None:
            self._size = image.shape[:2]
        if image.shape[:2] != self._size:
            raise ValueError(
                f'{self.path}: a frame is {image.shape[1]} x {image.shape[0]} pixels, expected '
                f'{self._size[1]} x {self._size[0]} like the first.'
            )
        if self._thread is None:
            raise ValueError(f'{self.path}: is closed, no frame can be added.')
        if self.is_part:
            self._start = (time or 0.0) if self._start is None else self._start
            time = None if time is None else time - self._start
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
        av = import_av()
        codec = next(name for name in _ENCODERS if name in av.codecs_available)
        if codec != _ENCODERS[0]:
            warnings.warn(
                f'{self.path}: PyAV has no {_ENCODERS[0]} here, writing {codec} instead, which '
                'browsers do not play (pip install "av<19" brings x264).',
                stacklevel=2,
            )
        options = {}
        is_mkv = self.path.lower().endswith('.mkv')
        if not is_mkv and av.library_versions['libavformat'] >= _HYBRID:
            # delay_moov: without it fragments have no edit list, and B-frames delay the picture
            options['movflags'] = 'hybrid_fragmented+delay_moov'
        self._container = av.open(file_url(self.path), 'w', options=options)
        rate = Fraction(self.frame_rate).limit_denominator(1001)
        stream = self._stream = self._container.add_stream(codec, rate=rate or 1)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.options = _OPTIONS[codec]
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        if self.pixel_aspect:
            context.sample_aspect_ratio = self.pixel_aspect
        context.gop_size = max(round(2 * self.frame_rate), 1)
        # BT.709, and the file says so
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1  # 16 to 235
        if self.audio_from is not None:
            self._audio = SoundCopy(self.audio_from, self._container, self.path, self._start)

    def _encode(self, image: np.ndarray, stamp: int) -> None:
        av = import_av()
        with self._named_errors():
            if self._container is None:
                self._open(*image.shape[:2])
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            frame = frame.reformat(
                format='yuv420p', dst_colorspace='ITU709', dst_color_range='MPEG'
            )
            frame.pts, frame.time_base = stamp, Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))
            if self._audio is not None:
                self._audio.copy_until(stamp / _TICKS)

    def _finish(self) -> None:
        if self._container is None:
            return
        with self._named_errors():
            try:
                self._container.mux(self._stream.encode(None))
                if self._audio is not None:
                    self._audio.copy_rest(self._last / _TICKS, 1 / self.frame_rate)
            finally:
                if self._audio is not None:
                    self._audio.close()
                self._container.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Makes an OSError with the file's name of whatever FFmpeg says."""
        try:
            yield
        except import_av().error.FFmpegError as error:
            raise OSError(f'{self.path}: can not be written ({error.strerror}).') from error
