"""Poses of a video in the formats of other tools. Needs NumPy, and pyarrow for Parquet alone."""

from .coco_results import write_coco_results
from .long_table import LONG_COLUMNS, long_table, write_parquet
from .mot_text import write_mot
from .openpose_json import BODY_25, write_openpose
from .pose_csv import read_pose_csv, read_poses
from .pose_video import PoseVideo, read_pose_video
from .trc import write_trc

__all__ = [
    'BODY_25',
    'LONG_COLUMNS',
    'PoseVideo',
    'long_table',
    'read_pose_csv',
    'read_pose_video',
    'read_poses',
    'write_coco_results',
    'write_mot',
    'write_openpose',
    'write_parquet',
    'write_trc',
]
