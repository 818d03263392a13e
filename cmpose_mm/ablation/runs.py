"""Trains and tests all variants of a set with several seeds; finished runs are not repeated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from mmengine import Config
from mmengine.runner import find_latest_checkpoint
from tqdm import tqdm

from cmpose_mm.config_options import merge_options
from cmpose_mm.whole_files import lock, sha256, write_whole

from .experiments import EXPERIMENTS, check_method
from .records import (
    config_digest,
    read_record,
    source_of_results,
    starts_of_runs,
    weights_digest,
    write_record,
)
from .variants import Variant, variant_config

FIRST_STAGE = 'start: first stage'
SOURCE = 'source.json'
DIGEST = 'digest'
"""File of a run's folder with what its records are known by, from the start of its training."""
COPIES = ' copies'
"""Ends the name of a split that is tested on copies of the key frame in place of its neighbors."""
TOKENS = ' tokens '
"""Stands between the name of a split and the number of its clips on which causal tokens are
measured, see `cmpose_mm.interpretability`."""
Metrics = dict[str, dict[str, Any]]
"""Split -> name of the measure -> value; ``clips`` and ``source`` are no measures, see
`evaluate_splits` and `write_record`."""
Results = dict[str, dict[int, Metrics]]
"""Variant -> seed -> metrics."""


def run_experiment(name: str, config: str, *args, **kwargs) -> Results:
    """`run_experiments` of one set."""
    return run_experiments([name], config, *args, **kwargs)[name]


def run_experiments(
    names: Sequence[str],
    config: str,
    seeds: Sequence[int],
    work_dir: Path,
    *,
    splits: Sequence[str] = (),
    first_stage: str | None = None,
    mim_args: Sequence[str] = (),
    jobs: int = 1,
    records: Path | None = None,
    copies: bool = False,
    tokens: int = 0,
    variants: Sequence[str] | None = None,
    cfg_options: dict | None = None,
    only_recorded: bool = False,
) -> dict[str, Results]:
    """Trains every variant of some sets with every seed.

    Each run has its own folder, ``work_dir/<variant>/seed<k>``, beside its config. Finished
    trainings and tests are not repeated, even by another set, and interrupted trainings are resumed
    from their last checkpoint, so the same command continues after an interruption. `results_file`
    holds the results so far.

    Args:
        names: keys of `EXPERIMENTS`. Variants that they share run once.
        config: the config that the variants override.
        seeds: values of ``randomness.seed``, one training each.
        work_dir: folder for the runs and results.
        splits: splits to test on after training: folders of labels beside that of the config's
            ``test_dataloader``. Without splits, the last validation of the training counts.
        first_stage: config of a model that is trained first, once for each seed; all variants of a
            seed start from it. It is tested, too. Without it they start from the config's
            ``load_from``.
        mim_args: further arguments of ``mim train``, for example ``['--gpus', '2']``.
        jobs: runs at a time, each with its share of the cores.
        records: folder of small files with the results on the splits, see `write_record`. A run
            whose file is there is not repeated, wherever it was made.
        copies: test variants also on copies of the key frame, as splits that end with `COPIES`.
        tokens: measure causal tokens of the variants on so many clips of each split, as splits
            whose names `TOKENS` is in; those of variants that select none are empty.
        variants: only these variants of the sets; None for all.
        cfg_options: overrides of both configs, by dotted keys.
        only_recorded: train and test nothing; the results are those in ``records``.

    Returns:
        The results of each set; with ``first_stage``, the last variant is `FIRST_STAGE`.

    Raises:
        KeyError: if there is no such set.
        ValueError: if a folder holds runs of another config, a split to test on has no labels, or
            a set is of another method than the config, or ``cfg_options`` has a seed.
        RuntimeError: if a training or test fails.
    """
    sets = {
        name: {v: c for v, c in EXPERIMENTS[name].items() if variants is None or v in variants}
        for name in names
    }
    seeds = list(dict.fromkeys(seeds))
    work_dir.mkdir(parents=True, exist_ok=True)
    plan = _planned_runs(
        sets, config, seeds, splits, first_stage, copies, tokens, cfg_options, mim_args
    )
    results: Results = {variant: {} for variant, _ in plan}
    if FIRST_STAGE in results:  # the last row
        results[FIRST_STAGE] = results.pop(FIRST_STAGE)
    recorded = set()
    if records is not None and splits:
        for (variant, seed), run in plan.items():
            found = read_record(records, run.digest, run.splits)
            if found is not None:
                results[variant][seed] = found
                recorded.add((variant, seed))

    def of_set(name: str) -> Results:
        return {v: results[v] for v in [*sets[name], FIRST_STAGE] if v in results}

    def save() -> None:
        for name in sets:
            brief = {
                variant: {seed: _without_clips(metrics) for seed, metrics in by_seed.items()}
                for variant, by_seed in of_set(name).items()
            }
            results_file(work_dir, name, 'json').write_text(json.dumps(brief, indent=2) + '\n')

    def run_all(keys: list[tuple[str, int]]) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {
                pool.submit(
                    run_once,
                    plan[key].config,
                    _folder(work_dir, *key),
                    plan[key].splits,
                    mim_args,
                    jobs,
                    plan[key].digest,
                ): key
                for key in keys
            }
            try:
                for future in tqdm(as_completed(futures), ' '.join(names), len(keys), unit='run'):
                    (variant, seed), result = futures[future], future.result()
                    if (variant, seed) in recorded:  # weights of a first stage that were missing
                        continue
                    if records is not None and splits:
                        run = plan[variant, seed]
                        source = source_of_run(_folder(work_dir, variant, seed))
                        if variant == FIRST_STAGE:
                            source['start'] = weights_digest(
                                trained_weights(_folder(work_dir, variant, seed))
                            )
                        write_record(records, variant, seed, run.digest, result, source)
                        result = read_record(records, run.digest, run.splits)
                    for (other, _), run in plan.items():  # one config may have several names
                        if run.digest == plan[variant, seed].digest:
                            results[other][seed] = result
                    save()
            finally:  # after a failure, runs that have not started are canceled
                for future in futures:
                    future.cancel()

    todo = [] if only_recorded else [key for key in plan if key not in recorded]
    if first_stage is not None:
        needed = {seed for _, seed in todo}
        if needed:
            run_all([(FIRST_STAGE, seed) for seed in seeds if seed in needed])
        todo = [key for key in todo if key[0] != FIRST_STAGE]
        for variant, seed in todo:
            checkpoint = trained_weights(_folder(work_dir, FIRST_STAGE, seed))
            plan[variant, seed].config.load_from = checkpoint
        for seed in sorted({seed for _, seed in todo}) if recorded else ():
            start = trained_weights(_folder(work_dir, FIRST_STAGE, seed))
            done = {v: results[v][seed] for v in results if (v, seed) in recorded}
            _warn_of_other_starts(seed, start, done)
    once: dict[str, tuple[str, int]] = {}  # what has several names runs at its first place
    for key in todo:
        once.setdefault(plan[key].digest, key)
    if once:
        run_all(list(once.values()))
    save()
    return {
        name: {
            variant: {seed: by_seed[seed] for seed in seeds if seed in by_seed}
            for variant, by_seed in of_set(name).items()
        }
        for name in sets
    }


