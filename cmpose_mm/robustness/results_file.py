"""The results file of the benchmark: what is finished need not be tested again."""

from __future__ import annotations

import warnings
from pathlib import Path

import orjson

from cmpose_mm.whole_files import write_whole

from .plan import NEIGHBORS, RobustnessError


def read_runs(out: Path, settings: dict) -> dict[str, dict]:
    """Finished runs of a results file; none if there is no such file.

    Args:
        out: the file.
        settings: what the runs must share, see `Subject`.

    Raises:
        RobustnessError: if it is no results file, or one of other settings.
    """
    if not out.exists():
        return {}
    results = read_results(out)
    found, runs = results['settings'], results['runs']
    for key, value in settings.items():
        if key == 'labels' and key not in found:
            warnings.warn(
                f'{out}: results of an earlier version, which does not tell what the labels held; '
                'taken for those of the same labels as now.',
                stacklevel=3,
            )
        elif found.get(key) != value:
            raise RobustnessError(
                f'{out}: its results are of {key} {found.get(key)!r}, expected {value!r}; choose '
                'another file for this test'
            )
    return runs


def read_results(file: Path) -> dict[str, dict]:
    """Content of a results file: ``settings``, ``runs`` and what `run_benchmark` adds to them.

    Raises:
        RobustnessError: if it is none.
        OSError: if it can not be read.
    """
    try:
        results = dict(orjson.loads(file.read_bytes()))
        results.update({key: dict(results[key]) for key in ('settings', 'runs')})
        results['runs'] = {_name_of_today(name): run for name, run in results['runs'].items()}
        if 'summary' in results:
            modes = results['summary']['modes']
            results['summary']['modes'] = {_name_of_today(f'/{m}')[1:]: modes[m] for m in modes}
        return results
    except (ValueError, KeyError, TypeError):
        raise RobustnessError(
            f'{file}: expected results of this benchmark (JSON with "settings" and "runs") or no '
            'such file'
        ) from None


def _name_of_today(run: str) -> str:
    """The name of a run; in earlier versions a mode was named otherwise."""
    return run.replace('/neighbours', f'/{NEIGHBORS}')


def write_results(out: Path, results: dict) -> None:
    """Replaces the results file, which so is whole at any time."""
    write_whole(out, orjson.dumps(results, option=orjson.OPT_INDENT_2))
