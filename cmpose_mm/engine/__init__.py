"""Hooks and optimizer wrappers for MMEngine's runner."""

from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .causal_token_hook import CausalTokenVisualizationHook
from .clip_layout_hook import ClipLayoutHook, build_dataset
from .epoch_seed_hook import EpochSeedHook
from .frame_head_hook import FrameHeadHook
from .model_schedule_hook import ModelScheduleHook
from .sampler_layout_hook import SamplerLayoutHook

__all__ = [
    'BFloat16OptimWrapper',
    'CausalTokenVisualizationHook',
    'ClipLayoutHook',
    'EpochSeedHook',
    'FrameHeadHook',
    'ModelScheduleHook',
    'SamplerLayoutHook',
    'build_dataset',
]
