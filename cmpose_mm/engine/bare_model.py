"""The model inside a runner's wrapper."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def bare_model(runner: Runner) -> nn.Module:
    """The runner's model without ``DistributedDataParallel`` or the like around it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
