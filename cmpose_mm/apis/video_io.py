"""Frames in, video out: one frame at a time, in memory that does not grow with the video.

Files are read and written through PyAV, cameras through OpenCV.
"""

from .frame_reader import FrameReader, VideoFrame, open_frames
from .video_writer import VideoWriter

__all__ = ['FrameReader', 'VideoFrame', 'VideoWriter', 'open_frames']
