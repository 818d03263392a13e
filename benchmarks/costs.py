"""Shared parts of the cost benchmarks: the work to measure, multiply-adds, timing, memory, tables.

Shapes: B clips, T frames, H x W input pixels.
"""

from __future__ import annotations

import itertools
import math
import os
import platform
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import mmpose
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cmpose_mm.apis.loading import find_config
from cmpose_mm.config_options import merge_options
from cmpose_mm.models import FrameFeatures


@dataclass
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Spread:
        if not len(values):
            return cls(np.nan, np.nan, np.nan)
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
        return cls(median, low, high)

    def __str__(self) -> str:
        return f'{self.median:.3f} ({self.low:.3f}-{self.high:.3f})'


def load_config(path: str, options: dict) -> Config:
    """A config file, or one of the package's configs by name, with overrides."""
    config = Config.fromfile(find_config(path))
    merge_options(config, options)
    init_default_scope(config.default_scope)
    return config


def build_model(config: Config, device: str = 'cpu') -> nn.Module:
    """The config's clip model with random weights."""
    torch.manual_seed(0)
    return MODELS.build(config.model).to(device)


def random_clips(config: Config, num_clips: int, device: str = 'cpu') -> Tensor:
    """(B, T, 3, H, W) normalized clips."""
    width, height = config.model.head.decoder.input_size
    shape = num_clips, config.model.method.num_frames, 3, height, width
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)


def training_samples(config: Config, count: int, device: str = 'cpu') -> list[PoseDataSample]:
    """Samples with empty heatmap targets of the config's size."""
    width, height = config.model.head.decoder.heatmap_size
    joints = config.model.head.out_channels
    samples = []
    for number in range(count):
        sample = PoseDataSample(metainfo=dict(clip_seed=number))
        sample.gt_fields = PixelData(heatmaps=torch.zeros(joints, height, width))
        sample.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(1, joints))
        samples.append(sample.to(device))
    return samples


# The work. The model's backbone and head are those of MMPose's ViTPose, and measured in its place.


def least(model: nn.Module, clips: Tensor) -> Tensor:
    """The minimum work of any model of clips: the backbone on all frames, the head on one map."""
    maps = model.extract_maps(clips.flatten(0, 1))[-1]
    return model.head((maps[model.key_index :: clips.shape[1]],))


def single_frames(model: nn.Module, clips: Tensor) -> Tensor:
    """The single-frame model on every frame of the clips: backbone and head."""
    return model.head((model.extract_maps(clips.flatten(0, 1))[-1],))


def clip_model(model: nn.Module, clips: Tensor) -> Tensor:
    """Heatmaps of the key frames."""
    return model.head(model.run_method(clips).head_input)


def track_crops(model: nn.Module, clips: Tensor) -> Tensor:
    """As `clip_model`, with the features of all frames but one known from earlier clips."""
    frames = FrameFeatures.stack([model.extract_frames(clips[:, -1])] * clips.shape[1])
    frames = frames.map(lambda tensor: tensor.transpose(0, 1))
    return model.head(model.call_method(model.clip_input(frames)).head_input)


