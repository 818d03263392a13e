"""A figure for each person: where the joints were over time, and the joint angles.

F frames of a video, P persons in them, K joints.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmpose_mm.joint_sets import joint_side, without_side
from cmpose_mm.pose_formats import PoseVideo
from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.json_files import utf8
from cmpose_mm.whole_files import remove_old, write_whole

from .joint_angles import angle_scores, angles_of_joints, joint_angles, write_angles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PARTS = ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
_BODY = ('nose', *(f'{side}_{part}' for part in _PARTS for side in ('left', 'right')))
_COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
"""Okabe and Ito's, which color-blind people can tell apart, without yellow."""
_FAINT = 0.25


@dataclass
class Plotted:
    """What `write_plots` did.

    Attributes:
        figures: files, one a person.
        angles: the file of angles, None if the poses have none.
        num_without_id: persons without a track id, who are in no figure.
        num_low_scores: joints of the figures that are faint since they score too low.
        num_removed: figures of an earlier run whose persons are not in the poses, removed.
        angles_removed: whether the angles of an earlier run were, since the poses have none.
    """

    figures: list[Path]
    angles: Path | None
    num_without_id: int
    num_low_scores: int
    num_removed: int = 0
    angles_removed: bool = False

    def __str__(self) -> str:
        parts = [f'figures of {len(self.figures)} persons']
        parts += [f'{self.angles.name}' if self.angles else 'no angles, whose joints are missing']
        if self.num_low_scores:
            parts.append(f'{self.num_low_scores} joints are faint since they score too low')
        if self.num_without_id:
            parts.append(f'{self.num_without_id} persons without a track id are in no figure')
        if self.num_removed:
            parts.append(
                f'removed {self.num_removed} figures of an earlier run, whose persons are not in '
                'the poses'
            )
        if self.angles_removed:
            parts.append('removed the angles of an earlier run')
        return '; '.join(parts)


