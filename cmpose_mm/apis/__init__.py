"""Poses from videos. Reading and writing files (`video_io`, `pose_files`) needs no MMPose."""

from importlib.util import find_spec

from .frame_reader import NewestFrames
from .pose_files import CsvWriter, PoseTrackWriter
from .video_io import FrameReader, VideoFrame, VideoWriter, open_frames

__all__ = [
    'CsvWriter',
    'FrameReader',
    'NewestFrames',
    'PoseTrackWriter',
    'VideoFrame',
    'VideoWriter',
    'open_frames',
]

if find_spec('mmpose') is not None:
    from .video_inferencer import FramePoses, VideoPoseInferencer  # noqa: F401

    __all__ += ['FramePoses', 'VideoPoseInferencer']
