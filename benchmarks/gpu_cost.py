"""The cost of CM-Pose on a GPU: inference and training steps, eager and compiled, by batch size.

With bfloat16 autocast, in the memory format of the data, without flip test:

  least      the backbone on all frames of the clips in one batch, the head on one map per clip: the
             minimum work of any model of clips; in training with the head's loss
  CM-Pose    heatmaps of the key frames; in training forward, all losses and backward

Both run in turn in one process. Times are medians; ratios are medians and quartiles of the ratios
in each round. MFU is twice the multiply-adds of matrix products and convolutions, divided by the
time and the GPU's dense bfloat16 peak. Memory is the peak of everything allocated: weights,
gradients and activations, without optimizer. Weights are random. torch.compile is applied to
backbone, method and head, with fixed shapes. A batch that does not fit is reported and ends the
series.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager

import costs
import numpy as np
import torch
from costs import Spread, multiply_adds
from mmengine.config import Config
from torch import nn
from tqdm import tqdm

from cmpose_mm.config_options import CfgOptions
from cmpose_mm.evaluation.report import markdown_table

# Dense bfloat16 peak in TFLOP/s, from NVIDIA's data sheets, for the first entry whose words are all
# in the GPU's name.
PEAK_TFLOPS = {
    'B200': 2250, 'GH200': 989, 'H200 NVL': 835, 'H200': 989, 'H100 NVL': 835, 'H100 PCIe': 756,
    'H100': 989, 'A100': 312, 'A40': 150, 'L40S': 362, 'L4': 121,
}  # fmt: skip
HEADER = [
    'work', 'compiled', 'clips', 'GMACs a clip', 'ms a clip', 'over least', 'MFU %', 'peak GiB'
]  # fmt: skip


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""examples:
  python benchmarks/gpu_cost.py cmpose_vit_posetrack18.py
  python benchmarks/gpu_cost.py cmpose_vit-l_posetrack18.py --work training --compile off""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--work', nargs='+', choices=['inference', 'training'],
                        default=['inference', 'training'])  # fmt: skip
    parser.add_argument('--compile', nargs='+', choices=['off', 'on'], default=['off', 'on'])
    parser.add_argument('--batch-sizes', type=int, nargs='+', metavar='B',
                        default=[1, 2, 4, 8, 16, 32, 64, 128, 256])  # fmt: skip
    parser.add_argument('--repeats', type=int, default=20, help='rounds (default: 20)')
    parser.add_argument('--peak-tflops', type=float,
                        help='dense bfloat16 peak, for GPUs unknown to the script')  # fmt: skip
    parser.add_argument('--device', default='cuda:0')
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, default={},
                        help='overrides of the config')  # fmt: skip
    return parser.parse_args()


@contextmanager
def compiled(model: nn.Module, backend: str | None) -> Iterator[None]:
    """Context in which backbone, method and head are compiled, or nothing if backend is None."""
    modules = [model.backbone, model.method, model.head] if backend else []
    torch._dynamo.reset()  # else, after a few sizes, dynamo makes them dynamic or gives up
    for module in modules:
        # Not the module itself: the head's loss calls its `forward` directly.
        module.forward = torch.compile(module.forward, backend=backend, dynamic=False)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def works(config: Config, model: nn.Module, work: str, batch_size: int, device: str) -> dict:
    """The calls to measure by name, `least` first."""
    clips = costs.random_clips(config, batch_size, device)
    if work == 'inference':
        calls = {'least': costs.least, 'CM-Pose': costs.clip_model}
        runs = {name: lambda call=call: call(model, clips) for name, call in calls.items()}
    else:
        samples = costs.training_samples(config, batch_size, device)
        calls = {'least': costs.least_losses, 'CM-Pose': costs.clip_losses}
        runs = {
            name: lambda call=call: costs.training_step(model, call, clips, samples)
            for name, call in calls.items()
        }
    # Both also work as decorators.
    precision = torch.autocast(torch.device(device).type, torch.bfloat16)
    gradients = torch.enable_grad() if work == 'training' else torch.no_grad()
    return {name: precision(gradients(run)) for name, run in runs.items()}


def measure(
    config: Config,
    model: nn.Module,
    work: str,
    batch_size: int,
    backend: str | None,
    repeats: int,
    device: str,
    peak_tflops: float | None,
) -> list[list]:
    """The table's rows for one batch size; see `HEADER`."""
    model.train(work == 'training')
    runs = works(config, model, work, batch_size, device)
    macs = {name: multiply_adds(run) for name, run in works(config, model, work, 1, device).items()}
    with compiled(model, backend):
        seconds = costs.interleaved_seconds(runs, repeats, device)
        memory = {name: peak_gib(model, run, device) for name, run in runs.items()}
    rows = []
    for name in runs:
        each = np.median(seconds[name]) / batch_size
        mfu = '-'
        if peak_tflops is not None:
            mfu = f'{100 * 2e9 * macs[name] / each / (peak_tflops * 1e12):.1f}'
        ratio = Spread.of(seconds[name] / seconds['least'])
        rows.append(
            [f'{work}, {name}', 'yes' if backend else 'no', batch_size, f'{macs[name]:.4g}',
             f'{1000 * each:.2f}', ratio, mfu, memory[name]]
        )  # fmt: skip
    return rows


def peak_gib(model: nn.Module, run, device: str) -> str:
    """Everything allocated at the peak of a call; unknown on the CPU."""
    if not device.startswith('cuda'):
        return '-'
    model.zero_grad(set_to_none=True)
    before = torch.cuda.memory_allocated(device)
    return f'{(before + costs.peak_memory(run, device)) / 2**30:.2f}'


def known_peak(name: str) -> float | None:
    """Dense bfloat16 peak in TFLOP/s of a GPU by its name, None if it is not in the table."""
    words = set(re.split(r'[^A-Za-z0-9]+', name))
    return next((peak for key, peak in PEAK_TFLOPS.items() if words >= set(key.split())), None)


def main() -> None:
    args = parse_args()
    if not torch.cuda.is_available():
        raise SystemExit(
            'gpu_cost.py: torch finds no CUDA GPU here; on a CPU use '
            'benchmarks/inference_cost.py and benchmarks/training_cost.py'
        )
    peak = args.peak_tflops or known_peak(torch.cuda.get_device_name(args.device))
    config = costs.load_config(args.config, args.cfg_options)
    model = costs.build_model(config, args.device)
    print(costs.machine(args.device))
    print(f'{args.config}, bfloat16 autocast, {args.repeats} rounds, peak {peak or "?"} TFLOP/s\n')
    table = []
    for work in args.work:
        for compiling in args.compile:
            backend = 'inductor' if compiling == 'on' else None
            for batch_size in tqdm(args.batch_sizes, desc=f'{work}, compile {compiling}'):
                try:
                    rows = measure(config, model, work, batch_size, backend, args.repeats,
                                   args.device, peak)  # fmt: skip
                except torch.cuda.OutOfMemoryError:
                    rows = [[work, 'yes' if backend else 'no', batch_size, 'out of memory']]
                table += rows
                model.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
                if len(rows) == 1:
                    break
    print(markdown_table(HEADER, table))


if __name__ == '__main__':
    main()
