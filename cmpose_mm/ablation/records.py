"""Results of single runs as small files that outlast the machine; checkpoints do not.

A run is known by the digest of what decides its outcome, so that its file is found under any name
of the variant, on any machine and from any work folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path, PurePosixPath

import torch
from mmengine import Config
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader
from torch import Tensor

from cmpose_mm.engine.bfloat16_optim_wrapper import has_bfloat16
from cmpose_mm.whole_files import write_whole

DECISIVE = (
    'model', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'custom_hooks',
    'auto_scale_lr', 'randomness', 'sync_bn', 'test_dataloader', 'test_evaluator', 'mim_args',
)  # fmt: skip
"""Keys of a config that decide what is measured, besides some of its default hooks.

``mim_args`` are options of ``mim train``; `run_experiments` adds them."""
INDIFFERENT_HOOKS = {
    'BadCaseAnalysisHook', 'CausalTokenVisualizationHook', 'CheckpointHook', 'ClipLayoutHook',
    'DistSamplerSeedHook', 'EpochSeedHook', 'FrameHeadHook', 'IterTimerHook', 'LoggerHook',
    'ParamSchedulerHook', 'PoseVisualizationHook', 'SamplerLayoutHook',
}  # fmt: skip
"""Default hooks that every run has, or that watch; all others decide about the outcome, too."""


def config_digest(config: Config, start: str | None = None) -> str:
    """SHA-256 of what decides a run's outcome, besides code, data and chance.

    It depends on no machine and no folder. Of a data root only the last name counts, or the last
    two if that is a split such as ``split1``, which many sets have; of images elsewhere the last.

    Args:
        config: of the training and its test.
        start: digest of the config that trained the weights to start from. By default the file
            name in ``load_from`` counts.
    """
    content = {key: config[key] for key in DECISIVE if config.get(key) is not None}
    loop = {
        k: v for k, v in (config.get('test_cfg') or {}).items() if (k, v) != ('type', 'TestLoop')
    }
    if loop:  # half precision, for one
        content['test_cfg'] = loop
    hooks = {
        name: hook
        for name, hook in config.get('default_hooks', {}).items()
        if hook is not None and (hook.get('type') not in INDIFFERENT_HOOKS or _is_decisive(hook))
    }
    if hooks:
        content['default_hooks'] = hooks
    if start is None and config.get('load_from') is not None:
        start = PurePosixPath(config.load_from).name
    content['load_from'] = start
    loaders = [content[key] for key in ('train_dataloader', 'test_dataloader') if key in content]
    datasets = [loader.get('dataset', {}) for loader in loaders]
    roots = sorted({dataset.get('data_root') or '' for dataset in datasets}, reverse=True)

    def portable(value: object) -> object:
        if isinstance(value, dict):
            # A dataset says so where the method decides about the frames of its clips.
            items = ((k, v) for k, v in value.items() if (k, v) != ('num_frames', None))
            return {
                key: portable(_without_folders(child) if key == 'data_prefix' else child)
                for key, child in items
            }
        if isinstance(value, (list, tuple)):
            return [portable(child) for child in value]
        for root in roots:
            folder = root.rstrip('/')
            if folder and isinstance(value, str) and f'{value}/'.startswith(f'{folder}/'):
                return f'{_set_name(root)}/{value[len(folder) :].lstrip("/")}'
        return value

    text = json.dumps(portable(content), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_decisive(hook: dict) -> bool:
    """Whether an indifferent hook has an argument that decides about the weights or the joints."""
    return bool(hook.get('joints')) or hook.get('save_last') is False


def _set_name(root: str) -> str:
    path = PurePosixPath(root)
    is_split = re.fullmatch(r'split\d+', path.name) is not None
    return f'{path.parent.name}/{path.name}' if is_split else path.name


def _without_folders(prefixes: dict[str, str]) -> dict[str, str]:
    """Of absolute paths only the last name: where images lie beside the labels' folder."""
    return {
        name: PurePosixPath(prefix).name if PurePosixPath(prefix).is_absolute() else prefix
        for name, prefix in prefixes.items()
    }


def write_record(
    folder: Path,
    variant: str,
    seed: int,
    digest: str,
    splits: dict[str, dict],
    source: dict | None = None,
) -> Path:
    """Writes a run's results to ``<variant>_seed<seed>_<digest>.json``, with what made them.

    Results that the file has already stay, with what made them. Clips of a split that are clips of
    a larger one are not repeated.

    Args:
        folder: is made if it is missing.
        variant, seed: of the run.
        digest: its `config_digest`.
        splits: split -> measure -> value, and ``clips`` as `scored_clips` gives them.
        source: what made them; by default what would make them now.
    """
    path = _record_file(folder, digest) or folder / (
        f'{re.sub(r"[^a-zA-Z0-9.+-]+", "_", variant)}_seed{seed}_{digest[:12]}.json'
    )
    content = {'variant': variant, 'seed': seed, 'config': digest, 'splits': {}}
    source = source or source_of_results()
    found = _read_splits(path) if path.exists() else {}
    for split, measures in splits.items():
        if split not in found or _measured(found[split]) != _measured(measures):
            found[split] = dict(measures, source=source)
    # the largest first: the clips of others are among those of one that is not shortened itself
    for split in sorted(found, key=lambda s: -len((found[s].get('clips') or {}).get('names', ()))):
        measures = dict(found[split])
        if measures.get('clips'):
            measures['clips'] = _shortened(measures['clips'], content['splits'])
        content['splits'][split] = measures
    text = json.dumps(content, indent=1)
    text = re.sub(r'\[[^][{}"]*\]', lambda m: re.sub(r'\s+', '', m[0]), text)  # a clip a line
    write_whole(path, f'{text}\n'.encode())
    return path


