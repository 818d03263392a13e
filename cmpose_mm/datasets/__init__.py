"""PoseTrack as video clips for MMPose."""

from .body import PoseTrackVideoDataset, posetrack_metainfo
from .samplers import GroupedFrameSampler
from .transforms import ClipColorTransform, ClipRandomFlip, LoadClip, PackClipInputs

__all__ = [
    'ClipColorTransform',
    'ClipRandomFlip',
    'GroupedFrameSampler',
    'LoadClip',
    'PackClipInputs',
    'PoseTrackVideoDataset',
    'RepeatKeyFrame',
    'posetrack_metainfo',
]
