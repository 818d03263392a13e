"""The benchmark's results as tables and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cmpose_mm.evaluation.report import (
    COLUMNS,
    format_table,
    markdown_table,
    mean_and_spread,
)
from cmpose_mm.posetrack.joints import JOINT_NAMES

from .plan import RobustnessError, Run
from .summary import or_nan


def format_summary(results: dict) -> str:
    """The tables of a benchmark in Markdown, from what `run_benchmark` returns."""
    summary, settings = results['summary'], results['settings']
    severities = _severities(summary)
    clean = summary['clean']
    blank = {f'AP {severity}': np.nan for severity in severities}
    shared = ('recall_occluded', 'temporal_gain')
    rows = {'clean': {**blank, 'mean': clean['Total'], **{key: summary[key] for key in shared}}}
    groups = {'clean': clean}
    for mode, table in summary['modes'].items():
        for name, row in table['corruptions'].items():
            rows[f'{name}, {mode}'] = {
                **row,
                **{f'AP {severity}': row['AP'][str(severity)] for severity in severities},
            }
        of_mode = {key: table[key] for key in shared}
        rows[f'mPC, {mode}'] = {**blank, 'mean': table['mPC']['Total'], **of_mode}
        groups[f'mPC, {mode}'], groups[f'rPC, {mode}'] = table['mPC'], table['rPC']
    headings = {
        **{f'AP {severity}': f'AP {severity}' for severity in severities},
        'mean': 'mean AP',
        'recall_occluded': 'recall, occluded',
        'temporal_gain': 'temporal gain',
    }
    main = {
        name: {heading: or_nan(row[key]) for key, heading in headings.items()}
        for name, row in rows.items()
    }
    groups = {
        name: {column: or_nan(value) for column, value in row.items()}
        for name, row in groups.items()
    }
    joints = {joint: {name: row[joint] for name, row in groups.items()} for joint in JOINT_NAMES}
    counts = results['runs'][Run().name]['counts']
    complete = {mode: list(table['corruptions']) for mode, table in summary['modes'].items()}
    return '\n\n'.join(
        [
            format_table(main, list(headings.values())),
            format_table(groups, COLUMNS),
            format_table(joints, list(groups)),
            'Means over '
            + ', '.join(f'{len(names)} corruptions ({mode})' for mode, names in complete.items())
            + f' and severities {", ".join(map(str, severities))}. '
            + ', '.join(f'{key}: {value}' for key, value in settings.items())
            + '. Scored: '
            + ', '.join(f'{number} {name}' for name, number in counts.items())
            + '.',
        ]
    )


def format_seeds(results: Sequence[dict]) -> str:
    """AP and temporal gain of models that differ in their seed, as one table in Markdown.

    Args:
        results: of `run_benchmark`, one for each seed.

    Returns:
        A row for clean videos, each corruption and the mean of each mode: mean ± sample standard
        deviation over the seeds; means over severities as in `format_summary`.

    Raises:
        RobustnessError: if they differ in more than the checkpoint, or in what was corrupted.
    """
    first = results[0]['settings']
    for result in results[1:]:
        for key in {**first, **result['settings']}:
            found = result['settings'].get(key)
            if key != 'checkpoint' and found != first.get(key):
                raise RobustnessError(
                    f'results of {key} {found!r} and of {first.get(key)!r}; expected those of one '
                    'test that differ in the checkpoint alone'
                )
    checkpoints = [result['settings'].get('checkpoint') for result in results]
    if len({*checkpoints}) < len(checkpoints):
        raise RobustnessError('two results are of one checkpoint, expected one of each seed')
    if any('summary' not in result for result in results):
        raise RobustnessError('a result has no summary, expected those of finished tests')
    tables, severities = [], []
    for place, result in enumerate(results, 1):
        try:
            tables.append(_ap_and_gain(result['summary']))
            severities.append(_severities(result['summary']))
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise RobustnessError(
                f'the summary of result {place} is not whole ({error!r}), expected that of a '
                'finished test'
            ) from None
    if any({*table} != {*tables[0]} for table in tables):
        raise RobustnessError(
            'the results are of different corruptions or modes, expected the same'
        )
    for found in severities[1:]:
        if found != severities[0]:
            raise RobustnessError(
                f'results of severities {found} and of {severities[0]}, expected the same'
            )
    rows = [
        [name, *(mean_and_spread([table[name][place] for table in tables]) for place in (0, 1))]
        for name in tables[0]
    ]
    return markdown_table(['', 'AP', 'temporal gain'], rows)


def _ap_and_gain(summary: dict) -> dict[str, tuple[float, float]]:
    rows = {'clean': (summary['clean']['Total'], summary['temporal_gain'])}
    for mode, table in summary['modes'].items():
        for name, row in table['corruptions'].items():
            rows[f'{name}, {mode}'] = row['mean'], row['temporal_gain']
        rows[f'mPC, {mode}'] = table['mPC']['Total'], table['temporal_gain']
    return {name: tuple(map(or_nan, values)) for name, values in rows.items()}


def plot_summary(results: dict, file: str | Path) -> None:
    """Draws AP over severity, a panel for each mode and a line for each corruption.

    Args:
        results: from `run_benchmark`.
        file: picture to write, in the format of its ending.
    """
    from matplotlib.figure import Figure  # slow to import, and not needed for a table

    summary = results['summary']
    severities = _severities(summary)
    figure = Figure(figsize=(4.5 * len(summary['modes']), 4), layout='constrained')
    axes = figure.subplots(1, len(summary['modes']), sharey=True, squeeze=False)[0]
    clean = or_nan(summary['clean']['Total'])
    for axis, (mode, table) in zip(axes, summary['modes'].items()):
        for name, row in table['corruptions'].items():
            precision = [or_nan(row['AP'][str(severity)]) for severity in severities]
            axis.plot([0, *severities], [clean, *precision], marker='o', ms=3, label=name)
        axis.set(title=mode, xlabel='severity', xticks=[0, *severities])
        axis.grid(alpha=0.3)
        axis.legend(fontsize='x-small')
    axes[0].set_ylabel('AP (Total)')
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)


def _severities(summary: dict) -> list[int]:
    table = next(iter(summary['modes'].values()))['corruptions']
    return [int(severity) for severity in next(iter(table.values()))['AP']]
