"""The few lines that make MMPose and MMDetection work on current versions, each with its reason."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pickle import UnpicklingError
from types import ModuleType

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint

from .placeholders import GET_MMDET

try:
    from numpy._core import multiarray  # numpy 2
except ImportError:
    from numpy.core import multiarray  # numpy 1

TORCH_VERSION = tuple(int(part) for part in torch.__version__.split('.')[:2])

# What MMEngine's runner saves beside tensors and plain Python objects: the logged scalars (each a
# HistoryBuffer of numpy arrays), the best score (a numpy scalar), the dataset's metainfo (arrays).
_ARRAY_DTYPES = ('bool', 'uint8', 'int32', 'int64', 'float16', 'float32', 'float64')


def _history_statistic(owner: type, name: str):
    """`getattr` for HistoryBuffer's own statistics, which is how its pickle refers to them.

    The real `getattr` would let a checkpoint reach anything.
    """
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(
            f'The checkpoint refers to {name!r} of {owner!r}; expected one of the statistics '
            'min, max, current, mean of HistoryBuffer.'
        )
    return getattr(owner, name)


def checkpoint_globals() -> list:
    """The types, and no others, that a checkpoint of MMEngine's runner needs beyond torch's own.

    Returns:
        Items for `torch.serialization.add_safe_globals`: classes and functions, or pairs of one and
        the name under which a checkpoint may know it.
    """
    items: list = [HistoryBuffer, (_history_statistic, 'builtins.getattr'), np.ndarray, np.dtype]
    items += [bytes]  # an empty array has some, such as the sigmas of a data set that gives none
    items += [type(np.dtype(name)) for name in _ARRAY_DTYPES]
    # numpy 2 renamed numpy.core, and each checkpoint holds the name of the numpy that wrote it.
    for function in (multiarray._reconstruct, multiarray.scalar):
        items += [
            (function, f'numpy.{core}.multiarray.{function.__name__}') for core in ('core', '_core')
        ]
    return items


def load_checkpoints_safely() -> None:
    """Lets runners load their own checkpoints with ``weights_only=True``, torch >= 2.6's default.

    Without it train, test, resume and ``load_from`` are refused (MMEngine 0.10.7), or fall back to
    unpickling anything, code included (OneDL's MMEngine). A checkpoint that holds other types is
    refused by torch with a message that names them; `torch.serialization.add_safe_globals` admits
    them. Before torch 2.6 nothing changes.
    """
    if TORCH_VERSION < (2, 6):
        return
    torch.serialization.add_safe_globals(checkpoint_globals())
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):  # OneDL's loader with the fallback
        mmengine_checkpoint._safe_torch_load = torch.load


_IMGAUG = {
    'imgaug': (),
    'imgaug.augmenters': (),
    'imgaug.augmentables': (),
    'imgaug.augmentables.lines': ('LineString', 'LineStringsOnImage'),
    'imgaug.augmentables.segmaps': ('SegmentationMapsOnImage',),
}


def import_mmdet() -> None:
    """Imports MMDetection with its transforms, also where imgaug is not installed.

    OneDL's MMDetection 3.5.1 imports imgaug for augmenting lane lines. It does not declare it, and
    imgaug's last release does not run on NumPy 2; without it no test pipeline can be built. During
    the import empty modules stand in for it, so that nothing but those transforms is lost.

    MMPose's inferencers, if imported earlier, have found no MMDetection; they are given it here.

    Raises:
        ModuleNotFoundError: if MMDetection is not installed, or needs operators that mmcv lacks.
    """
    if find_spec('mmdet') is None:
        raise ModuleNotFoundError(
            f'A detector of MMDetection needs MMDetection, which is not installed; {GET_MMDET}.'
        )
    missing = find_spec('imgaug') is None
    if missing:
        for name, classes in _IMGAUG.items():
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__dict__.update({'__path__': [], **dict.fromkeys(classes, object)})
    try:
        for name in ('mmdet.datasets', 'mmdet.apis'):
            importlib.import_module(name)
    finally:
        if missing:
            for name in _IMGAUG:
                del sys.modules[name]
    inferencers = sys.modules.get('mmpose.apis.inferencers.base_mmpose_inferencer')
    if inferencers is not None and not inferencers.has_mmdet:
        inferencers.DetInferencer = sys.modules['mmdet.apis'].DetInferencer
        inferencers.has_mmdet = True


load_checkpoints_safely()
