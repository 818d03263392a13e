"""PoseTrack as video clips for MMPose."""

from .body import PoseTrackVideoDataset, posetrack_metainfo
from .collate import collate_clips
from .concat_dataset import ConcatDataset
from .samplers import GroupedFrameSampler
from .transforms import (
    ClipColorTransform,
    ClipRandomFlip,
    ClipTopdownAffine,
    LoadClip,
    PackClipInputs,
)

__all__ = [
    'ClipColorTransform',
    'ClipRandomFlip',
    'ClipTopdownAffine',
    'ConcatDataset',
    'GroupedFrameSampler',
    'LoadClip',
    'PackClipInputs',
    'PoseTrackVideoDataset',
    'collate_clips',
    'posetrack_metainfo',
]
