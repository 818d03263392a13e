"""How long a training step of each baseline takes, compared with one of CM-Pose.

Measures the CPU time of loading, forward, backward and optimizer in one thread, so other work on
the machine does not count. Put the ratios into `STEP_TIMES` of
`cmpose_mm/models/cmpose/ablations.py`; the set `equal_time` computes its numbers of steps from it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from costs import Spread, machine
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from run_options import in_one_sentence

from cmpose_mm.ablation import EXPERIMENTS, variant_config
from cmpose_mm.apis.loading import find_config
from cmpose_mm.config_options import CfgOptions, merge_options
from cmpose_mm.engine import build_dataset
from cmpose_mm.evaluation.report import markdown_table

VARIANTS = ('CM-Pose', 'single frame', 'averaged heatmaps', 'concatenation 1x1',
            'concatenation 3x3')  # fmt: skip


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""example:
  python benchmarks/step_time.py configs/experiments/cmpose.py""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--repeats', type=int, default=15, help='rounds (default: 15)')
    parser.add_argument('--steps', type=int, default=2, help='steps a round (default: 2)')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of the config')  # fmt: skip
    return parser.parse_args()


def training(config: Config) -> Callable[[], None]:
    """A function that runs one training step on the config's data."""
    model = MODELS.build(config.model).train()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    dataset = build_dataset(config, 'train_dataloader')
    loader = Runner.build_dataloader(dict(config.train_dataloader, dataset=dataset), seed=0)
    batches = iter(loader)

    def step() -> None:
        nonlocal batches
        try:
            batch = next(batches)
        except StopIteration:
            batches = iter(loader)
            batch = next(batches)
        model.train_step(batch, wrapper)

    return step


def main() -> None:
    in_one_sentence(run, parse_args())


def run(args: argparse.Namespace) -> None:
    """Times the steps and prints the table.

    Raises:
        OSError, ValueError: one sentence about what is missing or wrong.
    """
    torch.set_num_threads(1)
    base = Config.fromfile(find_config(args.config))
    merge_options(base, args.cfg_options)
    init_default_scope(base.default_scope)
    steps = {v: training(variant_config(base, EXPERIMENTS['baselines'][v])) for v in VARIANTS}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(args.repeats + 1):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(args.steps):
                step()
            if round_number:  # the first round is a warm-up
                times[name].append((time.process_time() - start) / args.steps)
    seconds = {name: np.array(values) for name, values in times.items()}
    rows = [
        [
            name,
            f'{np.median(values):.3f}',
            Spread.of(values / seconds['CM-Pose']),
            round(base.train_cfg.max_iters * np.median(seconds['CM-Pose'] / values)),
        ]
        for name, values in seconds.items()
    ]
    print(machine())
    print(markdown_table(['variant', 'CPU s a step', 'of CM-Pose', 'steps in equal time'], rows))


if __name__ == '__main__':
    main()
