"""MATLAB files: PoseTrack17's labels as their authors keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .videos import AnnotationError


def read_mat(path: str | Path) -> dict:
    """The variables of a .mat file (version 7 or older), in the shape of the JSON annolist.

    Struct arrays and cells of structs become lists of dicts, matrices become lists, and character
    arrays become strings.

    Raises:
        AnnotationError: if the file is no such file.
    """
    from scipy.io import loadmat  # takes longer to import than most label files to read

    try:
        content = loadmat(str(path))
    except NotImplementedError as error:
        raise AnnotationError(
            f'{path}: is a MATLAB v7.3 file, expected v7 (save it with "-v7").'
        ) from error
    except Exception as error:  # scipy raises many types for damaged files
        raise AnnotationError(f'{path}: not a readable .mat file ({error}).') from error
    return {name: _plain(value) for name, value in content.items() if not name.startswith('__')}


def _plain(value: object) -> object:
    if isinstance(value, np.void):
        return {name: _plain(value[name]) for name in value.dtype.names}
    if not isinstance(value, np.ndarray):
        return value
    items = value.ravel(order='F')
    if value.dtype.names is not None:
        return [_plain(item) for item in items]
    if value.dtype.kind == 'O':
        plain = [_plain(item) for item in items]
        return [part for item in plain for part in (item if isinstance(item, list) else [item])]
    if value.dtype.kind == 'U':
        return ''.join(items.tolist())
    return items.tolist()
