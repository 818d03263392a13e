"""Video and sound files opened with PyAV: what their readers and writers share.

PyAV (`pip install 'av<19'`) is imported where a file is opened: all else works without it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_TS_DISCONT = 0x0200  # FFmpeg's flag of formats whose time stamps may start anew within a file
_JUMP_BACK, _JUMP_AHEAD = 0.1, 10.0  # seconds; FFmpeg's own limits for a new start
TIMEOUT = 10
"""Seconds that an address may take to open, and to send the next data."""
STAMPED_BY_PLACE = ('avi', 'asf')
"""Formats whose packets have a time stamp for their place in the file alone, and pictures none."""
_OVERLAP = 1.0  # seconds by which one stream of a joined part may end after another


def import_av():
    """PyAV; ImportError says how to get it."""
    try:
        import av
    except ImportError as error:
        raise ImportError('Reading and writing videos needs PyAV (pip install "av<19").') from error
    return av


def file_url(path: str | Path) -> str:
    """What FFmpeg takes for this file whatever its name: `12:30.mp4` would be a protocol `12`."""
    return f'file:{os.fspath(path)}'


def is_url(path: str | Path) -> bool:
    """Whether this is an address, such as `rtsp://camera/1`, and not the name of a file."""
    path = os.fspath(path)
    return bool(re.match(r'[a-z][a-z0-9+.-]*://', path, re.IGNORECASE)) and not os.path.exists(path)


def shown_path(path: str | Path) -> str:
    """A path or address as it may be shown: without user and password."""
    path = os.fspath(path)
    return re.sub(r'(?<=://)[^/@]*@', '', path) if is_url(path) else path


def reason(error: Exception) -> str:
    """What FFmpeg's error says."""
    if isinstance(error, import_av().error.ExitError):
        return f'no answer within {TIMEOUT} seconds'
    return error.strerror


def open_container(path: str | Path):
    """Opens a file or an address for reading.

    FFmpeg knows the protocols: HTTP(S), RTSP, RTMP, UDP, ... After `TIMEOUT` seconds without data
    an address counts as broken off.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no readable video.
        OSError: if the address can't be opened.
    """
    av = import_av()
    path = os.fspath(path)
    if is_url(path):
        options = {'rtsp_flags': 'prefer_tcp'} if path.lower().startswith('rtsp') else {}
        try:
            return av.open(path, options=options, timeout=TIMEOUT, **_ignored_metadata())
        except av.error.FFmpegError as error:
            raise OSError(f'{shown_path(path)}: can not be opened ({reason(error)}).') from error
    if not os.path.exists(path):
        raise FileNotFoundError(f'{path}: not found; expected a video.')
    if os.path.getsize(path) == 0:
        raise ValueError(f'{path}: is empty, expected a video.')
    try:
        container = av.open(file_url(path), **_ignored_metadata())
    except av.error.FFmpegError as error:
        raise ValueError(
            f'{path}: is no readable video ({error.strerror}); it may be of another kind, or cut '
            'off before its index was written.'
        ) from error
    if container.format.name == 'tty':  # FFmpeg takes a text file for ANSI art
        container.close()
        raise ValueError(f'{path}: is a text file, expected a video.')
    return container


def _ignored_metadata() -> dict[str, str]:
    """What keeps PyAV before 19 from failing at metadata that is no UTF-8; later ones never do."""
    return {'metadata_errors': 'ignore'} if int(import_av().__version__.split('.')[0]) < 19 else {}


def start_time(container) -> float:
    """Of a file, in seconds of its time stamps."""
    return (container.start_time or 0) / import_av().time_base


def may_be_joined(container) -> bool:
    """Whether files of this format still play when they are simply appended to each other.

    Such are MPEG transport and program streams, and Ogg. Their time stamps start anew within the
    file, their length is a guess, and a gap in the transport marks packets that are whole.
    """
    flags = container.format.flags  # an enum, or a number, as PyAV's version has it
    return bool(getattr(flags, 'value', flags) & _TS_DISCONT)


class Packets:
    """The packets of all streams, in the order of the file, with times that go on.

    Where recordings were joined the time stamps start anew. From there on they are shifted, by the
    same for all streams, so that a part begins where the part before has ended. Iterating raises
    FFmpegError where the file can't be read any further.

    Args:
        container: PyAV's, open for reading; it can be iterated over once.

    Attributes:
        num_joins: how many new starts were met so far.
    """

    def __init__(self, container) -> None:
        self._container = container
        self._is_joined = may_be_joined(container)
        self._is_by_place = container.format.name in STAMPED_BY_PLACE
        self._shifts = [0.0]  # in seconds, of each part of the file
        self._part: dict[int, int] = defaultdict(int)  # where a stream is: not all enter at once
        self._last: dict[int, float] = {}  # time of a stream's last packet
        self._end: float | None = None  # of all that was read

    @property
    def num_joins(self) -> int:
        return len(self._shifts) - 1

    def __iter__(self) -> Iterator:
        for packet in self._container.demux():
            if self._is_by_place and packet.size > 0 and packet.stream.type == 'video':
                packet.pts = packet.dts  # FFmpeg's guess is late by a picture where it has B-frames
            pts, dts = packet.pts, packet.dts
            is_timed = packet.size > 0 and (pts, dts) != (None, None)
            if self._is_joined and is_timed and packet.stream.type in ('audio', 'video'):
                if None not in (pts, dts) and abs(pts - dts) * packet.time_base > _JUMP_AHEAD:
                    # FFmpeg had it from the next packet, which is of another part
                    pts = dts + (packet.duration or 0)
                shift = round(self._shift(packet) / packet.time_base)
                packet.pts = None if pts is None else pts + shift
                packet.dts = None if dts is None else dts + shift
            yield packet

    def _shift(self, packet) -> float:
        """Seconds by which a packet's time stamps are moved."""
        index = packet.stream.index
        stamp = float((packet.pts if packet.dts is None else packet.dts) * packet.time_base)
        if self._end is None:
            self._end = stamp
        jump_back = _JUMP_BACK
        while True:
            shift = self._shifts[self._part[index]]
            time = stamp + shift
            if self._last.get(index, time) - jump_back <= time <= self._end + _JUMP_AHEAD:
                break
            self._part[index] += 1
            if self._part[index] == len(self._shifts):
                self._shifts.append(self._end - stamp)
            jump_back = _OVERLAP
        self._last[index] = time
        self._end = max(self._end, time + float((packet.duration or 0) * packet.time_base))
        return shift
