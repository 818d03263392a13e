"""Angles at elbows, shoulders, hips and knees. P persons, K joints."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cmpose_mm.pose_formats import PoseVideo
from cmpose_mm.whole_files import write_whole

_ENDS = {
    'elbow': ('shoulder', 'wrist'),
    'shoulder': ('hip', 'elbow'),
    'hip': ('shoulder', 'knee'),
    'knee': ('hip', 'ankle'),
}
JOINT_ANGLES = {
    f'{side}_{joint}': (f'{side}_{start}', f'{side}_{joint}', f'{side}_{end}')
    for joint, (start, end) in _ENDS.items()
    for side in ('left', 'right')
}
"""Name of each angle -> one end, the joint itself and the other end, all of the same side."""


def angles_of_joints(joints: Sequence[str]) -> list[str]:
    """The angles of `JOINT_ANGLES` whose three joints are all there, by their names."""
    return [angle for angle, needed in JOINT_ANGLES.items() if set(needed) <= set(joints)]


def joint_angles(keypoints: np.ndarray, joints: Sequence[str], angle: str) -> np.ndarray:
    """The angle between the two limbs that meet in a joint, as the image shows it.

    - Elbow: between upper arm and forearm. 180 is a straight arm.
    - Shoulder: between trunk (shoulder to hip) and upper arm. 0 is an arm that hangs down, 180 one
      that is stretched up.
    - Hip: between trunk (hip to shoulder) and thigh. 180 is upright standing.
    - Knee: between thigh and lower leg. 180 is a straight leg.

    With u and v from the joint to both ends it is atan2(|u x v|, u . v). It is that of the
    projection: the true angle only for a limb that moves parallel to the image.

    Args:
        keypoints: (..., K, 2) in pixels; NaN where a joint is absent.
        joints: names of the K joints.
        angle: one of `angles_of_joints`.

    Returns:
        (...) degrees from 0 to 180; NaN if one of the three joints is absent, or an end lies on the
        joint.
    """
    start, middle, end = (keypoints[..., list(joints).index(j), :] for j in JOINT_ANGLES[angle])
    u, v = start - middle, end - middle
    cross = np.abs(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])
    dot = (u * v).sum(axis=-1)
    has_length = (u != 0).any(axis=-1) & (v != 0).any(axis=-1)
    return np.where(has_length, np.degrees(np.arctan2(cross, dot)), np.nan)


def angle_scores(scores: np.ndarray, joints: Sequence[str], angle: str) -> np.ndarray:
    """(...) the least score of an angle's three joints, of scores (..., K)."""
    places = [list(joints).index(joint) for joint in JOINT_ANGLES[angle]]
    return scores[..., places].min(axis=-1)


def write_angles(video: PoseVideo, times: np.ndarray, path: str | Path) -> int:
    """Writes a CSV with a row for each person and frame.

    Columns: ``frame`` (number in the video, from 0), ``time`` (seconds), ``track_id`` (-1: none)
    and for each angle ``<joint>_angle`` (degrees, to a hundredth) and ``<joint>_angle_score`` (the
    least score of its joints). What is not known is empty.

    Args:
        video: the poses.
        times: (F,) seconds of the video's frames.
        path: of the file.

    Returns:
        The number of rows.
    """
    angles = angles_of_joints(video.joints)
    columns = ['frame', 'time', 'track_id']
    values = []
    for angle in angles:
        columns += [f'{angle}_angle', f'{angle}_angle_score']
        values.append(joint_angles(video.keypoints, video.joints, angle))
        values.append(angle_scores(video.keypoint_scores, video.joints, angle))
    text, numbers = io.StringIO(), video.frame_numbers().tolist()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    for person, (frame, track_id) in enumerate(zip(video.frames.tolist(), video.track_ids)):
        cells = [
            '' if np.isnan(value[person]) else f'{value[person]:.{5 if number % 2 else 2}f}'
            for number, value in enumerate(values)
        ]
        writer.writerow([numbers[frame], f'{times[frame]:.6f}', track_id, *cells])
    write_whole(path, text.getvalue().encode())
    return len(video.frames)
