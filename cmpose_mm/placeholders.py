"""Makes MMPose importable where parts that it imports, and that no method here uses, are missing.

MMPose imports mmcv's compiled operators (for ED-Pose), MMDetection (for RTMO) and xtcocotools (for
COCO datasets and metrics) whether they are used or not. Where one of them is missing or does not
load, modules with placeholders take its place. A placeholder says what is missing, and how to get
it, when it is used. What is installed and works is never replaced.

Of MMDetection only ``mmdet.utils`` is replaced: MMPose and MMPretrain take ``mmdet`` for the real
thing if it can be imported. In place of xtcocotools, pycocotools does what it can, see
`cmpose_mm.coco_api`.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module, metadata
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import ModuleType

_SAME_FILES = (
    ('mmcv', 'mmcv-full', 'mmcv-lite', 'onedl-mmcv'),
    ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    ('mmdet', 'onedl-mmdetection'),
)
"""Distributions that write the same package."""

_GET_OPERATORS = (
    'replace it by onedl-mmcv or mmcv, which are compiled for the installed torch and need one '
    'before 2.14 (docs/install.md)'
)
GET_MMDET = (
    '`pip install --no-deps onedl-mmdetection` (classic OpenMMLab: mmdet) brings it, and it needs '
    'an mmcv with compiled operators (docs/install.md)'
)
GET_XTCOCOTOOLS = (
    '`pip install cython`, then `pip install --force-reinstall --no-deps --no-build-isolation '
    '--no-binary xtcocotools xtcocotools` builds it for the installed NumPy (docs/install.md)'
)
_GET_PYCOCOTOOLS = '`pip install pycocotools` brings what COCO keypoints need'


def make_mmpose_importable() -> None:
    """Puts placeholders where MMPose could not be imported; ``import cmpose_mm`` calls it.

    Parts that are installed but do not load, and packages that are installed twice under two names,
    are told in a warning.

    Raises:
        ModuleNotFoundError: if mmcv or MMEngine are missing (MMPose does not declare them).
    """
    _warn_of_doubles()
    for name, package in (('mmengine', 'onedl-mmengine'), ('mmcv', 'mmcv-lite')):
        if find_spec(name) is None:
            raise ModuleNotFoundError(
                f'MMPose is installed, but {name} is not, without which it cannot be imported; '
                f'`pip install --no-deps {package}` brings it (docs/install.md).',
                name=name,
            )
    _leave_out_multimodal_models()
    replaced = [_replace_operators(), _replace_mmdet(), _replace_xtcocotools()]
    if any(replaced):
        for process in ('Process', 'SpawnProcess', 'ForkServerProcess'):
            if hasattr(context, process):  # the last is not on Windows
                ForkingPickler.register(getattr(context, process), _reduce_process)


def _replace_operators() -> bool:
    if find_spec('mmcv._ext') is None:  # mmcv-lite has a folder mmcv/ops, but not the library
        reason = f'needs compiled operators, which mmcv-lite does not have; {_GET_OPERATORS}'
    else:
        error = _import_error('mmcv.ops')
        if error is None:
            return False
        reason = (
            f"needs mmcv's compiled operators, which do not load ({error}): mmcv was built for "
            'another torch; reinstall it with `--no-cache-dir --no-build-isolation`, or '
            'mmcv-lite in its place (docs/install.md)'
        )
        _warn(reason, 'models that do not use them work')
        sys.modules['mmcv._ext'] = None  # by which MMEngine decides whether there are operators
    # The second is for mmcv itself, which warns on import where it finds none.
    for module in ('mmcv.ops', 'mmcv.ops.multi_scale_deform_attn'):
        _put(module, reason, 'MultiScaleDeformableAttention')
    return True


def _replace_mmdet() -> bool:
    if find_spec('mmdet') is None:
        reason = f'needs MMDetection, which is not installed; {GET_MMDET}'
    else:
        error = _import_error('mmdet.utils')
        if error is None:
            return False
        reason = (
            f'needs MMDetection, whose import fails ({error}); install a version that fits mmcv, '
            'or none (docs/install.md)'
        )
        _warn(reason, 'models that do not use it work')
        sys.modules['mmdet'] = None  # MMPose and MMPretrain go on without it at ImportError alone
    _put('mmdet.utils', reason, 'ConfigType', 'reduce_mean')
    return True


def _replace_xtcocotools() -> bool:
    reason = f'needs xtcocotools, which is not installed; {_GET_PYCOCOTOOLS}'
    error = None
    if find_spec('xtcocotools') is not None:
        error = _import_error('xtcocotools.cocoeval')
        if error is None:
            return False
        reason = f'needs xtcocotools, which does not load ({error}); {GET_XTCOCOTOOLS}'
    if find_spec('pycocotools') is not None and _import_error('pycocotools.cocoeval') is None:
        from . import coco_api

        _put('xtcocotools')
        _put('xtcocotools.coco').COCO = coco_api.COCO
        _put('xtcocotools.cocoeval').COCOeval = coco_api.COCOeval
        sys.modules['xtcocotools.mask'] = sys.modules['xtcocotools'].mask = coco_api.mask
        meanwhile = 'pycocotools does its work for COCO keypoints'
    else:
        _put('xtcocotools', reason)
        _put('xtcocotools.coco', reason, 'COCO')
        _put('xtcocotools.cocoeval', reason, 'COCOeval')
        _put('xtcocotools.mask', reason)
        meanwhile = 'all but COCO datasets works'
    if error:
        _warn(reason, meanwhile)
    return True


def _leave_out_multimodal_models() -> None:
    """MMPretrain's multimodal models import what newer versions of transformers do not have.

    Then no backbone of MMPretrain could be built, among them MMPose's ViTs. MMPretrain leaves these
    models out where transformers is not installed, and says so when one is used.
    """
    spec = find_spec('transformers')
    if spec is None or spec.origin is None or find_spec('mmpretrain') is None:
        return
    needed = 'find_pruneable_heads_and_indices'
    if needed not in Path(spec.origin).with_name('modeling_utils.py').read_text():
        import_module('mmpretrain.utils.dependency').WITH_MULTIMODAL = False


def _import_error(module: str) -> str | None:
    """What an import ends with, None if it succeeds."""
    try:
        import_module(module)
    # Not only ImportError (undefined symbol): xtcocotools for NumPy 1 ends in ValueError, and
    # MMDetection, which wants another mmcv, in AssertionError.
    except Exception as error:
        return f'{type(error).__name__}: {" ".join(str(error).split())}'
    return None


def _warn(reason: str, meanwhile: str) -> None:
    warnings.warn(f'MMPose {reason}. Until then, {meanwhile}.', stacklevel=2)


def _warn_of_doubles() -> None:
    for names in _SAME_FILES:
        found = [name for name in names if _is_installed(name)]
        if len(found) > 1:
            warnings.warn(
                f'{" and ".join(found)} are installed together and overwrite files of each other: '
                f'`pip uninstall -y {" ".join(found)}`, then install one of them '
                '(docs/install.md).',
                stacklevel=2,
            )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _put(name: str, reason: str = '', *placeholders: str) -> ModuleType:
    """Enters a module of this name; with a reason, all that is taken from it tells the reason."""
    module = ModuleType(name, 'In place of a missing one, see `cmpose_mm.placeholders`.')
    module.__spec__ = ModuleSpec(name, None)  # without it `find_spec` fails
    for each in placeholders:
        setattr(module, each, _placeholder(name, each, reason))

    def refuse(attribute: str):
        if attribute.startswith('_') or not reason:
            raise AttributeError(f'module {name!r} has no attribute {attribute!r}')
        # What mmcv and MMPose catch where they can do without.
        raise ModuleNotFoundError(f'{name}.{attribute} {reason}.', name=name)

    module.__getattr__ = refuse
    sys.modules[name] = module
    parent, _, child = name.rpartition('.')
    if parent and sys.modules.get(parent):
        setattr(sys.modules[parent], child, module)
    return module


def _placeholder(module: str, name: str, reason: str) -> type:
    """A class, to be imported, inherited and named in annotations; making or calling it fails."""

    def refuse(cls, *args, **kwargs):
        raise ModuleNotFoundError(f'{module}.{name} {reason}.', name=module)

    return type(name, (), {'__new__': refuse, '__module__': module})


def _reduce_process(process):
    """Pickles a process that is started anew (spawn, as on Windows) so that it finds MMPose too.

    What runs in it, such as a data worker with a dataset of MMPose, is unpickled after this module
    of the package, and so after the placeholders are there.
    """
    return _new_process, (type(process),), vars(process)


def _new_process(cls):
    return cls.__new__(cls)
