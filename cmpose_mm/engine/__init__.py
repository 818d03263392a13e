"""Hooks and optimizer wrappers for MMEngine's runner."""

from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .causal_token_hook import CausalTokenVisualizationHook
from .epoch_seed_hook import EpochSeedHook
from .sampler_layout_hook import SamplerLayoutHook

__all__ = [
    'BFloat16OptimWrapper',
    'CausalTokenVisualizationHook',
    'EpochSeedHook',
    'SamplerLayoutHook',
]
