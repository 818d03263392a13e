"""Transforms for clips."""

from cmpose_mm.old_names import old_names

from .augmentations import RandomBlur, RandomColors, RandomPatches, RandomWideBox
from .clip_transforms import (
    ClipColorTransform,
    ClipRandomFlip,
    ClipTopdownAffine,
    LoadClip,
    PackClipInputs,
)
from .corruptions import CorruptClip, CorruptNeighbors, RepeatKeyFrame

__all__ = [
    'ClipColorTransform',
    'ClipRandomFlip',
    'ClipTopdownAffine',
    'CorruptClip',
    'CorruptNeighbors',
    'LoadClip',
    'PackClipInputs',
    'RandomBlur',
    'RandomColors',
    'RandomPatches',
    'RandomWideBox',
    'RepeatKeyFrame',
]
__getattr__ = old_names(__name__, {'CorruptNeighbours': 'CorruptNeighbors'})
