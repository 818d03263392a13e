"""Small video files for tests, made with PyAV alone."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def noise_frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A sharp picture that moves by two pixels a frame: no two frames are alike."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (height, width + 2 * count, 3), dtype=np.uint8)
    return [np.ascontiguousarray(scene[:, 2 * i : 2 * i + width]) for i in range(count)]


def flat_frames(levels: list[int], height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Frames of one gray level each, which survives any compression."""
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def make_video(
    path: Path,
    images: list[np.ndarray],
    codec: str = 'libx264',
    pix_fmt: str = 'yuv420p',
    times: list[float] | None = None,
    rate: int = 10,
    container_options: dict | None = None,
    options: dict | None = None,
    audio_codec: str | None = None,
    audio_seconds: float | None = None,
    metadata: dict | None = None,
    pixel_aspect: Fraction | None = None,
    start: float = 0.0,
) -> str:
    """Writes a video, whose picture begins at `start` seconds; returns the path.

    `times` in seconds make its frame rate variable.
    """
    with av.open(str(path), 'w', options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.options = pix_fmt, options or {}
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = None if audio_codec is None else container.add_stream(audio_codec, rate=48000)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format='bgr24').reformat(format=pix_fmt)
            frame.pts, frame.time_base = number + round(start * rate), Fraction(1, rate)
            if times is not None:
                frame.pts, frame.time_base = round(times[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            for frame in tone(audio_seconds or len(images) / rate):
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return str(path)


def tone(seconds: float, rate: int = 48000) -> list[av.AudioFrame]:
    """A sine that rises, in frames of 1024 samples."""
    position = np.arange(round(seconds * rate)) / rate
    samples = (8000 * np.sin(2 * np.pi * (300 + 200 * position) * position)).astype(np.int16)
    frames = []
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + 1024], format='s16', layout='mono'
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        frames.append(frame)
    return frames


def set_display_matrix(path: str, matrix: list[list[int]]) -> None:
    """Turns an mp4: writes [[a, b], [c, d]] into its track header."""
    (a, b), (c, d) = matrix
    content = bytearray(Path(path).read_bytes())
    assert content.count(b'tkhd') == 1
    start = content.index(b'tkhd') + 4 + 40  # of the matrix, in a header of version 0
    one = 1 << 16
    content[start : start + 36] = struct.pack(
        '>9i', a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30
    )
    Path(path).write_bytes(content)


def cut(path: str, share: float) -> str:
    """Cuts a file off; returns the path."""
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(share * len(content))])
    return path


def set_edit_list(path: str, start: float, duration: float) -> None:
    """Makes an mp4 without B-frames show a part of itself, given in seconds."""
    content = bytearray(Path(path).read_bytes())

    def number(box: bytes, offset: int) -> int:
        assert content.count(box) == 1
        return struct.unpack_from('>I', content, content.index(box) + 4 + offset)[0]

    file_scale, stream_scale = number(b'mvhd', 12), number(b'mdhd', 12)
    first = number(b'elst', 12) + round(start * stream_scale)
    entry = content.index(b'elst') + 12
    struct.pack_into('>2I', content, entry, round(duration * file_scale), first)
    Path(path).write_bytes(content)


def join(path: Path, *parts: str) -> str:
    """Appends files to each other, as transport streams are joined; returns the path."""
    path.write_bytes(b''.join(Path(part).read_bytes() for part in parts))
    return str(path)


def decode(path: str) -> tuple[list[np.ndarray], list[float]]:
    """Frames and times of a video, by PyAV alone."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
        return [f.to_ndarray(format='bgr24') for f in frames], [f.time for f in frames]


def audio_packets(path: str) -> list[tuple[bytes, float]]:
    """Content and time of each packet of sound."""
    with av.open(path) as container:
        return [
            (bytes(packet), float(packet.pts * packet.time_base))
            for packet in container.demux(container.streams.audio[0])
            if packet.size
        ]
