"""Published models by name, from the model indices that MMPose and MMDetection ship."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml

_BODY = {'human', 'body'}
"""Aliases by which MMPose marks the models that it takes for persons unasked."""
_SCHEDULE = re.compile(r'\d+xb\d+|\d+e')
_SIZE = re.compile(r'(\d+)x(\d+)')
_KINDS = {'td', 'hm', 'reg'}
"""Begin the names of MMPose's top-down models and say nothing of them."""


@dataclass(frozen=True)
class PublishedModel:
    """One entry of a package's model index.

    Attributes:
        name: of the config file, without its ending.
        config: path of the config file.
        weights: URL of the weights, None if there are none.
        aliases: further names that the package gives it.
        short: its name without the kind of model, batch size and number of epochs, such as
            ``hrnet-w48-posetrack18-256x192``.
        for_persons: whether its package takes a model of this group for persons unasked.
    """

    name: str
    config: str
    weights: str | None
    aliases: tuple[str, ...]
    short: str
    for_persons: bool


def package_folder(package: str) -> Path:
    """Folder in which an installed OpenMMLab package has its ``configs`` and its model index.

    Raises:
        FileNotFoundError: if the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f'the package {package} is not installed')
    return Path(spec.origin).parent / '.mim'


@cache
def published_models(folder: Path) -> tuple[PublishedModel, ...]:
    """All models of an index that have a config, in its order; each config once.

    Args:
        folder: with the file ``model-index.yml``, see `package_folder`.
    """
    models: dict[str, PublishedModel] = {}
    for file in _read(folder / 'model-index.yml').get('Import') or ():
        content = _read(folder / file)
        entries = content.get('Models') if isinstance(content, dict) else content
        entries = [entry for entry in entries or () if entry.get('Config')]
        aliases = [_names(entry.get('Alias')) for entry in entries]
        for_persons = any(_BODY & set(names) for names in aliases)
        for entry, names in zip(entries, aliases):
            name = Path(entry['Config']).stem
            models.setdefault(
                name,
                PublishedModel(
                    name, str(folder / entry['Config']), entry.get('Weights'), names,
                    '-'.join(_parts(name)), for_persons,
                ),
            )  # fmt: skip
    return tuple(models.values())


def find_model(name: str, package: str = 'mmpose') -> PublishedModel:
    """A published model by its name.

    A name is one of the package's aliases (``vitpose-b``), a config's file name without ending, or
    the beginning of a short name from which parts may be left out (``hrnet-w48-posetrack18``). Of
    several that it fits, the one is taken with the fewest parts left out, image size not counted;
    then one of those that the package takes for persons unasked, one of COCO, the smallest image,
    and the first in the index.

    Args:
        name: of the model; case does not matter.
        package: ``'mmpose'`` or ``'mmdet'``.

    Raises:
        FileNotFoundError: if the package is not installed or has no such model; says which names
            are near.
    """
    models = published_models(package_folder(package))
    lower = name.lower()
    for model in models:
        if lower == model.name.lower() or lower in model.aliases:
            return model
    wanted = _parts(name)
    fitting = [model for model in models if _fits(wanted, model.short.split('-'))]
    if fitting:
        return min(fitting, key=lambda model: _distance(wanted, model))
    known = {alias for model in models for alias in model.aliases}
    known |= {_SIZE.sub('', model.short).strip('-') for model in models}
    near = get_close_matches('-'.join(wanted), sorted(known), 3, 0.4)
    raise FileNotFoundError(
        f'{name}: {package} has no model of this name; similar names: '
        f'{", ".join(near) or "none"} ({package_folder(package) / "model-index.yml"} lists all)'
    )


def _read(path: Path) -> dict:
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # the first is ten times as fast
    return yaml.load(path.read_text(encoding='utf-8'), loader)


def _names(alias: str | list[str] | None) -> tuple[str, ...]:
    names = [alias] if isinstance(alias, str) else alias or []
    return tuple(name.strip().lower() for name in names)


def _parts(name: str) -> list[str]:
    """What a model's name is made of, in lower case, without batch size and epochs."""
    parts = [part for part in re.split(r'[-_]+', name.lower()) if part]
    while parts and parts[0] in _KINDS:
        del parts[0]
    return [part for part in parts if not _SCHEDULE.fullmatch(part)]


def _fits(wanted: list[str], parts: list[str]) -> bool:
    """Whether parts begin with the first wanted one and have the others, in their order."""
    rest = iter(parts)
    return wanted[:1] == parts[:1] and all(part in rest for part in wanted)


def _distance(wanted: list[str], model: PublishedModel) -> tuple:
    """Sorts models that fit a name."""
    parts = model.short.split('-')
    size = next((match for match in map(_SIZE.fullmatch, parts) if match), None)
    left_out = sum(_SIZE.fullmatch(part) is None for part in parts) - len(wanted)
    area = int(size[1]) * int(size[2]) if size else 0
    return left_out, not model.for_persons, 'coco' not in parts, area
