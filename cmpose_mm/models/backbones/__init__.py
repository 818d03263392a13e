"""Backbones that hand out the maps of several stages, where MMPose's own hand out the last."""

from .hrnet_stages import HRNetStages

__all__ = ['HRNetStages']
