"""The cost of a video method at inference, compared with the minimum for any model of its frames.

Runs on the CPU in float32, without flip test, in one process and interleaved:

  least         the backbone on all frames of the clips in one batch, the head on one map per clip
  single frames the single-frame model, backbone and head, on all frames
  the method    the clip model: backbone on all frames, the method, head on the key frame; for
                CM-Pose its parts, too: neck, temporal fusion, token enhancement (FTE)
  one frame     the single-frame model on one frame per clip
  track crops   the same with the other frames' features known (`--crops track` of video inference)

Times are medians; ratios are medians and quartiles of the ratios in each round. Multiply-adds are
those of matrix products and convolutions. The FTE's memory is the most that it allocates beyond its
inputs, including its outputs, divided by the size of the fused tokens it receives. Weights are
random.
"""

from __future__ import annotations

import argparse

import costs
import numpy as np
import torch
from costs import Spread, multiply_adds
from mmengine.config import Config

from cmpose_mm.config_options import CfgOptions
from cmpose_mm.evaluation.report import markdown_table

METHOD = 'the method'
# What the times are divided by.
WORKS = {
    'least': (costs.least, 'least'),
    'single frames': (costs.single_frames, 'least'),
    METHOD: (costs.clip_model, 'least'),
    'one frame': (lambda model, clips: costs.single_frames(model, clips[:, :1]), 'one frame'),
    'track crops': (costs.track_crops, 'one frame'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""examples:
  python benchmarks/inference_cost.py cmpose_vit_posetrack18.py
  python benchmarks/inference_cost.py cmpose_vit_posetrack18.py --cfg-options \\
      model.method.neck.attention_dims=192 model.method.neck.num_heads=6""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--batch-sizes', type=int, nargs='+', default=[1, 4], metavar='B')
    parser.add_argument(
        '--repeats', type=int, default=15, help='rounds (default: 15); 0 only counts'
    )
    parser.add_argument('--threads', type=int, default=2, help='default: 2')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of the config')  # fmt: skip
    return parser.parse_args()


def parts(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The modules that process a clip."""
    method = model.method
    modules = {'backbone': model.backbone, 'frame head': model.frame_head}
    if hasattr(method, 'neck'):  # CM-Pose
        modules.update(
            {'neck': method.neck, 'temporal fusion': method.temporal_fusion, 'FTE': method.fte}
        )
    else:
        modules['method'] = method
    modules['head'] = model.head
    return {name: module for name, module in modules.items() if module is not None}


@torch.no_grad()
def measure(config: Config, batch_size: int, repeats: int) -> str:
    """The tables for one batch size."""
    model, label = costs.build_model(config).eval(), costs.method_name(config)
    clips = costs.random_clips(config, batch_size)
    works = dict(WORKS)
    if model.method.needs_images:
        del works['track crops']
    runs = {name: lambda work=work: work(model, clips) for name, (work, _) in works.items()}
    macs = {name: multiply_adds(run) for name, run in runs.items()}
    modules = parts(model)
    inputs = costs.module_inputs(modules, runs[METHOD])

    part_seconds = {}
    clip_run = runs[METHOD]

    def clip_run_with_parts() -> None:
        with costs.timed_modules(modules) as seconds:
            clip_run()
        for name, (value,) in seconds.items():
            part_seconds.setdefault(name, []).append(value)

    runs[METHOD] = clip_run_with_parts
    times = costs.interleaved_seconds(runs, repeats)

    rows = []
    for name, (_, unit) in works.items():
        milliseconds = 1000 * Spread.of(times[name]).median / batch_size
        rows.append(
            [
                batch_size,
                label if name == METHOD else name,
                f'{macs[name] / batch_size:.2f}',
                f'{milliseconds:.0f}',
                unit,
                f'{macs[name] / macs[unit]:.3f}',
                Spread.of(times[name] / times[unit]),
            ]
        )
    header = ['clips', 'work', 'GMACs a clip', 'ms a clip', 'over', 'GMACs ratio', 'time ratio']
    tables = [markdown_table(header, rows)]

    rows = []
    for name, module in modules.items():
        run = lambda module=module, name=name: module(*inputs[name])  # noqa: E731
        count = multiply_adds(run)
        # The first value is from the warm-up.
        share = Spread.of(np.array(part_seconds[name][1:]) / times[METHOD])
        memory = '-'
        if name == 'FTE':
            tokens = inputs[name][0]
            memory = f'{costs.peak_memory(run) / (tokens.numel() * tokens.element_size()):.2f}'
        share_macs = 100 * count / macs[METHOD]
        percent = f'{100 * share.median:.2f} ({100 * share.low:.2f}-{100 * share.high:.2f})'
        rows.append(
            [batch_size, name, f'{count / batch_size:.3f}', f'{share_macs:.2f}', percent, memory]
        )
    header = ['clips', f'part of {label}', 'GMACs a clip', '% of GMACs', '% of time', 'memory']
    tables.append(markdown_table(header, rows))
    return '\n\n'.join(tables)


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    config = costs.load_config(args.config, args.cfg_options)
    print(costs.machine())
    print(f'{args.config}, {costs.settings(config)}, {args.repeats} rounds', flush=True)
    for batch_size in args.batch_sizes:
        print('\n' + measure(config, batch_size, args.repeats), flush=True)


if __name__ == '__main__':
    main()
