"""OpenPose's JSON: a folder with a file for each frame, which Pose2Sim and others read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import orjson

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.whole_files import remove_old, warn_of_removed, write_whole

from .pose_video import DECIMALS, PoseVideo

BODY_25 = {
    'Nose': 'nose',
    'Neck': ('left_shoulder', 'right_shoulder'),
    'RShoulder': 'right_shoulder',
    'RElbow': 'right_elbow',
    'RWrist': 'right_wrist',
    'LShoulder': 'left_shoulder',
    'LElbow': 'left_elbow',
    'LWrist': 'left_wrist',
    'MidHip': ('left_hip', 'right_hip'),
    'RHip': 'right_hip',
    'RKnee': 'right_knee',
    'RAnkle': 'right_ankle',
    'LHip': 'left_hip',
    'LKnee': 'left_knee',
    'LAnkle': 'left_ankle',
    'REye': 'right_eye',
    'LEye': 'left_eye',
    'REar': 'right_ear',
    'LEar': 'left_ear',
    'LBigToe': 'left_big_toe',
    'LSmallToe': 'left_small_toe',
    'LHeel': 'left_heel',
    'RBigToe': 'right_big_toe',
    'RSmallToe': 'right_small_toe',
    'RHeel': 'right_heel',
}
"""OpenPose's BODY_25 in its order, and the joint that it is, or the two that it lies between: its
neck is the middle of the shoulders, not PoseTrack's ``head_bottom``."""


def write_openpose(video: PoseVideo, folder: str | Path) -> int:
    """Writes ``NAME_000000000000_keypoints.json`` and so on, one for every frame.

    ``pose_keypoints_2d`` has x, y and score of the joints of `BODY_25`, by name; zeros where the
    poses do not have one. The score of a middle is the lower of both, and 1 where there is none.
    ``person_id`` is the track id, -1 without one. Such files of NAME's other frames, of an earlier
    run, are removed with a warning: readers take all of NAME's files for one video.

    Args:
        video: the poses.
        folder: to write to.

    Returns:
        The number of persons written.

    Raises:
        AnnotationError: if the poses have no joint of `BODY_25`.
    """
    sources = [[video.place(joint) for joint in np.atleast_1d(source)]
               for source in BODY_25.values()]  # fmt: skip
    if all(None in places for places in sources):
        raise AnnotationError(
            f'{video.name}: found the joints {", ".join(video.joints)}, expected some of '
            'BODY_25, such as nose or left_wrist.'
        )
    points = np.zeros((len(video.frames), len(BODY_25), 3))
    scores = np.nan_to_num(video.keypoint_scores, nan=1.0)
    for column, places in enumerate(sources):
        if None in places:
            continue
        points[:, column, :2] = video.keypoints[:, places].mean(axis=1).round(DECIMALS)
        points[:, column, 2] = scores[:, places].min(axis=1)
    points[np.isnan(points).any(axis=2)] = 0
    empty = dict.fromkeys(
        ('face_keypoints_2d', 'hand_left_keypoints_2d', 'hand_right_keypoints_2d',
         'pose_keypoints_3d', 'face_keypoints_3d', 'hand_left_keypoints_3d',
         'hand_right_keypoints_3d'), [],
    )  # fmt: skip
    written = set()
    for frame, number in enumerate(video.frame_numbers().tolist()):
        people = [
            dict(
                person_id=[int(video.track_ids[person])],
                pose_keypoints_2d=points[person].ravel().tolist(),
                **empty,
            )
            for person in np.flatnonzero(video.frames == frame)
        ]
        content = orjson.dumps(dict(version=1.3, people=people))
        file = f'{video.name}_{number:012d}_keypoints.json'
        write_whole(Path(folder) / file, content)
        written.add(file)
    old = re.escape(video.name) + r'_[0-9]{12}_keypoints\.json'
    warn_of_removed(folder, remove_old(folder, old, written))
    return len(video.frames)
