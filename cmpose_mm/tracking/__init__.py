"""Track ids for persons in video: an online tracker, and a function for whole videos.

Needs only NumPy and SciPy.
"""

from .box_smoother import BoxSmoother
from .pose_tracker import PoseTracker, TrackBoxes
from .similarity import box_area, box_iou, object_keypoint_similarity
from .videos import assign_track_ids, write_tracked

__all__ = [
    'BoxSmoother',
    'PoseTracker',
    'TrackBoxes',
    'assign_track_ids',
    'box_area',
    'box_iou',
    'object_keypoint_similarity',
    'write_tracked',
]
