"""What every training with the package needs beyond MMPose's defaults."""

_base_ = ['mmpose::_base_/default_runtime.py']

custom_imports = dict(imports=['cmpose_mm'], allow_failed_imports=False)

# Fixed, so that the same command gives the same numbers; another: --cfg-options randomness.seed=1
randomness = dict(seed=0)

default_hooks = dict(
    clip_layout=dict(type='ClipLayoutHook'),
    frame_head=dict(type='FrameHeadHook'),
    epoch_seed=dict(type='EpochSeedHook'),
    sampler_layout=dict(type='SamplerLayoutHook'),
    # `interval=1`: a killed run resumes (`--resume`) from the last whole epoch.
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='posetrack/AP', rule='greater'),
)
