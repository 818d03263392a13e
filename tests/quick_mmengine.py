"""Habits of MMEngine that take more of the tests' time than what is tested."""

from __future__ import annotations

import ast
import functools
import gc
from importlib.util import find_spec
from types import SimpleNamespace


def make_quick() -> None:
    """Call it when all is imported.

    - MMEngine formats a config anew for the log, the work folder and each checkpoint, half a second
      each. Here it stays as it is, which is Python, too.
    - Each data set that is built looks for garbage, among all that was ever imported. Here Python
      does so when it wants to.
    - For each config of MMPose that one inherits from, it reads all of MMPose's metafiles.
    """
    gc.freeze()
    if find_spec('mmengine'):
        from mmengine.config import utils
        from mmengine.dataset import base_dataset

        base_dataset.gc = SimpleNamespace(collect=lambda: None)
        utils.load = functools.lru_cache(None)(utils.load)
    if find_spec('yapf'):
        from yapf.yapflib import yapf_api

        yapf_api.FormatCode = _unformatted


def _unformatted(code: str, *_, **__) -> tuple[str, bool]:
    ast.parse(code)
    return code, False
