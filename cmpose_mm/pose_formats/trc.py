"""TRC, the marker trajectories that OpenSim reads."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.json_files import utf8
from cmpose_mm.whole_files import remove_old, warn_of_removed, write_whole

from .pose_video import PoseVideo

METER_DECIMALS = 5


def write_trc(
    video: PoseVideo,
    folder: str | Path,
    pixels_per_meter: float,
    frame_rate: float | None = None,
) -> int:
    """Writes ``NAME_person<track id>.trc`` for every track, a marker for each joint that the
    file has.

    TRC holds lengths, so a scale is needed. The image is the plane of movement: X to the right, Y
    up from the image's upper edge (so below 0), Z = 0, in meters. All frames from the track's first
    to its last are there, at their own times (see `PoseVideo.seconds`); cells of absent joints are
    empty. Such files of NAME's other tracks, of an earlier run, are removed with a warning.

    Args:
        video: the poses.
        folder: to write to.
        pixels_per_meter: scale, at the distance of the persons.
        frame_rate: frames a second; given, the times of the file do not count. Times are then
            the frame's number divided by it.

    Returns:
        The number of persons written; those without a track id are not.

    Raises:
        AnnotationError: if the scale or the frame rate is no finite number above 0, the latter is
            neither given nor known, or a track is twice in a frame.
    """
    rate = video.frame_rate() if frame_rate is None else frame_rate
    if not 0 < pixels_per_meter < math.inf or not 0 < rate < math.inf:
        raise AnnotationError(
            f'{video.name}: pixels_per_meter is {pixels_per_meter} and the frame rate {rate}, '
            'expected numbers above 0, not infinity.'
        )
    video.check_tracks()
    there = np.flatnonzero(~np.isnan(video.keypoints).all(axis=(0, 2)))
    markers = [video.joints[joint] for joint in there]
    written, names = 0, set()
    for track in np.unique(video.track_ids[video.track_ids >= 0]).tolist():
        persons = np.flatnonzero(video.track_ids == track)
        written += len(persons)
        frames = video.frame_numbers()[video.frames[persons]]
        first, last = int(frames.min()), int(frames.max())
        points = video.keypoints[persons][:, there] * (1, -1) / pixels_per_meter
        place = {frame: row for row, frame in enumerate(frames.tolist())}
        name = f'{video.name}_person{track}.trc'
        lines = [_header(name, rate, last + 1 - first, first, markers)]
        times = video.seconds(np.arange(first, last + 1), frame_rate)
        for number, (frame, time) in enumerate(zip(range(first, last + 1), times), start=1):
            cells = ['\t\t'] * len(markers)
            if frame in place:
                cells = [
                    '\t\t'
                    if np.isnan(xy).any()
                    else '\t'.join(f'{value:.{METER_DECIMALS}f}' for value in (*xy, 0))
                    for xy in points[place[frame]]
                ]
            lines.append('\t'.join([f'{number}', f'{time:.6f}', *cells]) + '\n')
        write_whole(Path(folder) / name, utf8(''.join(lines)).encode())
        names.add(name)
    old = re.escape(video.name) + r'_person(0|[1-9][0-9]*)\.trc'
    warn_of_removed(folder, remove_old(folder, old, names))
    return written


def _header(name: str, rate: float, count: int, first: int, joints: list[str]) -> str:
    markers = '\t\t\t'.join(joints)
    axes = '\t'.join(f'{axis}{n + 1}' for n in range(len(joints)) for axis in 'XYZ')
    return (
        f'PathFileType\t4\t(X/Y/Z)\t{name}\n'
        'DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t'
        'OrigNumFrames\n'
        f'{rate:g}\t{rate:g}\t{count}\t{len(joints)}\tm\t{rate:g}\t{first + 1}\t{count}\n'
        f'Frame#\tTime\t{markers}\t\t\n\t\t{axes}\n\n'
    )
