"""Means of the benchmark's results over severities and corruptions: mPC, rPC, temporal gain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from cmpose_mm.evaluation.report import COLUMNS
from cmpose_mm.posetrack.joints import JOINT_NAMES

from .plan import Run, cells


def summarize(
    runs: dict[str, dict],
    corruptions: Sequence[str],
    severities: Sequence[int],
    modes: Sequence[str],
    num_frames: int,
) -> dict:
    """Means over severities and corruptions.

    Args:
        runs: result of each run by its name, as `evaluate` returns it or as JSON keeps it.
        corruptions, severities, modes: of which the means are taken.
        num_frames: T of the model.

    Returns:
        ``clean``, the AP by joint, group, Total and mean7; ``recall_occluded`` and
        ``temporal_gain`` on clean videos; and ``modes``. Each mode has ``mPC`` (mean AP, by joint,
        group, Total and mean7), ``rPC`` (that in percent of clean), ``recall_occluded``,
        ``temporal_gain`` and ``corruptions``, which has for each the ``AP`` (Total) by severity,
        and ``mean``, ``recall_occluded`` and ``temporal_gain`` as means over the severities. NaN
        marks what is not defined, as the temporal gain of a single-frame model.
    """

    def values(run: Run, key: str = 'Total') -> float:
        result = runs[run.simplest(num_frames).name]
        return or_nan(result[key] if key == 'recall_occluded' else result['AP'][key])

    def gain(run: Run) -> float:
        return values(run) - values(replace(run, repeat_key=True)) if num_frames > 1 else np.nan

    columns = (*JOINT_NAMES, *COLUMNS)
    summary = {
        'clean': {column: values(Run(), column) for column in columns},
        'recall_occluded': values(Run(), 'recall_occluded'),
        'temporal_gain': gain(Run()),
        'modes': {},
    }
    for mode, names in cells(corruptions, modes).items():
        rows = {}
        for name in names:
            tests = [Run(name, severity, mode) for severity in severities]
            rows[name] = {
                'AP': {str(run.severity): values(run) for run in tests},
                'mean': _mean(values(run) for run in tests),
                'recall_occluded': _mean(values(run, 'recall_occluded') for run in tests),
                'temporal_gain': _mean(gain(run) for run in tests),
            }
        mpc = {
            column: _mean(
                _mean(values(Run(name, severity, mode), column) for severity in severities)
                for name in names
            )
            for column in columns
        }
        summary['modes'][mode] = {
            'mPC': mpc,
            'rPC': {column: _percent(mpc[column], summary['clean'][column]) for column in columns},
            'recall_occluded': _mean(row['recall_occluded'] for row in rows.values()),
            'temporal_gain': _mean(row['temporal_gain'] for row in rows.values()),
            'corruptions': rows,
        }
    return summary


def or_nan(value: float | None) -> float:
    """A number of a results file, where null stands for NaN."""
    return float('nan') if value is None else float(value)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole > 0 else float('nan')
