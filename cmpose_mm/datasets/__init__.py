"""PoseTrack as video clips for MMPose."""

from .body import PoseTrackVideoDataset, posetrack_metainfo
from .transforms import ClipColorTransform, LoadClip, PackClipInputs

__all__ = [
    'ClipColorTransform',
    'LoadClip',
    'PackClipInputs',
    'PoseTrackVideoDataset',
    'posetrack_metainfo',
]
