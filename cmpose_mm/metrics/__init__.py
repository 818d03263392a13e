"""The PoseTrack metric for MMPose's runner; `cmpose_mm.evaluation` has the measures themselves."""

from .posetrack_metric import PoseTrackMetric

__all__ = ['PoseTrackMetric']
