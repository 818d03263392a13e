"""PoseTrack-C: how a model's average precision falls when videos are corrupted.

Tests one checkpoint again and again with MMEngine's runner, each time with other transforms in the
config's own test pipeline, and sums up. `docs/robustness.md` has the definitions.
"""

from .benchmark import run_benchmark
from .one_run import Subject, corrupted_pipeline, evaluate, prepare
from .plan import IMAGE_MODES, NEIGHBORS, RobustnessError, Run, cells, planned_runs
from .report import format_seeds, format_summary, plot_summary
from .results_file import read_results
from .summary import summarize

__all__ = [
    'IMAGE_MODES',
    'NEIGHBORS',
    'RobustnessError',
    'Run',
    'Subject',
    'cells',
    'corrupted_pipeline',
    'evaluate',
    'format_seeds',
    'format_summary',
    'planned_runs',
    'plot_summary',
    'prepare',
    'read_results',
    'run_benchmark',
    'summarize',
]
