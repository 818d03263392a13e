"""The benchmark: all tests, kept in a results file so that an interrupted one continues."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cmpose_mm.corruptions import NUM_SEVERITIES, SEVERITIES
from cmpose_mm.whole_files import lock

from .one_run import evaluate, prepare
from .plan import IMAGE_MODES, RobustnessError, planned_runs
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
        RobustnessError: if config, checkpoint or results file do not fit, or another command writes
            that file.
    """
    out, severities = Path(out), sorted(set(severities))
    subject = prepare(config, checkpoint, seed=seed, cfg_options=cfg_options)
    plan = planned_runs(corruptions, severities, modes, subject.num_frames)
    read_runs(out, subject.settings)  # says what is wrong before a folder is made
    out.parent.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        runs = read_runs(out, subject.settings)
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


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Refuses a second command with the same results file, since each would lose the other's."""
    beside = out.with_name(f'.{out.name}.lock')
    with open(beside, 'w') as file:
        if not lock(file):
            raise RobustnessError(
                f'{out}: another command adds its results there; wait until it ends, or give '
                'another file'
            )
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)
