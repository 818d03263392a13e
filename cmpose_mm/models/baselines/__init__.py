"""Simple methods that a video method has to beat; `registration` registers them with MMPose."""

from .frame_concat import FrameConcat
from .key_frame_only import KeyFrameOnly
from .stacked_frames import StackedFrames

__all__ = ['FrameConcat', 'KeyFrameOnly', 'StackedFrames']
