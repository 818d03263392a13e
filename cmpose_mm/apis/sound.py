"""The sound of one file copied into another, without being decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

from .av_files import Packets, import_av, open_container, start_time

_LAYOUTS = {'1 channels': 'mono', '2 channels': 'stereo'}  # where a file gives the number only


class SoundCopy:
    """Copies sound from a file into an open output, packet by packet, as time goes on.

    Where recordings were joined and the sound of one is longer than its picture, the beginning of
    the next one's is left out.

    Args:
        path: of the source.
        output: PyAV's output container; the streams are added to it.
        output_path: for messages.
        start: seconds of the source at which the output starts, if it shows a part of it: the
            sound before and after the part is left out. None is the whole source.
    """

    def __init__(
        self, path: str | Path, output, output_path: str, start: float | None = None
    ) -> None:
        self._path = path
        self._output = output
        self._source = open_container(path)
        self._start = start_time(self._source) + (start or 0.0)
        self._is_part = start is not None
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
        if self._is_part:
            return
        while self._next is not None and self._video_time < last_time + frame_duration / 2:
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._packets.close()
        self._source.close()

    def _time(self, packet) -> float:
        return float(packet.dts * packet.time_base)

    def _read_packets(self) -> Iterator:
        """The sound's packets, with times from the start of the output and their new streams."""
        av = import_av()
        if not self._streams:
            return
        last: dict[int, int] = {}  # time stamp of each stream's last packet
        try:
            for packet in Packets(self._source):
                if packet.dts is None or packet.size == 0:
                    continue
                shift, index = round(self._start / packet.time_base), packet.stream.index
                if index in self._streams:
                    if packet.dts <= last.get(index, packet.dts - 1):
                        continue  # no file holds two at a time
                    last[index] = packet.dts
                    packet.dts -= shift
                    packet.pts = None if packet.pts is None else packet.pts - shift
                    if self._is_part and packet.dts < 0:
                        continue
                    packet.stream = self._streams[index]
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
    av = import_av()
    try:
        trial = av.open(io.BytesIO(), 'w', format=container_format)
        with open_container(path) as source, trial:
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
