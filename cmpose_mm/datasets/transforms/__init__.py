"""Transforms for clips."""

from .clip_transforms import ClipColorTransform, ClipRandomFlip, LoadClip, PackClipInputs
from .corruptions import CorruptClip, CorruptNeighbors, RepeatKeyFrame

__all__ = [
    'ClipColorTransform',
    'ClipRandomFlip',
    'CorruptClip',
    'CorruptNeighbors',
    'LoadClip',
    'PackClipInputs',
    'RepeatKeyFrame',
]
