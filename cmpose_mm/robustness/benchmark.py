"""The benchmark: all tests, kept in a results file so that an interrupted one continues."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cmpose_mm.corruptions import NUM_SEVERITIES, SEVERITIES

from .one_run import evaluate, prepare
from .plan import IMAGE_MODES, planned_runs
from .results_file import read_runs, write_results
from .summary import or_nan, summarize


def run_benchmark(
    config: str | Path,
    checkpoint: str | Path,
    out: str | Path,
    *,
    corruptions: Sequence[str] = tuple(SEVERITIES),
    severities: Sequence[int] = tuple(range(1, NUM_SEVERITIES + 1)),
    modes: Sequence[str] = IMAGE_MODES,
    seed: int = 0,
    cfg_options: dict | None = None,
) -> dict:
    """Tests a checkpoint on clean and corrupted videos, with its neighbors and without.

    The results file is written after each test. Tests that are in it already are not repeated, so
    the same command continues after a kill, and one with more corruptions adds to it.

    Args:
        config: of a top-down model, of clips or of single frames, whose test data have the format
            of PoseTrack.
        checkpoint: its weights.
        out: results file, JSON. A folder that is missing is made.
        corruptions: names, see `SEVERITIES`.
        severities: of 1 to 5, in any order; one that is given twice counts once.
        modes: for corruptions of images, 'key' and 'persistent'.
        seed: of the corruptions.
        cfg_options: overrides of the config, by dotted keys.

    Returns:
        What the file holds: ``settings``, ``runs`` and ``summary``, see `summarize`.

    Raises:
        RobustnessError: if config, checkpoint or results file do not fit.
    """
    out, severities = Path(out), sorted(set(severities))
    subject = prepare(config, checkpoint, seed=seed, cfg_options=cfg_options)
    runs = read_runs(out, subject.settings)
    plan = planned_runs(corruptions, severities, modes, subject.num_frames)
    out.parent.mkdir(parents=True, exist_ok=True)
    results = {'settings': subject.settings, 'runs': runs}
    for place, run in enumerate(plan, 1):
        title = f'[{place}/{len(plan)}] {run.name}'
        if run.name not in runs:
            runs[run.name] = evaluate(subject, run, title)
            write_results(out, results)
        total = or_nan(runs[run.name]['AP']['Total'])
        print(f'{title}: AP {total:.2f}', file=sys.stderr, flush=True)
    results['summary'] = summarize(runs, corruptions, severities, modes, subject.num_frames)
    write_results(out, results)
    return results
