"""Transforms for clips."""

from .clip_transforms import ClipColorTransform, LoadClip, PackClipInputs

__all__ = ['ClipColorTransform', 'LoadClip', 'PackClipInputs']
