"""Experiments as named sets of config overrides, and what tools/ablate.py does with them.

Names are imported when they are used: the sets of a method (`models/<method>/ablations.py`) import
`variants` from here, and `experiments` collects these sets.
"""

from importlib import import_module

_MODULES = {
    'experiments': ('EXPERIMENTS', 'NUMBERS', 'full_name'),
    'report': (
        'check_section',
        'plot_results',
        'replace_section',
        'results_foot',
        'results_tables',
    ),
    'runs': ('last_validation', 'run_experiment', 'run_experiments'),
    'variants': ('variant_config',),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_PLACES)


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_PLACES[name]}', __name__), name)
