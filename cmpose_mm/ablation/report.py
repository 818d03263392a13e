"""Tables and plots of an experiment's results, and writing them into a document."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from cmpose_mm.evaluation.report import markdown_table

from .runs import FIRST_STAGE, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RECALL = ('Recall visible', 'Recall occluded', 'Recall recoverable', 'Recall lost')
GROUPS = ('Head AP', 'Shou AP', 'Elb AP', 'Wri AP', 'Hip AP', 'Knee AP', 'Ankl AP', 'mean7 AP')
COMPARED = ('Total AP', 'Recall recoverable')
PLOTTED = ('Total AP', 'Recall occluded', 'Recall recoverable')


def mean_and_spread(values: list[float], signed: bool = False) -> str:
    """Mean ± sample standard deviation; a single value alone; a dash if a value is NaN."""
    if not values or any(value != value for value in values):
        return '-'
    mean = f'{statistics.mean(values):{"+" if signed else ""}.1f}'
    return f'{mean} ± {statistics.stdev(values):.1f}' if len(values) > 1 else mean


def results_tables(results: Results) -> str:
    """One Markdown table per split, with mean ± standard deviation over the seeds of each variant.

    Columns with a *Δ* are differences from the first variant with the same seed, and their spread;
    both variants start from the same weights and see the same samples. The groups of joints have
    columns if there is only one split.

    Args:
        results: variants without results are left out.
    """
    results = {variant: by_seed for variant, by_seed in results.items() if by_seed}
    if not results:
        return ''
    splits = next(iter(next(iter(results.values())).values()))
    tables = []
    for split, measures in splits.items():
        columns = [*GROUPS] if len(splits) == 1 else []
        columns += ['Total AP', *(name for name in RECALL if name in measures)]
        header = [split, 'seeds']
        for column in columns:
            name = column.removesuffix(' AP').replace('Recall', 'recall')
            header += [name, f'Δ {name}'] if column in COMPARED else [name]
        rows = []
        for variant, by_seed in results.items():
            cells = [variant, len(by_seed)]
            for column in columns:
                values = [metrics[split][column] for metrics in by_seed.values()]
                cells.append(mean_and_spread(values))
                if column in COMPARED:
                    cells.append(_difference(results, variant, split, column))
            rows.append(cells)
        tables.append(markdown_table(header, rows) + '\n')
    return '\n'.join(tables)


def _difference(results: Results, variant: str, split: str, measure: str) -> str:
    if variant == next(iter(results)):
        return ''
    return mean_and_spread(_differences(results, variant, split, measure), signed=True)


def _differences(results: Results, variant: str, split: str, measure: str) -> list[float]:
    """Differences from the first variant, for each seed that both have."""
    first = next(iter(results.values()))
    return [
        metrics[split].get(measure, math.nan) - first[seed][split].get(measure, math.nan)
        for seed, metrics in results[variant].items()
        if seed in first
    ]


def plot_results(results: Results, path: Path, numbers: tuple[str, float] | None = None) -> None:
    """Draws differences in AP and in recall of hidden joints, with one column of panels per split.

    A dot is the difference from the first variant with the same seed, a bar the mean with the
    standard deviation. With ``numbers``, the variants are points on lines: ``mask 0.4`` and
    ``mask 0.5`` are on the line ``mask``. The first variant is on all lines, the first stage on
    none.

    Args:
        results: variants that share no seed with the first are left out.
        path: of the picture; its suffix decides the format.
        numbers: what the numbers in the variants' names are, and the number of the first variant.
    """
    from matplotlib.figure import Figure

    reference, first_results = next((v, by_seed) for v, by_seed in results.items() if by_seed)
    results = {v: by_seed for v, by_seed in results.items() if {*by_seed} & {*first_results}}
    first = next(iter(first_results.values()))
    splits = list(first)
    measures = [m for m in PLOTTED if any(m in first[split] for split in splits)]
    lines = numbers is not None
    height = 2.4 if lines else 0.5 + 0.22 * len(results)
    figure = Figure(figsize=(1.8 + 2.6 * len(splits), 0.4 + height * len(measures)),
                    layout='constrained')  # fmt: skip
    panels = figure.subplots(
        len(measures), len(splits), squeeze=False, sharex=lines, sharey=False if lines else True
    )
    for row, measure in zip(panels, measures):
        for axes, split in zip(row, splits):
            values = {v: _differences(results, v, split, measure) for v in results}
            if lines:
                _draw_lines(axes, values, reference, numbers[1])
            else:
                _draw_bars(axes, values)
            axes.set_title(f'{split}: {measure}', fontsize='small')
            axes.tick_params(labelsize='small')
    if lines:
        panels[0, 0].legend(fontsize='small')
        for axes in panels[-1]:
            axes.set_xlabel(numbers[0], fontsize='small')
    label = figure.supylabel if lines else figure.supxlabel
    label(f'difference to {reference}', fontsize='small')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _draw_bars(axes: Axes, values: dict[str, list[float]]) -> None:
    """One horizontal bar per variant."""
    names = list(values)
    for place, name in enumerate(names):
        seeds = values[name]
        spread = statistics.stdev(seeds) if len(seeds) > 1 else 0
        axes.errorbar(statistics.mean(seeds), place, xerr=spread, fmt='|', color='C0', capsize=3,
                      markersize=10, markeredgewidth=2)  # fmt: skip
        axes.plot(seeds, [place] * len(seeds), '.', color='0.4', markersize=4)
    axes.axvline(0, linestyle='--', linewidth=0.8, color='0.5')
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _draw_lines(
    axes: Axes, values: dict[str, list[float]], reference: str, reference_number: float
) -> None:
    """One line per name; the reference, at difference 0, is a point on each."""
    by_name: dict[str, list[tuple[float, list[float]]]] = {}
    for variant, seeds in values.items():
        if variant not in (reference, FIRST_STAGE):
            name, number = variant.rsplit(' ', 1)
            points = by_name.setdefault(name, [(reference_number, values[reference])])
            points.append((float(number), seeds))
    for name, points in by_name.items():
        numbers, by_number = zip(*sorted(points))
        spread = [statistics.stdev(seeds) if len(seeds) > 1 else 0 for seeds in by_number]
        axes.errorbar(numbers, [statistics.mean(seeds) for seeds in by_number], yerr=spread,
                      marker='.', capsize=2, label=name)  # fmt: skip
    axes.axhline(0, linestyle='--', linewidth=0.8, color='0.5')


def replace_section(document: Path, name: str, text: str) -> None:
    """Writes text between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a document.

    Raises:
        ValueError: if the document does not have both marks exactly once.
    """
    content = document.read_text()
    begin, end = f'<!-- begin {name} -->\n', f'<!-- end {name} -->\n'
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(
            f'{document}: expected the lines "{begin.strip()}" and "{end.strip()}" once each'
        )
    before, rest = content.split(begin)
    after = rest.split(end)[1]
    text = text.strip('\n')  # not spaces: indentation marks code
    document.write_text(f'{before}{begin}\n{text}\n\n{end}{after}')