def read_record(folder: Path, digest: str, splits: Iterable[str]) -> dict[str, dict] | None:
    """The results of a run on the splits; None unless a file of this folder has all of them."""
    path = _record_file(folder, digest)
    if path is None:
        return None
    found = _read_splits(path)
    return {split: found[split] for split in splits} if {*splits} <= {*found} else None


def _read_splits(path: Path) -> dict[str, dict]:
    """The results in a file, by split; clips that are a part of another split's are filled in."""
    try:
        return _whole_splits(json.loads(path.read_text())['splits'])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}: expected the results of a run as write_record writes them ({error!r}); '
            'delete the file to make them again'
        ) from None


def _whole_splits(found: dict[str, dict]) -> dict[str, dict]:
    """Splits of a file, with the clips that are a part of another split's."""

    def whole_clips(split: str) -> dict:
        clips = found[split].get('clips') or {}
        if 'of' in clips:
            whole = whole_clips(clips.pop('of'))
            places = [whole['names'].index(name) for name in clips['names']]
            for key in ('films', 'joints', 'hits'):
                clips[key] = [whole[key][place] for place in places]
            clips['thresholds'] = whole['thresholds']
        return clips

    for split in found:
        whole_clips(split)
    return found


def source_of_results() -> dict[str, str]:
    """Commit, machine, torch's version, precision and date of results made now.

    The commit is the environment's ``GIT_COMMIT``, for copies without a repository of their own;
    else that of the checkout, with a + if its code has been changed.
    """
    if torch.cuda.is_available():
        hardware = torch.cuda.get_device_name()
    else:
        hardware = platform.machine()
    return {
        'commit': _commit(),
        'machine': f'{hardware}, {os.cpu_count()} cores',
        'torch': torch.__version__,
        'bfloat16': has_bfloat16(get_device()),  # whether configs that ask for it train in it
        'date': str(date.today()),
    }


def weights_digest(checkpoint: str | Path) -> str:
    """SHA-256 of the names, types and values of a checkpoint's weights, its first 16 digits.

    Two files of equal weights differ in what else they hold, such as the time of the training.
    """
    content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    digest = hashlib.sha256()
    weights = content.get('state_dict', content)
    for name in sorted(name for name, value in weights.items() if isinstance(value, Tensor)):
        value = weights[name]
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def starts_of_runs(runs: dict[str, dict[str, dict]]) -> dict[str, str | None]:
    """Run -> `weights_digest` of what it began from, and of a first stage what it ended with.

    None where the record does not say so, as those of earlier versions, or where splits are of
    trainings from different weights. Results that no file has kept are left out.

    Args:
        runs: name -> split -> measures.
    """
    starts = {}
    for name, splits in runs.items():
        found = {m['source'].get('start') for m in splits.values() if 'source' in m}
        if found:
            starts[name] = found.pop() if len(found) == 1 else None
    return starts


def format_sources(sources: Sequence[dict[str, str]]) -> str:
    """A sentence about where results are from, in the order of their number."""
    kinds = {}
    for source in sources:
        month = f'{date.fromisoformat(source["date"]):%B %Y}'
        text = f'commit {source["commit"]}, torch {source["torch"]}, {source["machine"]}, {month}'
        kinds[text] = kinds.get(text, 0) + 1
    if len(kinds) == 1:
        return f'({text}.)'
    ordered = sorted(kinds, key=lambda text: -kinds[text])
    return '(' + '; '.join(f'{kinds[text]} runs: {text}' for text in ordered) + '.)'


def _commit() -> str:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ['git', *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if 'GIT_COMMIT' in os.environ:  # of a copy that has no repository, or another one around it
        return os.environ['GIT_COMMIT'][:12]
    commit = git('rev-parse', '--short=12', 'HEAD')
    if commit is None:
        return 'unknown'
    changed = git('status', '--porcelain', '--untracked-files=no', ':/cmpose_mm', ':/configs')
    return commit + ('+' if changed else '')


def _record_file(folder: Path, digest: str) -> Path | None:
    return next(iter(sorted(folder.glob(f'*_{digest[:12]}.json'))), None)


def _measured(measures: dict) -> str:
    """Measures as a file has them, without what made them."""
    return json.dumps({k: v for k, v in measures.items() if k != 'source'}, sort_keys=True)


def _shortened(clips: dict, others: dict[str, dict]) -> dict:
    """Clips by their names alone where another split has the same results for them."""
    for split, measures in others.items():
        whole = measures.get('clips') or {}
        if 'hits' not in whole or 'hits' not in clips or len(whole['names']) <= len(clips['names']):
            continue
        keys = 'films', 'joints', 'hits'
        rows = dict(zip(whole['names'], zip(*(whole[key] for key in keys))))
        if all(
            rows.get(name) == row
            for name, row in zip(clips['names'], zip(*(clips[key] for key in keys)))
        ):
            kept = {key: clips[key] for key in ('names', 'ranked') if key in clips}
            return {'of': split, **kept}
    return clips
