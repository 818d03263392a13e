"""What makes causal tokens causal: readings of CM-Pose on real and on rendered videos.

Trains all variants of a set, and tests each on both data sets: PCK@0.1, AP, the joints that are
hidden but visible in a neighboring frame (rendered videos alone tell), where causal tokens lie, and
how far a joint moves without its own tokens or without as many other cells as near.

  causal      readings one by one and together, to choose from: trained and tested on training
              videos alone (train_chosen, held_out)
  finalists   the config's readings against the paper's letter, models without one part, and simple
              methods, tested on the videos that results are reported of

Runs whose results are in benchmarks/results/ are not repeated, so the same command continues after
an interruption.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np
from run_options import add_run_options

from cmpose_mm.ablation import (
    EXPERIMENTS,
    full_name,
    replace_section,
    results_foot,
    results_tables,
    run_experiments,
)
from cmpose_mm.ablation.runs import TOKENS, Results
from cmpose_mm.evaluation.report import markdown_table, mean_and_spread
from cmpose_mm.interpretability.summary import EFFECTS

REPORTED = {'real': ['clean', 'clean_full_body'], 'rendered': ['clean', 'occluded']}
"""Splits of each data set for sets that choose nothing."""
CHOOSING = {'train_dataloader.dataset.ann_file': 'annotations/train_chosen'}
HELD_OUT = {'real': ['held_out'], 'rendered': ['held_out']}
SHARES = {
    'causal tokens': 'own-joint share',
    'causal tokens of another clip': "another clip's",
    'ceiling: S = label heatmap': 'ceiling',
    'chance: all cells': 'chance',
}
DELETED = {
    "a joint's causal tokens": 'own tokens',
    "a joint's causal tokens, where the next is possible": 'own tokens, where the next is possible',
    'as many other cells within a head size of the joint': 'as many other near cells',
}
"""Rows of `cmpose_mm.interpretability.summary` -> what the tables call them."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  python tools/list_clips.py data/jhmdb_distinct
  python tools/list_clips.py data/test_bed --by-video
  python benchmarks/causal_tokens.py causal --seeds 0
  python benchmarks/causal_tokens.py causal --seeds 0 --variants letter 'supervised S, 0.002'
  python benchmarks/causal_tokens.py finalists""",
    )
    add_run_options(parser, 'cmpose_360.py', 'work_dirs/causal_tokens')
    parser.add_argument('experiment', metavar='SET', help='causal, finalists or another of CM-Pose')
    parser.add_argument('--variants', nargs='+', metavar='NAME',
                        help='only these of the set (default: all)')  # fmt: skip
    parser.add_argument('--tokens', type=int, default=100, metavar='CLIPS',
                        help='of each split, to measure tokens on (default: 100)')  # fmt: skip
    parser.add_argument('--only', choices=['real', 'rendered'], help='of the two data sets')
    parser.add_argument('--choose', action=argparse.BooleanOptionalAction, default=None,
                        help='train on train_chosen and test on held_out '
                             '(default: for the set causal alone)')  # fmt: skip
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write the tables into the section of FILE that is named after '
                             'the set')  # fmt: skip
    args = parser.parse_args()
    try:
        known = EXPERIMENTS[full_name(args.experiment)]
    except KeyError as error:
        parser.error(error.args[0])
    for name in args.variants or ():
        if name not in known:
            parser.error(f'{args.experiment} has no variant {name!r}; it has {"; ".join(known)}')
    if args.choose is None:
        args.choose = full_name(args.experiment) == 'cmpose/causal'
    return args


def token_table(results: Results, split: str) -> str:
    """Causal tokens of the variants on one split: where they lie, and what deleting them does.

    Movements are medians over joints, in head sizes, with the recall in percent before and after.
    """
    rows = []
    for variant, by_seed in results.items():
        found = [measures[split] for measures in by_seed.values() if 'shares' in measures[split]]
        if not found:
            continue
        shares = [[each['shares'][name][0] for each in found] for name in SHARES]
        cells = [variant, str(len(found)), *map(mean_and_spread, shares)]
        for name in DELETED:
            values = np.array([each['deletions'][name] for each in found], dtype=float)
            moved, before, after = (
                values[:, EFFECTS.index(column)]
                for column in ('median movement (head sizes)', 'recall before', 'after')
            )
            spread = f' ± {moved.std(ddof=1):.2f}' if len(moved) > 1 else ''
            cells.append(f'{moved.mean():.2f}{spread} ({before.mean():.1f} → {after.mean():.1f})')
        rows.append(cells)
    header = [split, 'seeds', *SHARES.values(), *(f'without {name}' for name in DELETED.values())]
    return markdown_table(header, rows) if rows else ''


def main() -> None:
    args = parse_args()
    experiment = full_name(args.experiment)
    parts = []
    for kind, (config, first_stage) in (('rendered', args.rendered), ('real', args.real)):
        if args.only not in (None, kind):
            continue
        stem = Path(config).stem
        results = run_experiments(
            [experiment],
            config,
            args.seeds,
            args.work_dir / (f'{stem}_chosen' if args.choose else stem),
            splits=(HELD_OUT if args.choose else REPORTED)[kind],
            first_stage=first_stage,
            jobs=args.jobs,
            records=args.records / stem,
            tokens=args.tokens,
            variants=args.variants,
            cfg_options={**(CHOOSING if args.choose else {}), **args.cfg_options},
            only_recorded=args.recorded,
        )[experiment]
        tables = [results_tables(results)]
        splits = {split for by_seed in results.values() for m in by_seed.values() for split in m}
        tables += [
            token_table({v: r for v, r in results.items() if all(split in m for m in r.values())},
                        split)
            for split in sorted(splits) if TOKENS in split
        ]  # fmt: skip
        parts.append('\n\n'.join([f'**{kind.capitalize()} videos**', *filter(None, tables)]))
        parts.append(results_foot(results))
    text = '\n\n'.join(parts)
    print(text)
    if args.docs is not None:
        command = shlex.join(['python', *sys.argv])
        replace_section(args.docs, args.experiment, f'    {command}\n\n{text}')


if __name__ == '__main__':
    main()
