"""Poses from videos."""

from .video_inferencer import FramePoses, VideoPoseInferencer
from .video_io import FrameReader, VideoFrame, VideoWriter, open_frames

__all__ = [
    'FramePoses',
    'FrameReader',
    'VideoFrame',
    'VideoPoseInferencer',
    'VideoWriter',
    'open_frames',
]
