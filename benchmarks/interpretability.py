"""Are a model's causal tokens where the body is, and do its predictions hang on them?

Shares: of the causal tokens, those within a head size of the joint that chose them, within a head
size of any labelled joint, and on the body (within half a head size of a bone), against those of
random selections, of another clip's causal tokens in the place of this clip's, and of all cells.

Deletions: how far predicted joints move, and how many are found, when tokens of the head's input
are replaced by their mean: causal ones, and as many others; and the same for a random selection in
place of the learned one. Without flip test.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import DATASETS
from tqdm import tqdm

from cmpose_mm.ablation import replace_section
from cmpose_mm.apis.loading import find_config, load_pose_model
from cmpose_mm.interpretability.measure import TokenEvidence, measure_tokens
from cmpose_mm.interpretability.token_shares import TokenShares
from cmpose_mm.posetrack.annotations import read_videos


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""example:
  python benchmarks/interpretability.py cmpose_demo.py work_dirs/demo/cmpose/iter_50.pth""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('checkpoint', metavar='CHECKPOINT')
    parser.add_argument('--clips', type=int, default=500,
                        help='at most so many, evenly from the data (default: 500)')  # fmt: skip
    parser.add_argument('--draws', type=int, default=5, help='of everything random (default: 5)')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        help='for example test_dataloader.dataset.data_root=FOLDER')  # fmt: skip
    parser.add_argument('--docs', type=Path, metavar='FILE',
                        help='also put the tables into its section "interpretability"')  # fmt: skip
    return parser.parse_args()


def test_data(config: Config, num_clips: int) -> torch.utils.data.DataLoader:
    """Batches of the config's test data, of evenly spread samples."""
    loader = config.test_dataloader.copy()
    dataset = DATASETS.build(loader.pop('dataset'))
    dataset.full_init()
    if len(dataset) > num_clips:
        dataset.get_subset_(np.linspace(0, len(dataset) - 1, num_clips).astype(int).tolist())
    return Runner.build_dataloader(dict(loader, dataset=dataset))


def share_table(evidence: TokenEvidence) -> str:
    def row(name: str, shares: list[TokenShares]) -> str:
        columns = np.array([[s.own_joint, s.any_joint, s.body] for s in shares], dtype=float)
        cells = [f'{mean:.1f}' for mean in columns.mean(0)]
        if len(shares) > 1:
            cells = [f'{c} ± {s:.1f}' for c, s in zip(cells, columns.std(0, ddof=1))]
        return f'| {name} | ' + ' | '.join(cells) + ' |'

    return '\n'.join(
        [
            '| share of the cells in % | within a head size of its joint | of any joint | on the '
            'body |',
            '|---|---|---|---|',
            row('causal tokens', [evidence.selected]),
            row('causal tokens of another clip', [evidence.other_clip]),
            row(f'random selection, {len(evidence.random)} draws', evidence.random),
            row('chance: all cells', [evidence.chance]),
        ]
    )


def deletion_table(evidence: TokenEvidence) -> str:
    lines = [
        '| deleted | movements | median movement (head sizes) | mean | moved over 0.5 (%) '
        '| recall before | after |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, effect in evidence.effects.items():
        move = effect.movement
        if not len(move):
            lines.append(f'| {name} | 0 | - | - | - | - | - |')
            continue
        lines.append(
            f'| {name} | {len(move)} | {np.median(move):.2f} | {move.mean():.2f} '
            f'| {100 * (move > 0.5).mean():.1f} | {100 * effect.found_before.mean():.1f} '
            f'| {100 * effect.found_after.mean():.1f} |'
        )
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    config = Config.fromfile(find_config(args.config))
    config.merge_from_dict(args.cfg_options)
    init_default_scope(config.default_scope)
    model = load_pose_model(config, args.checkpoint, args.device)
    data = test_data(config, args.clips)
    labels = read_videos(data.dataset.ann_file)
    evidence = measure_tokens(model, tqdm(data, unit='batch'), labels, draws=args.draws)
    text = f'{share_table(evidence)}\n\n{deletion_table(evidence)}\n'
    text += f'\n({evidence.num_clips} clips of {config.test_dataloader.dataset.ann_file}, torch '
    text += f'{torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, '
    text += f'{date.today():%B %Y}.)'
    print(text)
    if args.docs is not None:
        command = shlex.join(['python', *sys.argv])
        replace_section(args.docs, 'interpretability', f'    {command}\n\n{text}')


if __name__ == '__main__':
    main()
