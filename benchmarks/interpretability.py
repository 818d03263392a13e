"""Measures whether causal tokens are where the body is, and whether predictions depend on them.

Shares: of the causal tokens, those within a head size of the joint that chose them, within a head
size of any labeled joint, and on the body (within half a head size of a bone). They are compared
with the shares of random selections, of another clip's causal tokens, of all cells, and of the
cells that the label heatmaps would select in the place of S: the ceiling. Below the tables are
those of joints that the model finds, and of joints that it misses, and both for joints that are
visible and for joints that are occluded, if the labels tell (real JHMDB does not).

Deletions: how far predicted joints move, and how many are found, when tokens in the head's input
are replaced by their mean: causal ones, or as many others. The same is measured for a random
selection instead of the learned one. Without flip test.

Several checkpoints, such as those of three seeds, are measured one by one; the tables have the mean
and standard deviation of their values.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from run_options import in_one_sentence
from tqdm import tqdm

from cmpose_mm.ablation import check_section, replace_section
from cmpose_mm.apis.loading import find_checkpoint, find_config, load_pose_model
from cmpose_mm.config_options import CfgOptions, merge_options
from cmpose_mm.evaluation.report import markdown_table
from cmpose_mm.interpretability.measure import measure_tokens
from cmpose_mm.interpretability.spread_data import spread_test_data
from cmpose_mm.interpretability.summary import EFFECTS, SHARES, deletion_rows, share_rows
from cmpose_mm.interpretability.token_shares import TokenShares
from cmpose_mm.posetrack.annotations import read_videos


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""example:
  python benchmarks/interpretability.py cmpose_demo.py work_dirs/demo/cmpose/iter_50.pth
  python benchmarks/interpretability.py configs/experiments/cmpose.py \\
      work_dirs/ablations/cmpose/CM-Pose/seed?/iter_120.pth --docs docs/evidence.md""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('checkpoints', metavar='CHECKPOINT', nargs='+', help='of this config')
    parser.add_argument('--clips', type=int, default=500,
                        help='at most this many, evenly from the data (default: 500)')  # fmt: skip
    parser.add_argument('--draws', type=int, default=5,
                        help='number of random selections and deletions (default: 5)')  # fmt: skip
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='for example test_dataloader.dataset.data_root=FOLDER')  # fmt: skip
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also write tables and plot into the section "interpretability" of '
                             'FILE, and the picture into images/ beside FILE')  # fmt: skip
    args = parser.parse_args()
    if args.clips < 2:
        parser.error(f'--clips {args.clips}: expected at least 2, the other for comparison')
    return args


def table(title: str, columns: Sequence[str], decimals: Sequence[int], rows: list[dict]) -> str:
    """Mean over the models, with standard deviation if there are several."""
    lines = []
    for name in rows[0]:
        values = np.array([model[name] for model in rows])
        cells = [f'{mean:.{d}f}' for mean, d in zip(values.mean(0), decimals)]
        if len(rows) > 1:
            spreads = values.std(0, ddof=1)
            cells = [f'{c} ± {s:.{d}f}' for c, s, d in zip(cells, spreads, decimals)]
        cells = ['-' if 'nan' in cell else cell for cell in cells]
        lines.append([name, *cells])
    return markdown_table([title, *columns], lines)


def success_sentence(
    by_success: list[tuple[TokenShares, TokenShares]], joints: str = 'labeled joints'
) -> str:
    """Shares of the tokens of joints that are found, and of those that are missed; of models."""
    tokens = np.array([[sum(n for n, _ in s.by_clip) for s in pair] for pair in by_success])
    found = 100 * (tokens[:, 0] / tokens.sum(axis=1)).mean()
    cells = []
    for of_models in zip(*by_success):
        values = np.array([shares.own_joint for shares in of_models], dtype=float)
        spread = f' ± {values.std(ddof=1):.1f}' if len(values) > 1 else ''
        cells.append('-' if np.isnan(values).any() else f'{values.mean():.1f}{spread} %')
    return (
        f'{found:.0f} % of the {joints} are found (the prediction is within half a head '
        f'size). Of the tokens of joints that are found, {cells[0]} lie within a head size of '
        f'their joint, of those of joints that are missed {cells[1]}.'
    )


def visibility_sentences(
    by_visibility: list[dict[str, tuple[TokenShares, TokenShares]]],
) -> list[str]:
    """As `success_sentence`, of visible and of occluded joints; none if all are of one kind."""
    kinds = {kind: [model[kind] for model in by_visibility] for kind in by_visibility[0]}
    counts = [
        sum(n for pair in pairs for s in pair for n, _ in s.by_clip) for pairs in kinds.values()
    ]
    if not all(counts):
        return []
    return [success_sentence(pairs, f'{kind} joints') for kind, pairs in kinds.items()]


def plot(shares: list[dict], deletions: list[dict], path: Path) -> None:
    """Shares, and recall without the deleted tokens; dots are models, bars their means."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout='constrained')
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))

    def bars(axes, places, values, **kwargs):
        axes.barh(places, np.mean(values, axis=0), **kwargs)
        for model in values:
            axes.plot(model, places, 'k.', markersize=3)

    for column, name in enumerate(SHARES):
        places = np.arange(len(shares[0])) + 0.25 * (column - 1)
        values = [[row[column] for row in model.values()] for model in shares]
        bars(left, places, values, height=0.25, label=name)
    left.set_yticks(range(len(shares[0])), list(shares[0]), fontsize='small')
    left.set_title('share of the cells (%)', fontsize='small')
    left.legend(fontsize='x-small', loc='lower right')
    before, after = EFFECTS.index('recall before'), EFFECTS.index('after')
    lost = [[row[before] - row[after] for row in model.values()] for model in deletions]
    bars(right, np.arange(len(deletions[0])), lost, height=0.6)
    right.set_yticks(range(len(deletions[0])), list(deletions[0]), fontsize='small')
    right.set_title('points of recall lost without', fontsize='small')
    for axes in (left, right):
        axes.invert_yaxis()
        axes.tick_params(axis='x', labelsize='small')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    in_one_sentence(run, parse_args())


