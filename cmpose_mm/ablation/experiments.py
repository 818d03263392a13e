"""All sets of variants, from the folders of the methods.

A method's folder may hold ``ablations.py`` with ``SETS``, set -> variant -> `Variant`, and
``NUMBERS``, set whose variants end in numbers -> what these are, and the first variant's. The first
variant of a set is what the others are compared with. Within a method a name means the same in all
sets: they share its runs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from cmpose_mm import models

from .variants import Variant


class _Experiments(dict):
    """Sets by their names; CM-Pose's had no method in front before, and may still go without."""

    def __missing__(self, name: str) -> dict[str, Variant]:
        return self[full_name(name)]


EXPERIMENTS: dict[str, dict[str, Variant]] = _Experiments()
"""``<method>/<set>`` -> variant -> overrides."""
NUMBERS: dict[str, tuple[str, float]] = {}
"""``<method>/<set>`` -> what its numbers are, and the first variant's."""

for _folder in iter_modules(models.__path__):
    _name = f'{models.__name__}.{_folder.name}.ablations'
    if _folder.ispkg and find_spec(_name) is not None:
        _ablations = import_module(_name)
        for _set, _variants in getattr(_ablations, 'SETS', {}).items():
            EXPERIMENTS[f'{_folder.name}/{_set}'] = _variants
        for _set, _numbers in getattr(_ablations, 'NUMBERS', {}).items():
            NUMBERS[f'{_folder.name}/{_set}'] = _numbers


def full_name(name: str) -> str:
    """A set's name with its method: ``table4`` is ``cmpose/table4``.

    Raises:
        KeyError: if there is no such set.
    """
    for candidate in (name, f'cmpose/{name}'):
        if candidate in EXPERIMENTS:
            return candidate
    raise KeyError(f'no experiment named {name!r}; there are {", ".join(EXPERIMENTS)}')
