"""Backbones that return the maps of several stages, where MMPose's own return only the last."""

from .hrnet_stages import HRNetStages

__all__ = ['HRNetStages']