def run(args: argparse.Namespace) -> None:
    """Measures the models and prints the tables.

    Raises:
        OSError, ValueError: one sentence about what is missing or wrong.
    """
    check_section(args.docs, 'interpretability')
    for checkpoint in args.checkpoints:
        find_checkpoint(checkpoint, args.config)  # now, not after those before it are measured
    config = Config.fromfile(find_config(args.config))
    merge_options(config, args.cfg_options)
    init_default_scope(config.default_scope)
    data = spread_test_data(config, args.clips)
    labels = read_videos(data.dataset.ann_file)
    shares, deletions, by_success, by_visibility = [], [], [], []
    for checkpoint in args.checkpoints:
        model = load_pose_model(config, checkpoint, args.device)
        evidence = measure_tokens(model, tqdm(data, unit='batch'), labels, draws=args.draws)
        shares.append(share_rows(evidence))
        deletions.append(deletion_rows(evidence))
        by_success.append((evidence.found, evidence.missed))
        by_visibility.append(evidence.by_visibility)
    text = table('share of the cells in %', SHARES, (1, 1, 1), shares) + '\n\n'
    text += table('deleted', EFFECTS, (0, 2, 2, 1, 1, 1), deletions) + '\n'
    for sentence in (success_sentence(by_success), *visibility_sentences(by_visibility)):
        text += f'\n{sentence}\n'
    models = len(args.checkpoints)
    end = f'({models} model{"s" * (models > 1)}, {len(evidence.image_ids)} clips of '
    end += f'{config.test_dataloader.dataset.ann_file}, torch {torch.__version__}, '
    end += f'{platform.machine()}, {os.cpu_count()} cores, {date.today():%B %Y}.)'
    print(f'{text}\n{end}')
    if args.docs is not None:
        plot(shares, deletions, args.docs.parent / 'images' / 'interpretability.png')
        command = shlex.join(['python', *sys.argv])
        image = '![interpretability](images/interpretability.png)'
        replace_section(args.docs, 'interpretability', f'    {command}\n\n{text}\n{image}\n\n{end}')


if __name__ == '__main__':
    main()