def _warn_of_other_starts(seed: int, start: str, recorded: dict[str, Metrics]) -> None:
    """Tells before hours of training which recorded runs of a seed began from other weights."""
    weights = weights_digest(start)
    others = [name for name, begun in starts_of_runs(recorded).items() if begun != weights]
    if others:
        warnings.warn(
            f'seed {seed}: {start} holds other weights than those that these recorded runs began '
            f'from, or their records do not say so: {"; ".join(others)}. Differences to them are '
            'also those of the starts.',
            stacklevel=3,
        )


@dataclass
class _Run:
    """A training, the splits to test on, and the digest that its results are known by."""

    config: Config
    splits: list[str]
    digest: str


def _planned_runs(
    sets: dict[str, dict[str, Variant]],
    config: str,
    seeds: Sequence[int],
    splits: Sequence[str],
    first_stage: str | None,
    copies: bool,
    tokens: int,
    cfg_options: dict | None,
    mim_args: Sequence[str] = (),
) -> dict[tuple[str, int], _Run]:
    """The runs by variant and seed: first stages, then seed by seed, so that one is done early."""
    if any(argument.startswith('--cfg') for argument in mim_args):
        raise ValueError(
            'found --cfg-options among the arguments of mim train, which tests do not get; '
            'expected it among those of this command'
        )
    plan = {}
    trained_with = {'mim_args': list(mim_args)} if mim_args else {}
    if first_stage is not None:
        stage = _load(first_stage, cfg_options, config)
        for seed in seeds:
            run = variant_config(stage, {}, {'randomness.seed': seed, **trained_with})
            plan[FIRST_STAGE, seed] = _Run(run, [*splits], config_digest(run))
    base = _load(config, cfg_options, *([] if first_stage is None else [first_stage]))
    for name in sets:
        check_method(name, base)
    variants = {variant: change for each in sets.values() for variant, change in each.items()}
    splits = [
        *splits,
        *(split + COPIES for split in splits if copies),
        *(f'{split}{TOKENS}{tokens}' for split in splits if tokens),
    ]
    for seed in seeds:
        start = plan[FIRST_STAGE, seed].digest if first_stage is not None else None
        for variant, change in variants.items():
            run = variant_config(base, change, {'randomness.seed': seed, **trained_with})
            if first_stage is None:
                start = _weights_digest(run.get('load_from'))
            plan[variant, seed] = _Run(run, splits, config_digest(run, start))
    return plan


