"""The place where the robustness benchmark was; it is in `cmpose_mm.robustness` now."""

from cmpose_mm.old_names import old_names

_NAMES = (
    'IMAGE_MODES NEIGHBORS RobustnessError Run Subject cells corrupted_pipeline evaluate '
    'format_summary planned_runs plot_summary prepare run_benchmark summarize'
).split()
__getattr__ = old_names(
    __name__,
    {
        **{name: f'cmpose_mm.robustness:{name}' for name in _NAMES},
        'NEIGHBOURS': 'cmpose_mm.robustness:NEIGHBORS',
    },
)
