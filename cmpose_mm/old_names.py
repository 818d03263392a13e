"""Public names that were spelled differently before: they keep working, with a warning."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def old_names(module: str, names: dict[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that finds names under what they are called now.

    Args:
        module: the module's ``__name__``.
        names: old name -> present name, of the same module, or 'package.module:name' of another.

    Example::

        __getattr__ = old_names(__name__, {'joint_colours': 'joint_colors'})
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f'module {module!r} has no attribute {name!r}')
        home, _, new_name = names[name].rpartition(':')
        warnings.warn(
            f'{module}.{name} is called {home or module}.{new_name} now', FutureWarning, 2
        )
        return getattr(importlib.import_module(home or module), new_name)

    return find
