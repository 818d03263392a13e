"""bfloat16 autocast on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmpose.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """MMEngine's optimizer wrapper with the forward pass under bfloat16 autocast.

    Unlike `AmpOptimWrapper` it also runs without an accelerator. bfloat16 has the range of float32,
    so it needs no loss scaling.
    """

    @contextmanager
    def optim_context(self, model: torch.nn.Module) -> Iterator[None]:
        """As in `OptimWrapper`, under autocast."""
        with super().optim_context(model), torch.autocast(get_device(), dtype=torch.bfloat16):
            yield