def training_step(model: nn.Module, work: Callable, clips: Tensor, samples: list) -> None:
    """Forward, losses and backward of one of the functions below, from empty gradients."""
    model.zero_grad(set_to_none=True)
    losses = work(model, clips, samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()


def least_losses(model: nn.Module, clips: Tensor, samples: list) -> dict:
    """`least` with the head's losses."""
    maps = model.extract_maps(clips.flatten(0, 1))[-1][model.key_index :: clips.shape[1]]
    return model.head.loss((maps,), samples, train_cfg=model.train_cfg)


def single_frame_losses(model: nn.Module, clips: Tensor, samples: list) -> dict:
    """`single_frames` with the head's losses, and every frame as a sample."""
    maps = model.extract_maps(clips.flatten(0, 1))[-1]
    samples = [sample for sample in samples for _ in range(clips.shape[1])]
    return model.head.loss((maps,), samples, train_cfg=model.train_cfg)


def clip_losses(model: nn.Module, clips: Tensor, samples: list) -> dict:
    """All losses of the clip model."""
    return model.loss(clips, samples)


# Measures


def multiply_adds(run: Callable[[], object]) -> float:
    """Multiply-adds of the matrix products and convolutions in a call, in 1e9.

    Attention is computed as matrix products here, as the counter does not know the CPU's fused
    kernel. Additions, norms, elementwise products and the interpolation of deformable convolutions
    are not counted. Needs torch >= 2.3.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    counter = FlopCounterMode(display=False, custom_mapping=_deformable_flops())
    with sdpa_kernel(SDPBackend.MATH), counter:
        run()
    return counter.get_total_flops() / 2e9


def _deformable_flops() -> dict:
    """What torch's counter does not know: torchvision's deformable convolution."""
    import torchvision  # noqa: F401  registers the operators

    def forward(x_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
        return 2 * out_shape[0] * out_shape[2] * out_shape[3] * math.prod(weight_shape)

    def backward(gradient_shape, x_shape, weight_shape, *args, out_shape=None, **kwargs) -> int:
        batch, _, height, width = gradient_shape  # for the input, and for the weights
        return 2 * 2 * batch * height * width * math.prod(weight_shape)

    return {
        torch.ops.torchvision.deform_conv2d: forward,
        torch.ops.torchvision._deform_conv2d_backward: backward,
    }


METHOD_NAMES = {'CMPose': 'CM-Pose', 'JMPose': 'JM-Pose'}


def method_name(config: Config) -> str:
    """Name of the config's method in tables."""
    name = config.model.method.type
    if config.model.method.get('appearance'):
        name += '-ST'
    return METHOD_NAMES.get(name, name)


def settings(config: Config) -> str:
    """What decides a method's cost, in one line."""
    method = config.model.method
    chosen = method.get('neck', method)
    kind = 'neck' if 'neck' in method else 'method'
    return f'{kind} { {k: v for k, v in chosen.items() if k != "type"} }'


def synchronize(device: str) -> None:
    """Waits for a GPU; does nothing on the CPU."""
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)


def interleaved_seconds(
    runs: dict[str, Callable[[], object]], repeats: int, device: str = 'cpu'
) -> dict[str, np.ndarray]:
    """Seconds of each call in each round, (repeats,); all calls run once in every round.

    A temporary slowdown of the machine affects all calls of a round, so the ratio of two calls in
    one round is more reliable than that of their means. Every other round runs in reverse order.
    """
    for run in runs.values():
        run()
    seconds = {name: [] for name in runs}
    for number in range(repeats):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            synchronize(device)
            start = time.perf_counter()
            runs[name]()
            synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


@contextmanager
def timed_modules(modules: dict[str, nn.Module], device: str = 'cpu'):
    """Context that measures the seconds of every call of the modules; yields lists by name."""
    seconds: dict[str, list[float]] = {name: [] for name in modules}
    starts, handles = {}, []

    def before(name: str) -> None:
        synchronize(device)
        starts[name] = time.perf_counter()

    def after(name: str) -> None:
        synchronize(device)
        seconds[name].append(time.perf_counter() - starts[name])

    for name, module in modules.items():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: before(name)))
        handles.append(module.register_forward_hook(lambda *_, name=name: after(name)))
    try:
        yield seconds
    finally:
        for handle in handles:
            handle.remove()


def module_inputs(modules: dict[str, nn.Module], run: Callable[[], object]) -> dict[str, tuple]:
    """The arguments that each module receives during a call."""
    inputs: dict[str, tuple] = {}
    handles = [
        module.register_forward_pre_hook(lambda _, args, name=name: inputs.update({name: args}))
        for name, module in modules.items()
    ]
    run()
    for handle in handles:
        handle.remove()
    return inputs


def peak_memory(run: Callable[[], object], device: str = 'cpu') -> int:
    """Peak number of bytes that a call has allocated and not yet freed, including its result.

    On the CPU it comes from the profiler's record of every allocation; needs torch >= 2.4.
    """
    if device.startswith('cuda'):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    run()  # so that what is allocated once and kept does not count
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        result = run()
    del result
    events = profile.profiler.kineto_results.events()
    events = sorted((e for e in events if e.name() == '[memory]'), key=lambda e: e.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in events), default=0)


# Report


def machine(device: str = 'cpu') -> str:
    """Hardware and versions in one line."""
    if device.startswith('cuda'):
        hardware = torch.cuda.get_device_name(device)
    else:
        hardware = f'{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads'
    return (
        f'{hardware}; torch {torch.__version__}, mmpose {mmpose.__version__}, '
        f'Python {platform.python_version()}'
    )


def cpu_name() -> str:
    """The CPU's name on Linux; elsewhere the architecture."""
    try:
        with open('/proc/cpuinfo') as file:
            names = [line.split(':')[1].strip() for line in file if line.startswith('model name')]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
