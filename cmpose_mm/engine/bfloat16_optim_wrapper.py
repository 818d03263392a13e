"""bfloat16 autocast on any device that is faster in it."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmpose.registry import OPTIM_WRAPPERS


def has_bfloat16(device: str) -> bool:
    """Whether a device is faster in bfloat16 than in float32.

    A processor may only emulate bfloat16, ten times slower. And x86 processors that have it in
    AVX-512 but not in tiles (AMX) train CM-Pose 1.4 times slower than in float32. NVIDIA's GPUs
    have it from compute capability 8.0 on (Ampere).

    Args:
        device: type of the device, such as 'cuda' or 'cpu'.
    """
    if device == 'cuda' and torch.cuda.is_available() and torch.version.hip is None:
        return torch.cuda.get_device_capability() >= (8, 0)
    if device != 'cpu':
        return True
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    return platform.machine().lower() not in ('x86_64', 'amd64') or 'amx_bf16' in cpu_flags()


def cpu_flags() -> set[str]:
    """Names of this processor's instruction sets; none on systems that do not list them."""
    listed = Path('/proc/cpuinfo')
    return set(listed.read_text().split()) if listed.exists() else set()


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper with the forward pass under bfloat16 autocast.

    Unlike `AmpOptimWrapper` it also runs without an accelerator. bfloat16 has the range of float32,
    so it needs no loss scaling. On a device that is not faster in bfloat16 it trains in float32 and
    says so.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._enabled = has_bfloat16(get_device())
        if not self._enabled:
            print_log(
                'This device is not faster in bfloat16: training in float32.',
                logger='current',
                level=logging.WARNING,
            )

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """As in `OptimWrapper`, under autocast."""
        autocast = torch.autocast(get_device(), dtype=torch.bfloat16, enabled=self._enabled)
        with super().optim_context(model), autocast:
            yield
