"""The leaderboard: every method and baseline on equal terms, on real and on rendered videos.

A method is on it if there is a ``configs/<folder>/<method>_small.py``. All have the same backbone,
start (a single-frame model for each seed), samples and steps, with the backbone trained and frozen.

  1. trains and tests them on JHMDB, with neighbors and on copies of the key frame
  2. likewise on the rendered test bed, tested on its split `occluded`
  3. measures multiply-adds, time and parameters
  4. writes table and plot into the page

Runs whose results are in benchmarks/results/ are not repeated, so the same command continues after
an interruption, and with another method trains only that one.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

import costs
import numpy as np
import torch
from mmengine import Config
from run_options import add_run_options, in_one_sentence

from cmpose_mm.ablation import (
    EXPERIMENTS,
    check_section,
    replace_section,
    results_foot,
    run_experiments,
    variant_config,
)
from cmpose_mm.ablation.report import (
    Comparison,
    draw_all,
    temporal_pairs,
    value,
)
from cmpose_mm.ablation.runs import FIRST_STAGE
from cmpose_mm.evaluation.report import markdown_table, mean_and_spread

SET = 'leaderboard'
SPLITS = {'real': ['clean', 'clean_full_body', 'test'], 'rendered': ['occluded']}
SCORES = (
    ('real', 'clean', 'PCK@0.1', 'PCK@0.1'),
    ('real', 'clean', 'PCK@0.2', 'PCK@0.2'),
    ('real', 'clean_full_body', 'Total AP', 'AP'),
    ('rendered', 'occluded', 'Total AP', 'rendered: AP'),
)
"""Data, split, measure and name of the columns."""
GAINS = tuple(score for score in SCORES if score[2] != 'PCK@0.2')
"""The columns whose differences are listed."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_run_options(parser, 'cmpose.py', 'work_dirs/ablations')
    parser.add_argument('--only', choices=['real', 'rendered', 'costs'],
                        help='do one of the steps 1 to 3 and write no page')  # fmt: skip
    parser.add_argument('--docs', type=Path, default=Path('docs/leaderboard.md'),
                        help='has a section "leaderboard" (default: %(default)s)')  # fmt: skip
    parser.add_argument('--repeats', type=int, default=30, help='rounds of timing (default: 30)')
    return parser.parse_args()


@torch.no_grad()
def measure_costs(config: Config, repeats: int, device: str) -> dict[str, dict[str, float]]:
    """Multiply-adds and milliseconds of a clip, and millions of parameters, of every method.

    One clip at a time, float32, without flip test, in turn, medians.
    """
    runs, rows = {}, {}
    for name, change in EXPERIMENTS[SET].items():
        method, how = name.split(', ')
        if how != 'trained':
            continue
        variant = variant_config(config, change)
        model = costs.build_model(variant, device).eval()
        width, height = variant.model.head.decoder.input_size
        clip = torch.randn(1, model.method.num_frames, 3, height, width, device=device)
        runs[method] = lambda model=model, clip=clip: costs.clip_model(model, clip)
        rows[method] = {
            'GMACs': costs.multiply_adds(runs[method]),
            'parameters': sum(p.numel() for p in model.parameters()) / 1e6,
        }
    for method, seconds in costs.interleaved_seconds(runs, repeats, device).items():
        rows[method]['ms'] = 1000 * float(np.median(seconds))
    return rows


def update_costs(
    file: Path, config: str, repeats: int, only_recorded: bool = False
) -> dict[str, dict]:
    """Costs by machine; those of this machine are measured unless the file has all methods.

    With `only_recorded` they are those of the file, and nothing is measured.
    """
    found = json.loads(file.read_text()) if file.exists() else {}
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    machine = costs.machine(device)
    methods = {name.split(', ')[0] for name in EXPERIMENTS[SET]}
    if not only_recorded and not methods <= {*found.get(machine, ())}:
        found[machine] = measure_costs(costs.load_config(config, {}), repeats, device)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1) + '\n')
    return found


def tables(results: dict[str, dict], measured: dict[str, dict]) -> str:
    """Scores, and what neighbors are worth and cost; a row for each variant in both.

    Differences are from the single-frame model, the first row.
    """
    for each in results.values():
        draw_all(each)
    scores, worth = [], []
    for variant in results['real']:
        method, _, how = variant.partition(', ')
        cells = [method, how]
        for kind, split, measure, _ in SCORES:
            by_seed = results[kind][variant].values()
            cells.append(mean_and_spread([value(m[split], measure) for m in by_seed]))
            cells.append(difference(results[kind], variant, split, measure))
        by_seed = results['rendered'][variant].values()
        recall = [m['occluded'].get('Recall recoverable', np.nan) for m in by_seed]
        scores.append([*map(str, cells), mean_and_spread(recall)])
        if variant == FIRST_STAGE:
            continue
        cells = [method, how]
        for kind, split, measure, _ in GAINS:
            pairs = temporal_pairs(results[kind][variant], split)
            cells.append(Comparison(pairs, measure))
        of_method = [rows.get(method, {}) for rows in measured.values()]
        of_any = next((row for row in of_method if row), {})  # they depend on no machine
        cells.append(formatted(of_any.get('GMACs'), 2))
        cells += [formatted(row.get('ms'), 1) for row in of_method]
        worth.append([*map(str, cells), formatted(of_any.get('parameters'), 2)])
    heading = ['method', 'backbone']
    header = [*heading, *(text for *_, name in SCORES for text in (name, f'Δ {name}'))]
    of_scores = markdown_table([*header, 'rendered: recall recoverable'], scores)
    header = [*heading, *(f'gain {name}' for *_, name in GAINS), 'GMACs']
    header += [*(f'ms ({number})' for number in range(1, len(measured) + 1)), 'M params']
    return f'{of_scores}\n\n{markdown_table(header, worth)}'


