"""The results file of the benchmark: what is finished need not be tested again."""

from __future__ import annotations

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
    try:
        results = orjson.loads(out.read_bytes())
        found, runs = dict(results['settings']), dict(results['runs'])
    except (ValueError, KeyError, TypeError):
        raise RobustnessError(
            f'{out}: expected results of this benchmark (JSON with "settings" and "runs") or no '
            'such file'
        ) from None
    for key, value in settings.items():
        if found.get(key) != value:
            raise RobustnessError(
                f'{out}: its results are of {key} {found.get(key)!r}, expected {value!r}; choose '
                'another file for this test'
            )
    # the mode's name in earlier versions
    return {name.replace('/neighbours', f'/{NEIGHBORS}'): run for name, run in runs.items()}


def write_results(out: Path, results: dict) -> None:
    """Replaces the results file, which so is whole at any time."""
    write_whole(out, orjson.dumps(results, option=orjson.OPT_INDENT_2))
