"""CM-Pose and other video pose methods for MMPose, with PoseTrack data and evaluation.

Importing the package registers its datasets, transforms, models, metrics and hooks with MMPose, so
a config needs only ``custom_imports = dict(imports=['cmpose_mm'])``. Without MMPose installed only
the framework-free parts (`cmpose_mm.posetrack`, `.evaluation`, `.tracking`) are available.
"""

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from .version import __version__

__all__ = ['__version__', 'config_path']


def config_path(name: str) -> str:
    """Absolute path of a config that ships with the package, to inherit from anywhere.

    In a config of your own, in any folder::

        _base_ = [__import__('cmpose_mm').config_path('cmpose_vit_posetrack18.py')]

    (MMEngine knows ``_base_ = ['mmpose::...']`` for OpenMMLab's own packages only.)

    Args:
        name: file name, or path relative to the folder of configs, with its ending.

    Returns:
        The path, of the installed copy or of the source checkout's own file.

    Raises:
        FileNotFoundError: if no such config is shipped; the message names similar ones.
    """
    package = Path(__file__).resolve().parent
    # A wheel carries the configs in .mim/, where mim looks; a checkout has them beside the package.
    folder = package / '.mim' / 'configs'
    if not folder.is_dir():
        folder = package.parent / 'configs'
    path = folder / name
    if path.is_file():
        return str(path.resolve())
    shipped = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.py'))
    similar = get_close_matches(name, shipped, n=3) or [path for path in shipped if '/' not in path]
    raise FileNotFoundError(
        f'cmpose_mm ships no config {name!r}; expected a name like {", ".join(similar)}.'
    )


if find_spec('mmpose') is not None:
    from .placeholders import make_mmpose_importable

    make_mmpose_importable()
    from . import compat, datasets, engine, metrics, models, visualization  # noqa: F401
