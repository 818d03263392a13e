"""Experiments as named sets of config overrides, and what tools/ablate.py does with them."""

from .experiments import EXPERIMENTS, NUMBERS, full_name
from .report import plot_results, replace_section, results_foot, results_tables
from .runs import last_validation, run_experiment, run_experiments
from .variants import variant_config

__all__ = [
    'EXPERIMENTS',
    'NUMBERS',
    'full_name',
    'last_validation',
    'plot_results',
    'replace_section',
    'results_foot',
    'results_tables',
    'run_experiment',
    'run_experiments',
    'variant_config',
]