@lru_cache(maxsize=1)  # the same for all variants and seeds
def _weights_digest(load_from: str | None) -> str | None:
    """SHA-256 of the weights to start from; None if they are no file of a disk.

    Raises:
        ValueError: if there is no such file. Which record is that of the run is not known then.
    """
    if load_from is None or '://' in load_from:
        return None
    if not Path(load_from).is_file():
        raise ValueError(
            f'load_from is {load_from}, which is not found; expected a checkpoint, or a first '
            'stage.'
        )
    return sha256(Path(load_from))


def _load(config: str, options: dict | None, *others: str) -> Config:
    """A config with the user's options, each of which one of the configs must have."""
    if 'randomness.seed' in (options or {}):
        raise ValueError(
            'found randomness.seed among the overrides, expected it as a seed (--seeds)'
        )
    config = Config.fromfile(config)
    merge_options(config, options, *(Config.fromfile(other) for other in others if options))
    return config


def _without_clips(metrics: Metrics) -> Metrics:
    return {
        split: {name: value for name, value in measures.items() if name != 'clips'}
        for split, measures in metrics.items()
    }


def is_plain(split: str) -> bool:
    """Whether a split is neither one on copies of the key frame nor one of causal tokens."""
    return not split.endswith(COPIES) and TOKENS not in split


def split_labels(config: Config, split: str) -> str:
    """Path of a split's labels, beside those of the config's ``test_dataloader``."""
    dataset = config.test_dataloader.dataset
    file = PurePosixPath(dataset.ann_file).with_name(split.removesuffix(COPIES))
    return str(PurePosixPath(dataset.data_root, file))


def results_file(work_dir: Path, name: str, ending: str) -> Path:
    """Path of a set's results, ``work_dir/<method>_<set>.<ending>``."""
    return work_dir / f'{name.replace("/", "_")}.{ending}'


def _folder(work_dir: Path, variant: str, seed: int) -> Path:
    return work_dir / re.sub(r'[^\w.+-]+', '_', variant) / f'seed{seed}'


def run_once(
    config: Config,
    work_dir: Path,
    splits: Sequence[str] = (),
    mim_args: Sequence[str] = (),
    jobs: int = 1,
    digest: str | None = None,
) -> Metrics:
    """One training and its tests; see `run_experiments`.

    A finished training and the metrics of a split that the folder holds are not computed again. A
    training that left a checkpoint is resumed. Without ``splits`` the only split is ``val``, the
    last validation of the training. Training and tests share a process; with ``mim_args``, or
    without ``splits``, ``mim train mmpose`` trains. A config names a file to start from; ``digest``
    tells what that file is, so that a folder holds no run that began with another.

    Raises:
        ValueError: if the folder holds a run of another config or ``digest``, its weights are gone,
            a split has no labels, or there are neither ``splits`` nor a validation in the training.
        RuntimeError: if the training or a test fails.
    """
    config_file = work_dir.with_suffix('.py')
    files = {split: work_dir / f'{split}.json' for split in splits}
    missing = [split for split in splits if not files[split].exists()]
    for split in missing if config.get('test_dataloader') else ():  # before hours of training
        labels = split_labels(config, split.split(TOKENS)[0])
        if not Path(labels).exists():
            raise ValueError(f'{labels}: not found, expected the labels of the split {split!r}')
    _note_digest(work_dir, digest)
    _write_config(config, config_file, digest)
    trained = work_dir / 'trained'
    if not trained.exists():
        _note_source(work_dir, config)
    in_one_process = splits and not mim_args
    if not trained.exists() and not in_one_process:
        command = [sys.executable, '-m', 'mim', 'train', 'mmpose', str(config_file), *mim_args]
        command += ['--work-dir', str(work_dir)]
        if splits:
            command.append('--no-validate')
        # Only then: `--resume` makes MMPose ignore `load_from`, even with nothing to resume.
        if (work_dir / 'last_checkpoint').exists():
            command += ['--resume', trained_weights(work_dir)]
        _run(command, work_dir, jobs)
        trained.touch()
    if not splits:
        return {'val': last_validation(work_dir)}
    if missing or not trained.exists():
        command = [sys.executable, '-m', 'cmpose_mm.ablation.split_tests', str(config_file)]
        command += [str(work_dir), *(missing or splits)]
        if not trained.exists():
            command.append('--train')
        _run(command, work_dir, jobs)
    return {split: json.loads(file.read_text()) for split, file in files.items()}


