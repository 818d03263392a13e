"""bfloat16 autocast on any device that has bfloat16 arithmetic."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmpose.registry import OPTIM_WRAPPERS


def has_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16. A processor may only emulate it, ten times slower.

    Args:
        device: type of the device, such as 'cuda' or 'cpu'.
    """
    if device != 'cpu':
        return True
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper with the forward pass under bfloat16 autocast.

    Unlike `AmpOptimWrapper` it also runs without an accelerator. bfloat16 has the range of float32,
    so it needs no loss scaling. On a processor without bfloat16 arithmetic it trains in float32 and
    says so.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._enabled = has_bfloat16(get_device())
        if not self._enabled:
            print_log(
                'This processor has no bfloat16 arithmetic: training in float32.',
                logger='current',
                level=logging.WARNING,
            )

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """As in `OptimWrapper`, under autocast."""
        autocast = torch.autocast(get_device(), dtype=torch.bfloat16, enabled=self._enabled)
        with super().optim_context(model), autocast:
            yield
