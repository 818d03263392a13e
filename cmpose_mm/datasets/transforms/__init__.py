"""Transforms for clips."""

from .clip_transforms import ClipColorTransform, ClipRandomFlip, LoadClip, PackClipInputs
from .corruptions import CorruptClip, CorruptNeighbours, RepeatKeyFrame

__all__ = [
    'ClipColorTransform',
    'ClipRandomFlip',
    'CorruptClip',
    'CorruptNeighbours',
    'LoadClip',
    'PackClipInputs',
    'RepeatKeyFrame',
]
