"""The video pose estimator and the methods that stand in it."""

from importlib.util import find_spec

from .method import MethodOutput

__all__ = ['MethodOutput']

# Without MMPose the methods' own modules remain usable; they are plain torch.
if find_spec('mmpose') is not None:
    from .baselines import registration as _baselines  # noqa: F401
    from .clip_preprocessor import ClipDataPreprocessor
    from .cmpose import registration as _cmpose  # noqa: F401
    from .video_topdown import VideoTopdownPoseEstimator

    __all__ += ['ClipDataPreprocessor', 'VideoTopdownPoseEstimator']
