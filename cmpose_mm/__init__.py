"""CM-Pose and other video pose methods for MMPose, with PoseTrack data and evaluation.

Importing the package registers its datasets, transforms, models, metrics and hooks with MMPose, so
a config needs only ``custom_imports = dict(imports=['cmpose_mm'])``. Without MMPose installed only
the framework-free parts (`cmpose_mm.posetrack`, `cmpose_mm.evaluation`) are available.
"""

from importlib.util import find_spec

from .version import __version__

__all__ = ['__version__', 'config_path']


def config_path(name: str) -> str:
    raise NotImplementedError(name)


if find_spec('mmpose') is not None:
    from . import compat, datasets, engine, evaluation, models, visualization  # noqa: F401
