"""Renders PoseTrack18-format videos of articulated people with true labels (NumPy and OpenCV)."""

from .dataset import VERSION, Settings, write_dataset
from .scene import Difficulty

__all__ = ['VERSION', 'Difficulty', 'Settings', 'write_dataset']
