"""HeatmapWarp for the 26.7 % experiment, at a size for two CPU cores; see propagation.py.

It starts from the single-frame model of the same labels, whose backbone and head are frozen.
"""

_base_ = ['./propagation.py']

codec = _base_.codec
model = dict(
    type='VideoTopdownPoseEstimator',
    backbone=dict(norm_eval=True),
    freeze_backbone=True,
    frame_head=_base_.model.head,
    method=dict(
        type='HeatmapWarp',
        input_size=codec.input_size,
        sigma=codec.sigma,
        channels=32,
        num_blocks=6,
        dilations=(1, 2, 4, 6, 8),  # along each axis a third of the cells of PoseWarper's maps
        backend='grid_sample',
    ),
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=15,
        out_channels=15,
        deconv_out_channels=None,
        final_layer=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
)

train_pipeline = [
    dict(type='LoadClip'),
    _base_.train_pipeline[1],
    dict(type='ClipRandomFlip', direction='horizontal'),
    *_base_.train_pipeline[3:],
]
changes = dict(
    LoadImage=dict(type='LoadClip', cache_clips=1), TopdownAffine=dict(type='ClipTopdownAffine')
)
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes
train_dataloader = dict(
    batch_size=16,
    dataset=dict(pipeline=train_pipeline, random_neighbors=True, stride=2),
)
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

max_iters = 300
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
