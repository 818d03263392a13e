"""The video pose estimator and its methods, one folder per method.

Importing a method's module needs only PyTorch; its ``registration`` registers it with MMPose.
"""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from .method import ClipInput, FrameFeatures, MethodOutput, VideoMethod

__all__ = ['ClipInput', 'FrameFeatures', 'MethodOutput', 'VideoMethod']

if find_spec('mmpose') is not None:
    from . import backbones  # noqa: F401
    from .clip_preprocessor import ClipDataPreprocessor
    from .video_topdown import VideoTopdownPoseEstimator

    for _entry in iter_modules(__path__, f'{__name__}.'):
        if _entry.ispkg and find_spec(f'{_entry.name}.registration') is not None:
            import_module(f'{_entry.name}.registration')

    __all__ += ['ClipDataPreprocessor', 'VideoTopdownPoseEstimator']