def costs_foot(measured: dict[str, dict]) -> str:
    """What the costs are, of which machines, and which methods lack those of a machine."""
    of = 'Costs of one clip, float32, one at a time, medians: '
    machines = [f'ms ({number}) {name}' for number, name in enumerate(measured, 1)]
    methods = dict.fromkeys(name.split(', ')[0] for name in EXPERIMENTS[SET])
    lacking = [m for m in methods if not measured or any(m not in r for r in measured.values())]
    lines = [f'{of}{"; ".join(machines) or "none are recorded"}.']
    if lacking:
        lines.append(f'Without recorded costs (of some machine): {", ".join(lacking)}.')
    return '\n\n'.join(lines)


def difference(results: dict, variant: str, split: str, measure: str) -> Comparison | str:
    """From the first variant, for each seed that both have; empty in its own row."""
    reference = results[next(iter(results))]
    if results[variant] is reference:
        return ''
    shared = [seed for seed in results[variant] if seed in reference]
    return Comparison([(results[variant][s][split], reference[s][split]) for s in shared], measure)


def formatted(number: float | None, digits: int) -> str:
    return '-' if number is None else f'{number:.{digits}f}'


def plot(results: dict[str, dict], path: Path) -> None:
    """Differences from the single-frame model and temporal gains: seeds as dots, 95 % as bars."""
    from matplotlib.figure import Figure

    variants = [v for v in results['real'] if v != FIRST_STAGE]
    panels = []
    for kind, split, measure, name in SCORES:
        pairs = {v: difference(results[kind], v, split, measure) for v in variants}
        panels.append((f'Δ {name}, {split}', pairs))
    gains = {
        v: Comparison(temporal_pairs(results['real'][v], 'clean'), 'PCK@0.1') for v in variants
    }
    panels.append(('temporal gain, PCK@0.1, clean', gains))
    figure = Figure(figsize=(2 + 2.6 * len(panels), 0.8 + 0.3 * len(variants)),
                    layout='constrained')  # fmt: skip
    for axes, (title, comparisons) in zip(figure.subplots(1, len(panels), sharey=True), panels):
        for place, variant in enumerate(variants):
            if not isinstance(comparisons[variant], Comparison):
                continue
            seeds, found = comparisons[variant].differences, comparisons[variant].interval()
            color = 'C0' if variant.endswith('trained') else 'C1'
            axes.plot(seeds, [place] * len(seeds), '.', color=color, markersize=5)
            if found is not None:
                axes.plot(found, [place, place], '-', color=color)
        axes.axvline(0, linestyle='--', linewidth=0.8, color='0.5')
        axes.set_title(title, fontsize='small')
        axes.tick_params(labelsize='small')
        axes.set_yticks(range(len(variants)), variants)
        axes.set_ylim(len(variants) - 0.5, -0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    in_one_sentence(run, parse_args())


def run(args: argparse.Namespace) -> None:
    """Runs the methods, measures their costs, and writes the page.

    Raises:
        OSError, RuntimeError, ValueError: one sentence about what is missing, failed or wrong.
    """
    for key in args.cfg_options:
        if key.split('.')[0] in ('model', 'custom_hooks') or '.pipeline' in key:
            raise ValueError(
                f'cfg-options: {key!r} would not reach the methods, each of which brings its own; '
                'expected another field, or a change of configs/*/*_small.py'
            )
    if args.only is None:
        check_section(args.docs, SET)
    results, feet = {}, []
    for kind, (config, first_stage) in (('real', args.real), ('rendered', args.rendered)):
        if args.only not in (None, kind):
            continue
        stem = Path(config).stem
        results[kind] = run_experiments(
            [SET], config, args.seeds, args.work_dir / stem, splits=SPLITS[kind],
            first_stage=first_stage, jobs=args.jobs, records=args.records / stem, copies=True,
            cfg_options=args.cfg_options, only_recorded=args.recorded,
        )[SET]  # fmt: skip
        feet.append(f'{kind.capitalize()}. {results_foot(results[kind])}')
    if args.only in (None, 'costs'):
        measured = update_costs(
            args.records / 'leaderboard_costs.json', args.real[0], args.repeats, args.recorded
        )
        feet.append(costs_foot(measured))
    if args.only is not None:
        return
    for kind, by_variant in results.items():
        if not any(by_variant.values()):
            raise ValueError(
                f'{kind}: {args.records} has no result of seeds {", ".join(map(str, args.seeds))}'
            )
    text = tables(results, measured)
    picture = args.docs.parent / 'images' / 'leaderboard.png'
    plot(results, picture)
    command = shlex.join(['python', *sys.argv])
    replace_section(
        args.docs,
        SET,
        f'    {command}\n\n{text}\n\n![leaderboard](images/{picture.name})\n\n' + '\n\n'.join(feet),
    )
    print(text, *feet, sep='\n\n')


if __name__ == '__main__':
    main()
