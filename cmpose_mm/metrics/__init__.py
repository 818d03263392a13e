"""Metrics for MMPose's runner; `cmpose_mm.evaluation` has the measures themselves."""

from .pck_metric import PoseTrackPCK
from .posetrack_metric import PoseTrackMetric

__all__ = ['PoseTrackMetric', 'PoseTrackPCK']