def train_once(config: Config, work_dir: Path, jobs: int = 1, digest: str | None = None) -> str:
    """One training without tests; resumed if it was interrupted, not repeated if it is finished.

    Returns:
        Path of the last checkpoint.

    Raises:
        ValueError, RuntimeError: see `run_once`.
    """
    config_file = work_dir.with_suffix('.py')
    _note_digest(work_dir, digest)
    _write_config(config, config_file, digest)
    if not (work_dir / 'trained').exists():
        _note_source(work_dir, config)
        command = [sys.executable, '-m', 'cmpose_mm.ablation.split_tests', str(config_file)]
        _run([*command, str(work_dir), '--train'], work_dir, jobs)
    return trained_weights(work_dir)


def trained_weights(work_dir: Path) -> str:
    """Path of a training's last checkpoint.

    Raises:
        ValueError: if no file tells it. MMEngine would go on with random weights.
    """
    note = work_dir / 'last_checkpoint'
    if not note.exists():
        raise ValueError(
            f'{note}: not found, expected the path of the last checkpoint; delete {work_dir} to '
            'train again'
        )
    noted = find_latest_checkpoint(str(work_dir))
    beside = work_dir / Path(noted).name  # MMEngine notes whole paths: of a copy, the original's
    return str(beside) if beside.exists() else noted


def source_of_run(work_dir: Path) -> dict:
    """`source_of_results` when a run's training began; of now if its folder does not say so."""
    file = work_dir / SOURCE
    return json.loads(file.read_text()) if file.exists() else source_of_results()


def _note_source(work_dir: Path, config: Config) -> None:
    """Notes what makes a run when its training first begins, with the weights that it begins from.

    A training that left no checkpoint begins anew from the weights of now, which are noted instead.
    """
    file, start = work_dir / SOURCE, config.get('load_from')
    if file.exists() and (work_dir / 'last_checkpoint').exists():
        return
    source = source_of_run(work_dir)
    if start is not None and Path(start).is_file():
        source['start'] = weights_digest(start)
    write_whole(file, json.dumps(source).encode())


def _note_digest(work_dir: Path, digest: str | None) -> None:
    """Notes a run's digest when its training begins; runs of earlier versions have none."""
    file = work_dir / DIGEST
    if digest is None:
        return
    if file.exists():
        if file.read_text() != digest:
            raise ValueError(
                f'{work_dir}: this run began with other weights or labels than those of now; '
                'delete this folder or choose another work folder'
            )
    elif not (work_dir / SOURCE).exists():
        write_whole(file, digest.encode())


def _write_config(config: Config, path: Path, digest: str | None = None) -> None:
    """Writes the config beside its run's folder, unless the same config is there.

    With a digest, which knows what the weights to start from are, their path may be another: that
    of a work folder that was moved.
    """

    def without_start(text: str) -> str:
        return text if digest is None else re.sub(r'(?m)^load_from ?= ?.*\n?', '', text)

    text = config.pretty_text
    before = path.read_text() if path.exists() else None
    if before is None or (before != text and without_start(before) == without_start(text)):
        write_whole(path, text.encode())  # another command may share this run, a first stage
    elif before != text:
        raise ValueError(
            f'{path}: differs from the config of this run, which has changed since; '
            'delete the runs of this folder or choose another work folder'
        )


def _run(command: list[str], work_dir: Path, jobs: int) -> None:
    """Runs a command; its output goes to ``work_dir/output.log``.

    Raises:
        RuntimeError: if it fails, or another process still writes there: the training of a command
            that was killed goes on without it.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if jobs > 1:
        environment.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // jobs)))
    log = work_dir / 'output.log'
    with log.open('a') as file:
        if not lock(file):
            raise RuntimeError(
                f'{work_dir}: another process trains or tests there; wait until it ends, or stop it'
            )
        code = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment
        ).returncode
    if code:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-60:])  # mim adds 40
        raise RuntimeError(f'{tail}\n{" ".join(command)}\nfailed; all its output is in {log}')


def _read_record(line: str) -> dict:
    try:
        return json.loads(line)
    except json.JSONDecodeError:  # the last line of a run that was killed
        return {}


def last_validation(work_dir: Path) -> dict[str, float]:
    """The metrics (AP or PCK) of the last validation that MMEngine logged below a work folder.

    Raises:
        ValueError: if nothing was validated there.
    """
    records = [
        record
        for log in sorted(work_dir.glob('*/vis_data/scalars.json'))
        for record in map(_read_record, log.read_text().splitlines())
        if any(re.search(r'/(AP|t?PCK[^/]*)$', key) for key in record)
    ]
    if not records:
        raise ValueError(f'{work_dir}: no validation result in */vis_data/scalars.json')
    # A resumed run logs into a second folder, where the step count continues.
    last = max(records, key=lambda record: record['step'])
    return {key.split('/', 1)[1]: value for key, value in last.items() if '/' in key}
