"""The cost of a training step of a video method, compared with the minimum for its frames.

A step is forward, losses and backward, without optimizer and data loading. It runs on the CPU in
float32, in one process and interleaved:

  least           the backbone on all frames of the clips, the head and its loss on one map per clip
  single frames   the single-frame model with its loss on all frames
  the method      as configured; before it for CM-Pose:
  primary         without auxiliary tasks
  + mask          with the masking task
  + denoise       with the denoising task

A frozen backbone (`freeze_backbone`) is frozen in all of them.

Times are medians; ratios are medians and quartiles of the ratios in each round. Multiply-adds are
those of matrix products and convolutions, forward and backward. Weights are random.
"""

from __future__ import annotations

import argparse
import copy

import costs
import torch
from costs import Spread, multiply_adds
from mmengine.config import Config

from cmpose_mm.config_options import CfgOptions
from cmpose_mm.evaluation.report import markdown_table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""example:
  python benchmarks/training_cost.py cmpose_vit-s_posetrack18.py""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--batch-size', type=int, default=4, metavar='B', help='clips (default: 4)')
    parser.add_argument('--repeats', type=int, default=9, help='rounds (default: 9)')
    parser.add_argument('--threads', type=int, default=2, help='default: 2')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of the config')  # fmt: skip
    return parser.parse_args()


def measure(config: Config, batch_size: int, repeats: int) -> str:
    """The table."""
    model = costs.build_model(config).train()
    clips = costs.random_clips(config, batch_size)
    samples = costs.training_samples(config, batch_size)
    label = costs.method_name(config)
    part, module = 'method', model.method
    tasks = {label: None}
    if hasattr(model.method, 'neck'):  # CM-Pose
        part, module = 'neck', model.method.neck
        both = model.method.aux
        if both is not None:
            mask, denoise = copy.deepcopy(both), copy.deepcopy(both)
            mask.noise_ratio = denoise.mask_ratio = 0.0
            tasks = {'primary': None, '+ mask': mask, '+ denoise': denoise, label: both}

    def clip_step(aux: torch.nn.Module | None) -> None:
        if hasattr(model.method, 'aux'):
            model.method.aux = aux
        costs.training_step(model, costs.clip_losses, clips, samples)

    runs = {
        'least': lambda: costs.training_step(model, costs.least_losses, clips, samples),
        'single frames': lambda: costs.training_step(
            model, costs.single_frame_losses, clips, samples
        ),
        **{name: lambda aux=aux: clip_step(aux) for name, aux in tasks.items()},
    }
    calls = {}
    macs = {}
    for name, run in runs.items():
        modules = {'backbone': model.backbone, part: module}
        with costs.timed_modules(modules) as seconds:
            macs[name] = multiply_adds(run)
        calls[name] = ', '.join(str(len(values)) for values in seconds.values())
    times = costs.interleaved_seconds(runs, repeats)
    rows = [
        [
            name,
            calls[name],
            f'{macs[name] / batch_size:.2f}',
            f'{1000 * Spread.of(times[name]).median / batch_size:.0f}',
            f'{macs[name] / macs["least"]:.3f}',
            Spread.of(times[name] / times['least']),
            Spread.of(times[name] / times['single frames']),
        ]
        for name in runs
    ]
    return markdown_table(
        ['step', f'calls of backbone, {part}', 'GMACs a clip', 'ms a clip', 'GMACs over least',
         'time over least', 'time over single frames'],
        rows,
    )  # fmt: skip


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    config = costs.load_config(args.config, args.cfg_options)
    print(costs.machine())
    print(
        f'{args.config}, {costs.settings(config)}, {args.batch_size} clips, {args.repeats} rounds\n'
    )
    print(measure(config, args.batch_size, args.repeats))


if __name__ == '__main__':
    main()
