"""Tables and plots of an experiment's results, and writing them into a document."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from cmpose_mm.evaluation.report import markdown_table, mean_and_spread
from cmpose_mm.evaluation.resampling import (
    NUM_DRAWS,
    RankedJoints,
    draw_films,
    interval,
    pooled_share,
    resampled_total,
)

from .records import format_sources, starts_of_runs
from .runs import COPIES, FIRST_STAGE, Results, is_plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RECALL = ('Recall visible', 'Recall occluded', 'Recall recoverable', 'Recall lost')
GROUPS = ('Head AP', 'Shou AP', 'Elb AP', 'Wri AP', 'Hip AP', 'Knee AP', 'Ankl AP', 'mean7 AP')
PCK = ('PCK@0.1', 'PCK@0.2', 'PCK@0.05', 'tPCK@0.2')
COMPARED = ('PCK@0.1', 'PCK@0.2', 'Total AP', 'Recall recoverable')
PLOTTED = ('PCK@0.1', 'Total AP', 'Recall occluded', 'Recall recoverable')
GAINS = ('PCK@0.1', 'Total AP')
AP_DRAWS = 2000
"""Draws for intervals of AP; those of PCK have `NUM_DRAWS`."""


def value(measures: dict, name: str) -> float:
    """A measure of one split; NaN if it is not there.

    PCK by the box pools the joints of all clips, if the clips' hits are known: found joints over
    labeled joints. (The metric's own is the mean over the 14 or 15 kinds of joints.)
    """
    pooled = _hits(measures, name)
    if pooled is not None:
        hits, joints = pooled
        return 100 * float(hits.sum() / joints.sum()) if joints.sum() else math.nan
    return measures.get(name, math.nan)


def draws(measures: dict, name: str) -> np.ndarray | None:
    """(R,) a measure of one split when its films are drawn anew; None if the clips do not tell.

    The same films give the same draws, so that two models compare on each.
    """
    clips = measures.get('clips') or {}
    pooled = _hits(measures, name)
    if pooled is not None:
        return pooled_share(*pooled, draw_films(clips['films']))
    if name == 'Total AP' and 'ranked' in clips:
        joints = RankedJoints.from_dict(clips['ranked'])
        return resampled_total(joints, draw_films(clips['films'], AP_DRAWS))
    return None


def _hits(measures: dict, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(V,) found and (V,) labeled joints of the clips by the threshold in the measure's name."""
    clips = measures.get('clips') or {}
    names = [f'PCK@{threshold:g}' for threshold in clips.get('thresholds', ())]
    if 'hits' not in clips or name not in names:
        return None
    joints = np.array(clips['joints'])
    hits = np.array(clips['hits']).reshape(len(joints), len(names), -1)
    return hits[:, names.index(name)].sum(axis=1), joints.sum(axis=1)


class Comparison:
    """Differences of two results per seed, and their interval over films.

    Args:
        pairs: (measures, measures of the reference) of each seed, on one split.
        name: of the measure.
    """

    def __init__(self, pairs: Sequence[tuple[dict, dict]], name: str) -> None:
        self.pairs, self.name = pairs, name

    @property
    def differences(self) -> list[float]:
        """One for each seed."""
        return [value(ours, self.name) - value(theirs, self.name) for ours, theirs in self.pairs]

    def interval(self) -> tuple[float, float] | None:
        """95 % of the draws, in each of which the seeds are averaged; None without clips.

        It has no width if all clips are of one film: nothing is known then of how films differ.
        """
        for ours, theirs in self.pairs:
            clips = [measures.get('clips') or {} for measures in (ours, theirs)]
            if 'names' not in clips[0] or any(
                clips[0].get(key) != clips[1].get(key) for key in ('names', 'films')
            ):
                return None
        resampled = [
            [_cached_draws(measures, self.name) for measures in pair] for pair in self.pairs
        ]
        if not resampled or any(values is None for pair in resampled for values in pair):
            return None
        return interval(np.mean([ours - theirs for ours, theirs in resampled], axis=0))

    def __str__(self) -> str:
        text = mean_and_spread(self.differences, signed=True)
        found = self.interval() if text != '-' else None
        return text if found is None else f'{text} [{found[0]:+.1f}, {found[1]:+.1f}]'


def _cached_draws(measures: dict, name: str) -> np.ndarray | None:
    """`draws`, kept beside the measures: the reference's are needed for every row."""
    kept = measures.setdefault('draws', {})
    if name not in kept:
        kept[name] = draws(measures, name)
    return kept[name]


def draw_all(results: Results) -> None:
    """Computes the `draws` of AP that tables and plots need, which take seconds, with a bar."""
    todo = [
        measures
        for by_seed in results.values()
        for metrics in by_seed.values()
        for measures in metrics.values()
        if 'ranked' in (measures.get('clips') or {}) and 'draws' not in measures
    ]
    for measures in tqdm(todo, 'intervals', unit='test', disable=not todo):
        _cached_draws(measures, 'Total AP')


def results_tables(results: Results, compared: Sequence[str] = COMPARED) -> str:
    """One Markdown table per split, with mean ± standard deviation over the seeds of each variant.

    Columns with a *Δ* are differences from the first variant with the same seed, and their spread;
    both variants start from the same weights and see the same samples. Where the results of single
    clips are known, the 95 % interval follows that `Comparison.interval` gives. *gain* is the
    difference from the same weights on copies of the key frame, where those were tested. The groups
    of joints have columns if there is only one split.

    Args:
        results: variants without results are left out; without those of the first, no *Δ* is known.
        compared: the measures with a *Δ*.
    """
    with_first, first = results, next(iter(results.values()), {})
    results = {variant: by_seed for variant, by_seed in results.items() if by_seed}
    if not results:
        return ''
    draw_all(results)
    splits = next(iter(next(iter(results.values())).values()))
    splits = {s: measures for s, measures in splits.items() if is_plain(s)}
    tables = []
    for split, measures in splits.items():
        columns = [name for name in (*PCK, 'Total AP', *RECALL) if name in measures]
        if len(splits) == 1 and PCK[0] not in measures:
            columns = [*(name for name in GROUPS if name in measures), *columns]
        # of another metric, such as PCKh
        columns = columns or [name for name in measures if isinstance(measures[name], float)]
        header = [split, 'seeds']
        for column in columns:
            name = column.removesuffix(' AP').replace('Recall', 'recall')
            name = 'AP' if name == 'Total' and PCK[0] in measures else name
            header += [name, f'Δ {name}'] if column in compared else [name]
        with_copies = any(
            split + COPIES in metrics
            for by_seed in results.values()
            for metrics in by_seed.values()
        )
        gains = [name for name in GAINS if name in measures and with_copies]
        header += [f'gain {name.removeprefix("Total ")}' for name in gains]
        rows = []
        for variant, by_seed in results.items():
            cells = [variant, len(by_seed)]
            for column in columns:
                cells.append(mean_and_spread([value(m[split], column) for m in by_seed.values()]))
                if column in compared:
                    pairs = _pairs(with_first, variant, split)
                    cells.append(Comparison(pairs, column) if by_seed is not first else '')
            pairs = temporal_pairs(by_seed, split)
            cells += [Comparison(pairs, name) for name in gains]
            rows.append(list(map(str, cells)))
        tables.append(markdown_table(header, rows) + '\n')
    return '\n'.join(tables)


def temporal_pairs(by_seed: dict[int, dict], split: str) -> list[tuple[dict, dict]]:
    """For each seed the measures with neighbors and those on copies of the key frame."""
    return [(m[split], m[split + COPIES]) for m in by_seed.values() if split + COPIES in m]


def _pairs(results: Results, variant: str, split: str) -> list[tuple[dict, dict]]:
    """Measures of a variant and of the first, for each seed that both have."""
    first = next(iter(results.values()))
    return [(m[split], first[s][split]) for s, m in results[variant].items() if s in first]


def results_foot(results: Results) -> str:
    """What the differences and intervals are, and which commits and machines the results are from.

    Also names the runs that did not begin from the weights of the first variant with their seed.
    Empty for results that no file has kept.
    """
    measures = [
        m for by_seed in results.values() for metrics in by_seed.values() for m in metrics.values()
    ]
    sources = [
        next(m['source'] for m in metrics.values() if 'source' in m)
        for by_seed in results.values()
        for metrics in by_seed.values()
        if any('source' in m for m in metrics.values())
    ]
    lines = []
    if any(m.get('clips') for m in measures):
        counts = {
            split: (len(m['clips']['names']), len({*m['clips']['films']}))
            for by_seed in results.values()
            for metrics in by_seed.values()
            for split, m in metrics.items()
            if m.get('clips') and is_plain(split)
        }
        sizes = ', '.join(f'{s} {clips} clips of {films}' for s, (clips, films) in counts.items())
        lines.append(
            f'In brackets: 95 % of {NUM_DRAWS:,} draws of the films with replacement '
            f'({AP_DRAWS:,} for AP), seeds averaged ({sizes} films).'
        )
    lines += _other_starts(results)
    if sources:
        lines.append(format_sources(sources))
    return '\n\n'.join(lines)


def _other_starts(results: Results) -> list[str]:
    """A sentence for each seed whose runs did not all begin from the same weights."""
    lines = []
    for seed in sorted({seed for by_seed in results.values() for seed in by_seed}):
        starts = starts_of_runs({v: results[v][seed] for v in results if seed in results[v]})
        if len({*starts.values()}) > 1:  # if no record tells, there is nothing to say
            first, *rest = starts
            others = [variant for variant in rest if starts[variant] != starts[first]]
            lines.append(
                f'Seed {seed}: {"; ".join(others)} began from other weights than {first}, or '
                'records do not say so; differences to them are also those of the starts.'
            )
    return lines


def plot_results(results: Results, path: Path, numbers: tuple[str, float] | None = None) -> None:
    """Draws differences in AP and in recall of hidden joints, with one column of panels per split.

    A dot is the difference from the first variant with the same seed, a bar the mean with the
    standard deviation. With ``numbers``, the variants are points on lines: ``mask 0.4`` and
    ``mask 0.5`` are on the line ``mask``. The first variant is on all lines, the first stage on
    none.

    Args:
        results: variants that share no seed with the first are left out. If the first has no
            results, the picture says so.
        path: of the picture; its suffix decides the format.
        numbers: what the numbers in the variants' names are, and the number of the first variant.
    """
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    reference, first_results = next(iter(results.items()))
    if not first_results:
        figure = Figure(figsize=(6, 1))
        figure.text(0.5, 0.5, f'no results of {reference}, to compare with', ha='center')
        figure.savefig(path, dpi=100)
        return
    results = {v: by_seed for v, by_seed in results.items() if {*by_seed} & {*first_results}}
    first = next(iter(first_results.values()))
    splits = [split for split in first if is_plain(split)]
    measures = [m for m in PLOTTED if any(m in first[split] for split in splits)]
    if not measures:
        figure = Figure(figsize=(6, 1))
        figure.text(0.5, 0.5, f'none of {", ".join(PLOTTED)} was measured', ha='center')
        figure.savefig(path, dpi=100)
        return
    lines = numbers is not None
    height = 2.4 if lines else 0.5 + 0.22 * len(results)
    figure = Figure(figsize=(1.8 + 2.6 * len(splits), 0.4 + height * len(measures)),
                    layout='constrained')  # fmt: skip
    panels = figure.subplots(
        len(measures), len(splits), squeeze=False, sharex=lines, sharey=False if lines else True
    )
    for row, measure in zip(panels, measures):
        for axes, split in zip(row, splits):
            values = {  # without NaN: AP of cut clips, PCK of first stages
                v: [
                    value
                    for value in Comparison(_pairs(results, v, split), measure).differences
                    if value == value
                ]
                for v in results
            }
            if not any(values.values()):
                axes.set_axis_off()
                continue
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
    figure.savefig(path, dpi=100)


def _draw_bars(axes: Axes, values: dict[str, list[float]]) -> None:
    """One horizontal bar per variant."""
    names = list(values)
    for place, name in enumerate(names):
        seeds = values[name]
        if not seeds:
            continue
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
        if seeds and variant not in (reference, FIRST_STAGE):
            name, number = variant.rsplit(' ', 1)
            points = by_name.setdefault(name, [(reference_number, values[reference])])
            points.append((float(number), seeds))
    for name, points in by_name.items():
        numbers, by_number = zip(*sorted(points))
        spread = [statistics.stdev(seeds) if len(seeds) > 1 else 0 for seeds in by_number]
        axes.errorbar(numbers, [statistics.mean(seeds) for seeds in by_number], yerr=spread,
                      marker='.', capsize=2, label=name)  # fmt: skip
    axes.axhline(0, linestyle='--', linewidth=0.8, color='0.5')


def check_section(document: Path | None, name: str) -> None:
    """Checks, before anything is run, that `replace_section` can write; None needs no section.

    Raises:
        ValueError: if there is no such document, or it does not have both marks exactly once.
    """
    if document is None:
        return
    if not document.is_file():
        raise ValueError(f'{document}: not found; expected a document with a section "{name}"')
    content = document.read_text()
    begin, end = _marks(name)
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(
            f'{document}: expected the lines "{begin.strip()}" and "{end.strip()}" once each'
        )


def _marks(name: str) -> tuple[str, str]:
    return f'<!-- begin {name} -->\n', f'<!-- end {name} -->\n'


def replace_section(document: Path, name: str, text: str) -> None:
    """Writes text between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a document.

    Raises:
        ValueError: see `check_section`.
    """
    check_section(document, name)
    content = document.read_text()
    begin, end = _marks(name)
    before, rest = content.split(begin)
    after = rest.split(end)[1]
    text = text.strip('\n')  # not spaces: indentation marks code
    document.write_text(f'{before}{begin}\n{text}\n\n{end}{after}')
