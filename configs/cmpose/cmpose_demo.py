"""The demo's second stage: CM-Pose with all its parts, on the small backbone of the first.

Inherit from it for quick experiments on a CPU; its modules and code paths are those of
`cmpose_vit_posetrack18.py`.
"""

_base_ = ['../single_frame/single_frame_demo.py', './readings.py']

model = dict(
    type='VideoTopdownPoseEstimator',
    backbone=dict(norm_eval=True),
    method=dict(
        type='CMPose',
        embed_dims=192,
        num_keypoints=15,
        num_frames=3,
        # Narrow, a third of the tokens' width, since most of a step's time would go here.
        neck=dict(
            type='CrissCrossSTNeck',
            num_blocks=1,
            num_heads=2,
            attention_dims=64,
            **_base_.readings.neck,
        ),
        fte=dict(type='CausalTokenFTE', **_base_.readings.fte),
        # The demo's numbers in README and docs have this lambda. On harder videos, 0.1 was better
        # after 120 steps, and to the paper's letter no tasks after 360 (docs/evidence.md).
        aux=dict(type='AuxReconLoss', mask_ratio=0.45, noise_ratio=0.45, loss_weight=0.001),
    ),
    test_cfg=dict(output_details=True),
)
load_from = 'work_dirs/demo/single_frame/epoch_5.pth'

# As in the first stage, with clips instead of images.
train_pipeline = [dict(type='LoadClip'), *_base_.train_pipeline[1:]]
val_pipeline = [dict(type='LoadClip'), *_base_.val_pipeline[1:]]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

# Less than one pass over the data.
max_iters = 50
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
# The new parts learn fast. The weights of the first stage change little, and the batch statistics
# of its backbone do not change.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.05), head=dict(lr_mult=0.1))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(by_epoch=False, interval=max_iters),
)
log_processor = dict(by_epoch=False)