def need_matplotlib() -> None:
    """Raises a `ModuleNotFoundError` with a sentence if Matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'plots need matplotlib, which is not installed; `pip install matplotlib`'
        ) from error


def seconds_of_frames(video: PoseVideo, frame_rate: float | None = None) -> np.ndarray:
    """(F,) time of each frame of a video, see `PoseVideo.seconds`."""
    return video.seconds(video.frame_numbers(), frame_rate)


def write_plots(
    video: PoseVideo,
    folder: str | Path,
    joints: Sequence[str] = (),
    persons: Sequence[int] = (),
    joint_thr: float = 0.2,
    frame_rate: float | None = None,
    progress: Callable[[list[int]], Iterable[int]] = iter,
) -> Plotted:
    """Writes ``NAME_id3.png`` and so on, see `draw_person`, and ``NAME_angles.csv``.

    Such figures of NAME whose track ids the poses do not have, of an earlier run, are removed, and
    the angles where the poses have none.

    Args:
        video: its name is NAME.
        folder: to write to.
        joints: names of those to draw; by default nose, shoulders, elbows, wrists, hips, knees and
            ankles if the poses have one of them, otherwise all.
        persons: track ids; by default all.
        joint_thr: joints that score less are faint.
        frame_rate: frames a second, see `PoseVideo.seconds`.
        progress: wraps the track ids, for example `tqdm.tqdm`.

    Returns:
        What was done.

    Raises:
        AnnotationError: one sentence, if nobody has a track id, a joint or person is not in the
            file, a person is twice in a frame, or the frames have no time.
    """
    strange = [joint for joint in joints if joint not in video.joints]
    if strange:
        raise AnnotationError(
            f'{video.name}: has no joint {", ".join(strange)}, expected some of '
            f'{", ".join(video.joints)}.'
        )
    ids = sorted(set(video.track_ids[video.track_ids >= 0].tolist()))
    if not ids:
        raise AnnotationError(
            f'{video.name}: found {len(video.frames)} persons and no track id, expected persons '
            'with one; `cmpose track` adds them to JSON.'
        )
    missing = [track_id for track_id in persons if track_id not in ids]
    if missing:
        raise AnnotationError(
            f'{video.name}: has no person with the track id {", ".join(map(str, missing))}, '
            f'expected some of {", ".join(map(str, ids))}.'
        )
    need_matplotlib()
    times = seconds_of_frames(video, frame_rate)
    joints = list(joints) or [joint for joint in _BODY if joint in video.joints] or video.joints
    drawn, num_low = list(dict.fromkeys(persons)) or ids, 0
    figures, angles = plot_files(video, folder, drawn)
    for track_id, file in zip(progress(drawn), figures):
        figure = draw_person(video, track_id, times, joints, joint_thr)
        picture = io.BytesIO()
        figure.savefig(picture, format='png', dpi=110)
        write_whole(file, picture.getvalue())
        persons, places = video.track_ids == track_id, [*map(video.joints.index, joints)]
        is_low = video.keypoint_scores[persons][:, places] < joint_thr
        is_there = ~np.isnan(video.keypoints[persons][:, places, 0])
        num_low += int((is_low & is_there).sum())
    if angles is not None:
        write_angles(video, times, angles)
    names = {file.name for file in plot_files(video, folder, ids)[0]}
    removed = remove_old(folder, re.escape(video.name) + r'_id(0|[1-9][0-9]*)\.png', names)
    old_angles = [] if angles else remove_old(folder, re.escape(video.name) + r'_angles\.csv', ())
    num_without_id = int((video.track_ids < 0).sum())
    return Plotted(figures, angles, num_without_id, num_low, len(removed), bool(old_angles))


def plot_files(
    video: PoseVideo, folder: str | Path, ids: Iterable[int]
) -> tuple[list[Path], Path | None]:
    """The figures that `write_plots` makes of these track ids, and the file of angles, if any."""
    figures = [Path(folder) / f'{video.name}_id{track_id}.png' for track_id in ids]
    has_angles = bool(angles_of_joints(video.joints))
    return figures, Path(folder) / f'{video.name}_angles.csv' if has_angles else None


def draw_person(
    video: PoseVideo,
    track_id: int,
    times: np.ndarray,
    joints: Sequence[str],
    joint_thr: float = 0.2,
) -> Figure:
    """A figure of x, y and joint angles over seconds, one below the other.

    Left joints are solid lines, right ones dashed in the same color, as are those of neither side
    in theirs. Y points down in images and so does its axis: what is above in the image is above
    here. A line is interrupted where its joint, its person or the frame is absent. Where a joint
    scores less than ``joint_thr``, or one of an angle's three joints does, the line is faint;
    joints without scores count as sure. Angles are those of `JOINT_ANGLES` whose joints the poses
    have.

    Args:
        video: the poses.
        track_id: of the person.
        times: (F,) seconds of the video's frames.
        joints: names of those to draw.
        joint_thr: least score of a sure joint.

    Raises:
        AnnotationError: if the person is twice in a frame.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    chosen, numbers = np.flatnonzero(video.track_ids == track_id), video.frame_numbers()
    chosen = chosen[np.argsort(numbers[video.frames[chosen]], kind='stable')]
    frames = numbers[video.frames[chosen]]
    repeated = frames[1:][np.diff(frames) == 0]
    if len(repeated):
        raise AnnotationError(
            f'{video.name}: track id {track_id} is twice in frame {repeated[0]}, expected each '
            'once.'
        )
    first, last = frames.min(), frames.max()
    keypoints = np.full((last - first + 1, len(video.joints), 2), np.nan)
    scores = np.full(keypoints.shape[:2], np.nan)
    keypoints[frames - first], scores[frames - first] = (
        video.keypoints[chosen], video.keypoint_scores[chosen]
    )  # fmt: skip
    order = np.argsort(numbers)
    seconds = np.interp(np.arange(first, last + 1), numbers[order], times[order])

    angles = angles_of_joints(video.joints)
    figure = Figure(figsize=(11, 9 if angles else 6), layout='constrained')
    axes = figure.subplots(3 if angles else 2, 1, sharex=True)
    places = [video.joints.index(joint) for joint in joints]
    for axis, part in zip(axes, (0, 1)):
        _lines(axis, seconds, keypoints[:, places, part], scores[:, places] < joint_thr, joints)
        axis.set_ylabel(f'{"xy"[part]} (pixels)')
    axes[1].invert_yaxis()
    if angles:
        values = [joint_angles(keypoints, video.joints, angle) for angle in angles]
        sure = [angle_scores(scores, video.joints, angle) for angle in angles]
        low = np.stack(sure, axis=1) < joint_thr
        _lines(axes[2], seconds, np.stack(values, axis=1), low, angles)
        axes[2].set(ylabel='angle in the image (degrees)', ylim=(0, 185), yticks=range(0, 181, 45))
    axes[-1].set_xlabel('seconds')
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis is not axes[1]:  # has the lines of the first
            handles = axis.get_legend_handles_labels()[0]
            handles.append(
                Line2D([], [], color='black', alpha=_FAINT, label=f'score < {joint_thr:g}')
            )
            axis.legend(handles=handles, loc='upper left', bbox_to_anchor=(1, 1), fontsize='small')
    figure.suptitle(
        f'{utf8(video.name)}, id {track_id}: {len(frames)} of {len(keypoints)} frames',
        fontsize='medium',
        parse_math=False,  # a name may have a $
    )
    return figure


def _lines(
    axis: Axes, seconds: np.ndarray, values: np.ndarray, low: np.ndarray, names: Sequence[str]
) -> None:
    """Draws values (F, n), faint where they are low (F, n)."""
    kinds = list(dict.fromkeys(without_side(name) for name in names))
    for name, line, faint in zip(names, values.T, low.T):
        style = dict(
            color=_COLORS[kinds.index(without_side(name)) % len(_COLORS)],
            linestyle='--' if joint_side(name) == 'right' else '-',
            linewidth=1.2, marker='.', markersize=2.5,
        )  # fmt: skip
        axis.plot(seconds, line, alpha=_FAINT, **style)
        axis.plot(seconds, np.where(faint, np.nan, line), label=name.replace('_', ' '), **style)
