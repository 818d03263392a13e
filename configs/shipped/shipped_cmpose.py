"""The small model's last stage, and the model that ships: CM-Pose on clips (`make model`).

To ship another video method, put it in place of ``method``; the head then takes that method's
features, 288 channels.
"""

_base_ = ['./shipped_frames.py']

num_epochs = 1
method = dict(
    type='CMPose',
    embed_dims=288,
    num_frames=3,
    key_index=1,
    neck=dict(
        type='CrissCrossSTNeck',
        embed_dims=288,
        num_keypoints=15,
        num_frames=3,
        num_blocks=1,
        num_heads=3,
        attention_dims=96,
        shared_pathways=True,
        fusion='concat',
        position='sine_cosine',
        grid=None,
        temporal='slot',
        feed_forward=None,
        feed_forward_dims=None,
    ),
    fte=dict(
        type='CausalTokenFTE',
        embed_dims=288,
        num_keypoints=15,
        num_causal=9,
        num_neighbors=5,
        num_clusters=74,
        selection='exclusive',
        normalize_merge=True,
        causal_only=False,
        similarity_weight=0.002,
        straight_through=False,
        restoring='residual',
        num_layers=1,
        num_heads=8,
    ),
    aux=dict(
        type='AuxReconLoss',
        mask_ratio=0.45,
        noise_ratio=0.45,
        noise_std=0.5,
        loss_weight=0.01,
        divide_by_width=True,
        detach_target=True,
        detach_input=False,
        detach_scale=False,
    ),
    temporal_fusion='concat',
)
model = dict(
    type='VideoTopdownPoseEstimator',
    backbone=dict(norm_eval=True),
    method=method,
    test_cfg=dict(flip_test=False),  # half the time
)

train_pipeline = [dict(type='LoadClip'), *_base_.train_pipeline[1:]]
val_pipeline = [dict(type='LoadClip'), *_base_.val_pipeline[1:]]
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        datasets=[
            dict(_base_.jhmdb, pipeline=train_pipeline),
            dict(_base_.rendered_half, pipeline=train_pipeline),
        ],
    ),
)
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=num_epochs, val_interval=num_epochs)
# The new parts learn fast; what the stages before have learned moves little, and its batch
# statistics not at all.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.05), head=dict(lr_mult=0.1))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=num_epochs,
        eta_min=0,
        convert_to_iter_based=True,
    ),
]
load_from = 'work_dirs/small/jhmdb/last.pth'  # tools/train_model.py gives it
