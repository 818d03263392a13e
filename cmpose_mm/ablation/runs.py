"""Trains and tests all variants of a set with several seeds; finished runs are not repeated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mmengine import Config
from mmengine.runner import find_latest_checkpoint
from tqdm import tqdm

from .experiments import EXPERIMENTS
from .variants import variant_config

FIRST_STAGE = 'start: first stage'
Metrics = dict[str, dict[str, float]]
"""Split -> name of the measure -> value."""
Results = dict[str, dict[int, Metrics]]
"""Variant -> seed -> metrics."""


def run_experiment(
    name: str,
    config: str,
    seeds: Sequence[int],
    work_dir: Path,
    *,
    splits: Sequence[str] = (),
    first_stage: str | None = None,
    mim_args: Sequence[str] = (),
    jobs: int = 1,
) -> Results:
    """Trains every variant of a set with every seed.

    Each run has its own folder, ``work_dir/<variant>/seed<k>``, beside its config. Finished
    trainings and tests are not repeated, even by another set, and interrupted trainings are resumed
    from their last checkpoint, so the same command continues after an interruption. `results_file`
    holds the results so far.

    Args:
        name: a key of `EXPERIMENTS`.
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

    Returns:
        The results; with ``first_stage``, the last variant is `FIRST_STAGE`.

    Raises:
        KeyError: if there is no such set.
        ValueError: if a folder holds runs of another config.
        RuntimeError: if a training or test fails.
    """
    variants = EXPERIMENTS[name]
    work_dir.mkdir(parents=True, exist_ok=True)
    results: Results = {variant: {} for variant in variants}

    def run_all(configs: dict[tuple[str, int], Config]) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {
                pool.submit(run_once, run, _folder(work_dir, *key), splits, mim_args, jobs): key
                for key, run in configs.items()
            }
            try:
                for future in tqdm(as_completed(futures), name, len(futures), unit='run'):
                    variant, seed = futures[future]
                    results.setdefault(variant, {})[seed] = future.result()
                    text = json.dumps(results, indent=2)
                    results_file(work_dir, name, 'json').write_text(text + '\n')
            finally:  # after a failure, runs that have not started are canceled
                for future in futures:
                    future.cancel()

    base = Config.fromfile(config)
    starts: dict[int, dict] = {seed: {} for seed in seeds}
    if first_stage is not None:
        stage = Config.fromfile(first_stage)
        run_all(
            {
                (FIRST_STAGE, seed): variant_config(stage, {}, {'randomness.seed': seed})
                for seed in seeds
            }
        )
        for seed in seeds:
            checkpoint = find_latest_checkpoint(str(_folder(work_dir, FIRST_STAGE, seed)))
            starts[seed] = {'load_from': checkpoint}
    # Seed by seed, so that a table of one seed comes early.
    run_all(
        {
            (variant, seed): variant_config(base, change, {'randomness.seed': seed, **starts[seed]})
            for seed in seeds
            for variant, change in variants.items()
        }
    )
    return {v: {s: results[v][s] for s in seeds} for v in results}


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
) -> Metrics:
    """One training through ``mim train mmpose``, and its tests; see `run_experiment`.

    A finished training and the metrics of a split that the folder holds are not computed again. A
    training that left a checkpoint is resumed. Without ``splits`` the only split is ``val``, the
    last validation of the training.

    Raises:
        ValueError: if the folder holds a run of another config, or there are neither ``splits`` nor
            a validation in the training.
        RuntimeError: if the training or a test fails.
    """
    config_file = work_dir.with_suffix('.py')
    _write_config(config, config_file)
    trained = work_dir / 'trained'
    if not trained.exists():
        command = [sys.executable, '-m', 'mim', 'train', 'mmpose', str(config_file), *mim_args]
        command += ['--work-dir', str(work_dir)]
        if splits:
            command.append('--no-validate')
        # Only then: `--resume` makes MMPose ignore `load_from`, even with nothing to resume.
        if (work_dir / 'last_checkpoint').exists():
            command.append('--resume')
        _run(command, work_dir, jobs)
        trained.touch()
    if not splits:
        return {'val': last_validation(work_dir)}
    files = {split: work_dir / f'{split}.json' for split in splits}
    missing = [split for split in splits if not files[split].exists()]
    if missing:
        command = [sys.executable, '-m', 'cmpose_mm.ablation.split_tests', str(config_file)]
        _run([*command, str(work_dir), *missing], work_dir, jobs)
    return {split: json.loads(file.read_text()) for split, file in files.items()}


def _write_config(config: Config, path: Path) -> None:
    """Writes the config beside its run's folder, unless the same config is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = config.pretty_text
    if path.exists() and path.read_text() != text:
        raise ValueError(
            f'{path}: differs from the config of this run, which has changed since; '
            'delete the runs of this folder or choose another work folder'
        )
    path.write_text(text)


def _run(command: list[str], work_dir: Path, jobs: int) -> None:
    """Runs a command; its output goes to ``work_dir/output.log``."""
    work_dir.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if jobs > 1:
        environment.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // jobs)))
    log = work_dir / 'output.log'
    with log.open('a') as file:
        code = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment
        ).returncode
    if code:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-60:])  # mim adds 40
        raise RuntimeError(f'{tail}\n{" ".join(command)}\nfailed; all its output is in {log}')


def last_validation(work_dir: Path) -> dict[str, float]:
    """The metrics of the last validation that MMEngine logged below a work folder.

    Raises:
        ValueError: if nothing was validated there.
    """
    records = [
        record
        for log in sorted(work_dir.glob('*/vis_data/scalars.json'))
        for record in map(json.loads, log.read_text().splitlines())
        if any(key.endswith('/AP') for key in record)
    ]
    if not records:
        raise ValueError(f'{work_dir}: no validation result in */vis_data/scalars.json')
    # A resumed run logs into a second folder, where the step count continues.
    last = max(records, key=lambda record: record['step'])
    return {key.split('/', 1)[1]: value for key, value in last.items() if '/' in key}
