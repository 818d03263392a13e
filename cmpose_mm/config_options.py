"""Overrides of a config, as commands take them after ``--cfg-options`` and functions as a dict."""

from __future__ import annotations

import argparse
import difflib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import DefaultScope
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from mmpose import registry as registries
from torch.utils.data import DataLoader

_LOOPS = {
    'train_cfg': (EpochBasedTrainLoop, IterBasedTrainLoop),
    'val_cfg': (ValLoop,),
    'test_cfg': (TestLoop,),
}
_TEST_CFG = frozenset(
    {'flip_test', 'flip_mode', 'shift_heatmap', 'shift_coords', 'output_heatmaps',
     'output_keypoint_indices', 'output_details'}
)  # fmt: skip
"""What MMPose's top-down estimators and heads, and those of this package, look for in the model's
``test_cfg``."""


class CfgOptions(DictAction):
    """Argparse action of ``--cfg-options KEY=VALUE ...``.

    A value without ``=``, or with a bracket that is not closed, ends the command with one sentence,
    where MMEngine's ``DictAction`` ends it with a traceback. Spaces in a value stay, as paths have
    them. `merge_options` checks the keys.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Adds the pairs to those of the namespace."""
        try:
            options = parse_options(values or ())
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), **options})


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` pairs as `CfgOptions` reads them.

    Raises:
        ValueError: one sentence about a pair that is none, or whose brackets do not match.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition('=')
        if not equals:
            raise ValueError(f'expected KEY=VALUE, found {pair!r}')
        try:
            options[key] = DictAction._parse_iterable(value)
        except (AssertionError, RecursionError) as error:
            raise ValueError(f'expected brackets that match, found {pair!r}') from error
        if isinstance(options[key], str):  # else a path loses its spaces
            options[key] = value.strip('\'"')
    return options


def lose_spaces(pairs: Sequence[str]) -> bool:
    """Whether MMEngine, and so ``mim``, drops spaces from a value that `parse_options` keeps."""
    options = parse_options(pairs)
    return any(isinstance(value, str) and ' ' in value for value in options.values())


def merge_options(config: Config, options: dict | None, *others: Config) -> None:
    """Overrides fields of a config, which must have them.

    A field that the config does not have is taken if the class that gets it has an argument of that
    name (such as ``test_dataloader.dataset.stride``): it then has an effect.

    Args:
        config: gets the values.
        options: by dotted keys, ``model.test_cfg.flip_test``.
        others: further configs that get the same options; a key of one of them is no mistake, but
            left out here.

    Raises:
        ValueError: one sentence about a key that no config has, with the nearest that there is.
    """
    own = {}
    for key, value in (options or {}).items():
        problems = [unknown_key(each, key) for each in (config, *others)]
        if all(problem is not None for problem in problems):
            raise ValueError(f'cfg-options: {problems[0]}')
        if problems[0] is None:
            own[key] = value
    config.merge_from_dict(own)


def unknown_key(config: Config, key: str) -> str | None:
    """Says what is wrong with a dotted key of a config, with the nearest that there is, or None."""
    fields = dict(config.items())
    node, parents = fields, []
    for part in key.split('.'):
        if isinstance(node, (list, tuple)) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and (part == '_delete_' or part in _arguments(node, parents)):
            return None
        else:
            break
        parents.append(part)
    else:
        return None
    name = Path(config.filename).name if config.filename else 'the config'
    names = [*map(str, node), *_arguments(node, parents)] if isinstance(node, dict) else []
    return f'{name} has no {key!r}; {_nearest(list(_keys(fields)), key, names, parents)}'


def _nearest(keys: list[str], key: str, names: list[str], parents: list[str]) -> str:
    """What the user may have meant, in words.

    Args:
        keys: all of the config.
        key: that it does not have.
        names: what there is where the key ends to be known.
        parents: the parts up to there.
    """
    last = key.rsplit('.', 1)[-1]
    same_end = [each for each in keys if each.rsplit('.', 1)[-1] == last]
    near = difflib.get_close_matches(key, same_end, 1, 0.0)
    if not near:
        part = key.split('.')[len(parents)]
        near = difflib.get_close_matches(part, names, 1)
        near = ['.'.join([*parents, name]) for name in near]
    if not near and not names:
        near = difflib.get_close_matches(key, keys, 1)
    if near:
        return f'did you mean {near[0]!r}?'
    return f'{".".join(parents) or "it"} has {", ".join(names[:12])}'


def _keys(node: Any, prefix: str = '') -> Iterator[str]:
    """All dotted keys of a config."""
    items = node.items() if isinstance(node, dict) else ()
    if isinstance(node, (list, tuple)):
        items = enumerate(node)
    for name, value in items:
        yield f'{prefix}{name}'
        yield from _keys(value, f'{prefix}{name}.')


def _arguments(node: dict, parents: list[str]) -> set[str]:
    """Names of arguments that whatever is built from a part of a config takes."""
    if not parents:
        return set(inspect.signature(Runner).parameters)
    if 'type' in node:
        kind = node['type']
        kinds = (kind,) if callable(kind) else _registered(kind)
    elif parents[-1].endswith('_dataloader'):
        kinds = (DataLoader,)
    elif len(parents) == 1:
        kinds = _LOOPS.get(parents[0], ())
        if parents[0] == 'train_cfg':
            kinds = kinds[:1] if node.get('by_epoch', True) else kinds[1:]
    elif parents[-1] == 'test_cfg':
        return set(_TEST_CFG)
    else:
        kinds = ()
    return {name for kind in kinds for name in _parameters(kind)}


def _registered(name: str) -> tuple:
    """What MMPose's registries, and those above them, know by a name."""
    found = []
    with DefaultScope.overwrite_default_scope('mmpose'):
        for registry in vars(registries).values():
            if isinstance(registry, registries.Registry):
                found.append(registry.get(name))
    return tuple(kind for kind in found if kind is not None)


def _parameters(kind: Any) -> Iterator[str]:
    """Names of the arguments of a function or class; with ``**kwargs`` also of its parents."""
    functions = [kind]
    if inspect.isclass(kind):
        functions = [vars(c)['__init__'] for c in kind.__mro__ if '__init__' in vars(c)]
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        yield from (p.name for p in named[inspect.isclass(kind) :])  # without self
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return
