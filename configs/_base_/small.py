"""What all methods on the leaderboard share: small backbone, start, samples, steps, on JHMDB.

Each method's `<method>_small.py` adds the method; `benchmarks/leaderboard.py` finds them all.
Clips are of three distinct frames, stride 1. Choices: see the first stage.
"""

_base_ = ['../experiments/jhmdb_single_frame.py']

model = dict(type='VideoTopdownPoseEstimator', backbone=dict(norm_eval=True))
load_from = 'work_dirs/jhmdb_single_frame/epoch_2.pth'  # tools/ablate.py: that of the seed

# As the first stage, with clips in place of images.
train_pipeline = [dict(type='LoadClip'), *_base_.train_pipeline[1:]]
val_pipeline = [dict(type='LoadClip', cache_clips=1), *_base_.val_pipeline[1:]]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

max_iters = 360
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
# The new parts learn fast; what the first stage has learned moves little, and the backbone's batch
# statistics not at all. (The head's do.)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.05), head=dict(lr_mult=0.1))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(by_epoch=False, interval=max_iters, save_optimizer=False),
)
log_processor = dict(by_epoch=False)
