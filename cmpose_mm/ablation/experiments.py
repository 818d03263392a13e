"""All sets of variants, collected from the folders of the methods, and the leaderboard.

A method's folder may hold ``ablations.py`` with ``SETS``: set -> variant -> `Variant`. For sets
whose variants have names that end in numbers, ``NUMBERS`` gives set -> what the numbers are, and
the number of the first variant. The other variants of a set are compared with the first. Within a
method, a variant's name means the same in all sets, so they share its runs.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules

from mmengine import Config
from mmpose.registry import MODELS

from cmpose_mm import models

from .leaderboard import leaderboard
from .variants import Variant


class _Experiments(dict):
    """Sets by their names; those of CM-Pose also work without the method's name."""

    def __missing__(self, name: str) -> dict[str, Variant]:
        return self[full_name(name)]


EXPERIMENTS: dict[str, dict[str, Variant]] = _Experiments()
"""``<method>/<set>`` -> variant -> overrides."""
NUMBERS: dict[str, tuple[str, float]] = {}
"""``<method>/<set>`` -> what its numbers are, and the number of the first variant."""

for _folder in iter_modules(models.__path__):
    _name = f'{models.__name__}.{_folder.name}.ablations'
    if _folder.ispkg and find_spec(_name) is not None:
        _ablations = import_module(_name)
        for _set, _variants in getattr(_ablations, 'SETS', {}).items():
            EXPERIMENTS[f'{_folder.name}/{_set}'] = _variants
        for _set, _numbers in getattr(_ablations, 'NUMBERS', {}).items():
            NUMBERS[f'{_folder.name}/{_set}'] = _numbers

EXPERIMENTS['leaderboard'] = leaderboard()


def full_name(name: str) -> str:
    """A set's name with its method: ``cmpose/table4`` for ``table4``.

    Raises:
        KeyError: if there is no such set.
    """
    for candidate in (name, f'cmpose/{name}'):
        if candidate in EXPERIMENTS:
            return candidate
    raise KeyError(f'no experiment named {name!r}; there are {", ".join(EXPERIMENTS)}')


def check_method(name: str, config: Config) -> None:
    """Checks that a set is not of another method than a config.

    Methods that have no sets of their own may take those of any.

    Args:
        name: a key of `EXPERIMENTS`.
        config: the config that its variants are to override.

    Raises:
        ValueError: if the config's method has sets of its own, and this is none of them.
    """
    with_sets = {key.split('/')[0] for key in EXPERIMENTS if '/' in key}
    owner = next((key for key in (name, f'cmpose/{name}') if key in EXPERIMENTS), name)
    owner = owner.split('/')[0]
    kind = config.model.get('method', {}).get('type')
    method = MODELS.get(kind) if isinstance(kind, str) else kind
    own = [
        folder
        for base in getattr(method, '__mro__', [method])
        for folder in sorted(with_sets)
        if getattr(base, '__module__', '').startswith(f'{models.__name__}.{folder}.')
    ]
    if owner in with_sets and own and owner not in own:
        raise ValueError(
            f'{config.filename}: the method is {kind}, but {name} changes configs of {owner}; '
            f'expected a set of {own[0]}'
        )
