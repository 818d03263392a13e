"""The paper's ablations as named sets of config overrides, and what tools/ablate.py runs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

ABLATIONS: dict[str, dict[str, dict]] = {
    # Which auxiliary tasks: "Primary", "Mask", "Denoise" of the paper's Table 4.
    'table4': {
        'all': {},
        'primary + mask': {'model.method.aux.noise_ratio': 0.0},
        'primary + denoise': {'model.method.aux.mask_ratio': 0.0},
        'primary': {'model.method.aux': None},
    },
    # What reaches the head: the paper's Table 5.
    'table5': {
        'full': {},
        'causal tokens only': {'model.method.fte.causal_only': True},
        'no FTE': {'model.method.fte': None},
    },
    # One ratio varies, the other keeps its default: the paper's Figure 3.
    'figure3': {
        **{f'mask {r}': {'model.method.aux.mask_ratio': r} for r in RATIOS},
        **{f'noise {r}': {'model.method.aux.noise_ratio': r} for r in RATIOS},
    },
}
"""Set -> variant -> overrides, as MMPose's ``--cfg-options`` takes them (dotted config keys)."""

COLUMNS = ('Head', 'Shou', 'Elb', 'Wri', 'Hip', 'Knee', 'Ankl', 'mean7', 'Total')
"""Columns of the table: `PoseTrackMetric`'s keys without their prefix and `` AP``."""


def run_ablation(
    name: str,
    config: str,
    seeds: Sequence[int],
    work_dir: Path,
    mim_args: Sequence[str] = (),
) -> str:
    """Trains every variant of a set with every seed and writes the table of results.

    Each run has a folder of its own, ``work_dir/<variant>/seed<k>``. Finished runs are not repeated
    and begun ones are resumed from their last checkpoint, so the same command continues
    after a kill.

    Args:
        name: A key of `ABLATIONS`.
        config: The config that the variants override.
        seeds: Values of ``randomness.seed``, one training each.
        work_dir: Receives the runs, ``table.md`` and ``results.json``.
        mim_args: Further arguments of ``mim train``, for example ``['--gpus', '2']``.

    Returns:
        The table in Markdown: mean and standard deviation over the seeds.

    Raises:
        ValueError: If there is no such set.
        subprocess.CalledProcessError: If a training fails.
    """
    if name not in ABLATIONS:
        raise ValueError(f'no ablation named {name!r}; there are {", ".join(ABLATIONS)}')
    runs = [(variant, seed) for variant in ABLATIONS[name] for seed in seeds]
    results: dict[str, dict[int, dict[str, float]]] = {variant: {} for variant in ABLATIONS[name]}
    for number, (variant, seed) in enumerate(runs, 1):
        print(f'[{number}/{len(runs)}] {name}: {variant}, seed {seed}', flush=True)
        folder = work_dir / variant.replace(' ', '_') / f'seed{seed}'
        results[variant][seed] = train_once(
            config, {**ABLATIONS[name][variant], 'randomness.seed': seed}, folder, mim_args
        )
        table = results_table(results)
        (work_dir / 'results.json').write_text(json.dumps(results, indent=2) + '\n')
        (work_dir / 'table.md').write_text(table)
    return table


def train_once(
    config: str, overrides: dict, work_dir: Path, mim_args: Sequence[str] = ()
) -> dict[str, float]:
    """One training through ``mim train mmpose``; returns the metrics of its last validation.

    A folder that holds ``metrics.json`` is finished and only read; one that holds a checkpoint is
    resumed.
    """
    finished = work_dir / 'metrics.json'
    if not finished.exists():
        command = [sys.executable, '-m', 'mim', 'train', 'mmpose', config, *mim_args]
        command += ['--work-dir', str(work_dir)]
        # Only then: `--resume` makes MMPose forget `load_from`, even with nothing to resume.
        if (work_dir / 'last_checkpoint').exists():
            command.append('--resume')
        command += ['--cfg-options', *(f'{key}={value}' for key, value in overrides.items())]
        subprocess.run(command, check=True)
        metrics = last_validation(work_dir)
        partial = finished.with_suffix('.partial')
        partial.write_text(json.dumps(metrics, indent=2) + '\n')
        partial.rename(finished)
    return json.loads(finished.read_text())


def last_validation(work_dir: Path) -> dict[str, float]:
    """The metrics of the last validation that MMEngine logged below a work folder.

    Raises:
        ValueError: If nothing was validated there.
    """
    records = [
        record
        for log in sorted(work_dir.glob('*/vis_data/scalars.json'))
        for record in map(json.loads, log.read_text().splitlines())
        if any(key.endswith('/AP') for key in record)
    ]
    if not records:
        raise ValueError(f'{work_dir}: no validation result in */vis_data/scalars.json')
    # A resumed run logs into a second folder, where the step goes on.
    last = max(records, key=lambda record: record['step'])
    return {key.split('/', 1)[1]: value for key, value in last.items() if '/' in key}


def results_table(results: dict[str, dict[int, dict[str, float]]]) -> str:
    """Markdown table with one row a variant: mean ± standard deviation over its seeds.

    Args:
        results: Variant -> seed -> metrics. Variants without a result yet are left out.
    """
    lines = ['| variant | seeds | ' + ' | '.join(COLUMNS) + ' |', '|---' * (len(COLUMNS) + 2) + '|']
    for variant, by_seed in results.items():
        if not by_seed:
            continue
        cells = []
        for column in COLUMNS:
            values = [metrics[f'{column} AP'] for metrics in by_seed.values()]
            spread = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.1f}{spread}')
        lines.append(f'| {variant} | {len(by_seed)} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'
