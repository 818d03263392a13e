"""The demo's first stage: a small single-frame model, for CM-Pose to start from.

CM-Pose starts from a backbone that was trained on poses (in the paper ViTPose's, on COCO). From
scratch on a CPU, a convolutional backbone learns fastest. It trains on data of
`tools/make_synthetic_posetrack.py` (`make demo` does everything).
"""

_base_ = ['../_base_/runtime.py', '../_base_/datasets/posetrack18_clips.py']

data_root = 'data/synthetic_demo/'
codec = dict(
    type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5, blur_kernel_size=7
)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='ClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    # ResNet-18 at half width without its last stage. The maps at strides 8 and 16 together are the
    # 16x12 tokens: detail and surroundings, at half the cost of a deeper network at stride 8.
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 2),  # wide view: the face tells the left leg from the right
        out_indices=(1, 2),
    ),
    neck=dict(type='FeatureMapProcessor', select_index=(0, 1), concat=True),
    head=dict(
        type='HeatmapHead',
        in_channels=192,
        out_channels=15,
        deconv_out_channels=(64,),
        deconv_kernel_sizes=(4,),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
    train_cfg=dict(compute_acc=False),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
)

# Boxes in the data are already 1.3 times the extent of the joints.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.0),
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        shift_prob=0.0,
        scale_factor=(0.9, 1.1),
        scale_prob=1.0,
        rotate_factor=10,
        rotate_prob=0.5,
    ),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.0),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackClipInputs'),
]

# No workers: on two cores they slow down the computation more than they help.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    # Frames this small decode fast enough.
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=val_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=5)
# bfloat16 halves the time of a step on CPUs with tiles for it (AMX); others train in float32.
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=5, eta_min=0, convert_to_iter_based=True),
]
default_hooks = dict(logger=dict(interval=20))
