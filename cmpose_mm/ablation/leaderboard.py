"""The set `leaderboard`: every method that has a ``configs/<folder>/<method>_small.py``.

The backbone is trained as in the config, or frozen. The first variant is the single-frame model.
"""

from __future__ import annotations

from pathlib import Path

from mmengine import Config

from cmpose_mm import config_path

from .variants import Overrides, Variant

REFERENCE = 'key_frame_only'
SUFFIX = '_small.py'


def small_configs() -> dict[str, Path]:
    """Method -> its config, the single-frame model first."""
    folder = Path(config_path('_base_/runtime.py')).parents[1]
    found = {path.name.removesuffix(SUFFIX): path for path in folder.glob(f'[!_]*/*{SUFFIX}')}
    return {name: found[name] for name in sorted(found, key=lambda n: (n != REFERENCE, n))}


def method_of(path: Path) -> Variant:
    """The model of a config in the place of that of another, with what it needs of the data.

    That are the fields of its dataset and hooks that the other lacks, and its pipelines, in which
    steps that the other has keep the other's settings: padding and augmentation belong to the data.
    """

    def overrides(config: Config) -> Overrides:
        small = Config.fromfile(path)
        changes: Overrides = {'model': dict(small.model, _delete_=True)}
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            ours, theirs = config[loader].dataset, small[loader].dataset
            steps = {step.type: step for step in ours.pipeline}
            added = {key: value for key, value in theirs.items() if key not in ours}
            added['pipeline'] = [steps.get(step.type, step) for step in theirs.pipeline]
            changes.update({f'{loader}.dataset.{key}': value for key, value in added.items()})
        for name, hook in small.default_hooks.items():
            if name not in config.default_hooks:
                changes[f'default_hooks.{name}'] = hook
        if small.get('custom_hooks'):
            changes['custom_hooks'] = small.custom_hooks
        return changes

    return overrides


def frozen(variant: Variant) -> Variant:
    """A variant whose backbone is not trained."""
    return lambda config: {**variant(config), 'model.freeze_backbone': True}


def leaderboard() -> dict[str, Variant]:
    """Variant -> overrides."""
    methods = {name: method_of(path) for name, path in small_configs().items()}
    return {
        f'{name}, {how}': change
        for name, method in methods.items()
        for how, change in (('trained', method), ('frozen', frozen(method)))
    }
