"""TRC, the marker trajectories that OpenSim reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.whole_files import write_whole

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
    to its last are there; cells of absent joints are empty.

    Args:
        video: the poses.
        folder: to write to.
        pixels_per_meter: scale, at the distance of the persons.
        frame_rate: frames a second, by default from the times in the file.

    Returns:
        The number of persons written; those without a track id are not.

    Raises:
        AnnotationError: if the scale or the frame rate is not above 0, or the latter neither given
            nor known.
    """
    rate = video.frame_rate() if frame_rate is None else frame_rate
    if not pixels_per_meter > 0 or not rate > 0:
        raise AnnotationError(
            f'{video.name}: pixels_per_meter is {pixels_per_meter} and the frame rate {rate}, '
            'expected numbers above 0.'
        )
    there = np.flatnonzero(~np.isnan(video.keypoints).all(axis=(0, 2)))
    markers = [video.joints[joint] for joint in there]
    written = 0
    for track in np.unique(video.track_ids[video.track_ids >= 0]).tolist():
        persons = np.flatnonzero(video.track_ids == track)
        written += len(persons)
        frames = video.frame_numbers()[video.frames[persons]]
        if len(np.unique(frames)) < len(frames):
            raise AnnotationError(
                f'{video.name}: track {track} is there twice in a frame, expected once.'
            )
        first, last = int(frames.min()), int(frames.max())
        points = np.full((last - first + 1, len(markers), 3), np.nan)
        points[frames - first, :, :2] = (
            video.keypoints[persons][:, there] * (1, -1) / pixels_per_meter
        )
        points[..., 2] = 0
        name = f'{video.name}_person{track}.trc'
        lines = [_header(name, rate, len(points), first, markers)]
        for place, frame_points in enumerate(points):
            empty = np.isnan(frame_points).any(axis=1)
            cells = [
                '\t\t' if gone else '\t'.join(f'{value:.{METER_DECIMALS}f}' for value in marker)
                for marker, gone in zip(frame_points, empty)
            ]
            lines.append(
                '\t'.join([f'{place + 1}', f'{(first + place) / rate:.6f}', *cells]) + '\n'
            )
        write_whole(Path(folder) / name, ''.join(lines).encode())
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
