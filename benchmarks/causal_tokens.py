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
from run_options import add_run_options, in_one_sentence

from cmpose_mm.ablation import (
    EXPERIMENTS,
    check_section,
    full_name,
    replace_section,
    results_foot,
    results_tables,
    run_experiments,
)
from cmpose_mm.ablation.report import COMPARED, PCK
from cmpose_mm.ablation.runs import TOKENS, Results
from cmpose_mm.evaluation.report import markdown_table, mean_and_spread
from cmpose_mm.evaluation.resampling import draw_films, interval
from cmpose_mm.interpretability.summary import EFFECTS

NOT_COMPARED = [name for name in PCK if name not in COMPARED]
"""Measures whose columns have no differences unless asked for."""
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
    "those of a joint's causal tokens that the next can replace": 'those with a partner',
    'as many other cells, none of them farther from the joint': 'their partners, no farther',
}
"""Rows of `cmpose_mm.interpretability.summary` -> what the tables call them."""
PAIRS = (
    ("a joint's causal tokens, where the next is possible",
     'as many other cells within a head size of the joint'),
    ("those of a joint's causal tokens that the next can replace",
     'as many other cells, none of them farther from the joint'),
)  # fmt: skip
"""Deletions of a joint's own tokens, and of others to compare with."""


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
    parser.add_argument('--compare', nargs='+', choices=NOT_COMPARED, default=[], metavar='COLUMN',
                        help='columns with differences beside the usual ones: '
                             f'{", ".join(NOT_COMPARED)}')  # fmt: skip
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
    if args.tokens == 1 or args.tokens < 0:  # they are compared with those of another clip
        parser.error(f'--tokens {args.tokens}: expected at least 2, or 0 for none')
    if args.choose is None:
        args.choose = full_name(args.experiment) == 'cmpose/causal'
    return args


def token_table(results: Results, split: str) -> str:
    """Causal tokens of the variants on one split: where they lie, and what deleting them does.

    Movements are medians over joints, in head sizes, with the recall in percent before and after;
    of each of `PAIRS` also the difference of the mean movements. In brackets are 95 % of the draws
    of films, of the shares, the change of recall and the difference, where all seeds' results tell
    what the same clips had.
    """
    rows = []
    for variant, by_seed in results.items():
        found = [measures[split] for measures in by_seed.values() if 'shares' in measures[split]]
        if not found:
            continue
        row = {split: variant, 'seeds': str(len(found))}
        for name, column in SHARES.items():
            row[column] = mean_and_spread([each['shares'][name][0] for each in found])
            means = film_means(found, 'shares', name)
            if means is not None:
                row[column] += bounds(100 * means[..., 0], '.1f')
        for name, column in DELETED.items():
            if all(name in each['deletions'] for each in found):
                row[f'without {column}'] = deletion_cell(found, name)
        for own, others in PAIRS:
            if all({own, others} <= {*each['deletions']} for each in found):
                row[f'{DELETED[own]} - {DELETED[others]}, mean movement'] = pair_cell(
                    found, own, others
                )
        rows.append(row)
    header = list(dict.fromkeys(column for row in rows for column in row))
    table = [[row.get(column, '-') for column in header] for row in rows]
    return markdown_table(header, table) if rows else ''


def deletion_cell(found: list[dict], name: str) -> str:
    """Median movement in head sizes, and recall before and after, of the seeds' results."""
    values = np.array([each['deletions'][name] for each in found], dtype=float)
    moved, before, after = (
        values[:, EFFECTS.index(column)]
        for column in ('median movement (head sizes)', 'recall before', 'after')
    )
    spread = f' ± {moved.std(ddof=1):.2f}' if len(moved) > 1 else ''
    recall = f'{before.mean():.1f} → {after.mean():.1f}'
    means = film_means(found, 'deletions', name)
    if means is not None:
        recall += bounds(100 * (means[..., 2] - means[..., 1]), '+.1f')
    return f'{moved.mean():.2f}{spread} ({recall})'


def pair_cell(found: list[dict], own: str, others: str) -> str:
    """How much farther joints move without their own tokens than without others: means."""
    mean = EFFECTS.index('mean')
    differences = [each['deletions'][own][mean] - each['deletions'][others][mean] for each in found]
    text = f'{np.mean(differences):+.2f}'
    if len(found) > 1:
        text += f' ± {np.std(differences, ddof=1):.2f}'
    means = [film_means(found, 'deletions', name) for name in (own, others)]
    if any(each is None for each in means):
        return text
    return text + bounds(means[0][..., 0] - means[1][..., 0], '+.2f')


def film_means(found: list[dict], part: str, name: str) -> np.ndarray | None:
    """(S, R, C) means of what `clip_rows` counts, of each seed in each draw of films.

    None unless all seeds tell it, of the same clips.
    """
    clips = [each.get('clips') or {} for each in found]
    same = all(each.get(key) == clips[0].get(key) for each in clips for key in ('names', 'films'))
    if not same or any(name not in each.get(part, {}) for each in clips):
        return None
    weights = draw_films(clips[0]['films'])
    sums = np.stack([weights @ np.array(each[part][name]) for each in clips])
    with np.errstate(invalid='ignore'):  # a draw without such joints
        return sums[..., 1:] / sums[..., :1]


def bounds(values: np.ndarray, form: str) -> str:
    """`` [low, high]`` of (S, R) draws, the seeds averaged in each; NaN if one has no joints."""
    low, high = interval(values.mean(axis=0))
    return f' [{low:{form}}, {high:{form}}]'


def main() -> None:
    in_one_sentence(run, parse_args())


def run(args: argparse.Namespace) -> None:
    """Runs the set and writes its tables.

    Raises:
        OSError, RuntimeError, ValueError: one sentence about what is missing, failed or wrong.
    """
    experiment = full_name(args.experiment)
    check_section(args.docs, args.experiment)
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
        if not any(results.values()):
            raise ValueError(
                f'{args.experiment}, {kind}: {args.records / stem} has no result of seeds '
                f'{", ".join(map(str, args.seeds))}'
            )
        tables = [results_tables(results, (*COMPARED, *args.compare))]
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
