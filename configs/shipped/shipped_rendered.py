"""The small model's first stage: single frames, rendered videos only (`make model`).

What comes out is the rendered-only model that ships with the package. All that the weights depend
on is written out here, so that changed defaults or bases can not change what they predict.
"""

_base_ = ['../_base_/runtime.py']

data_mode = 'topdown'  # MMPose's inferencers read it, and dataset_type
dataset_type = 'PoseTrackVideoDataset'

env_cfg = dict(cudnn_benchmark=True)  # inputs of one size

codec = dict(
    type='UDPHeatmap', input_size=(144, 192), heatmap_size=(36, 48), sigma=1.5, blur_kernel_size=7
)
base_channels = 48
num_epochs = 12

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='ClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    # The demo's trunk, wider: ResNet-18 without its last stage; the maps at strides 8 and 16
    # together are 24x18 tokens.
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=base_channels,
        base_channels=base_channels,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 2),  # wide view: the face tells the left leg from the right
        out_indices=(1, 2),
        norm_eval=False,
    ),
    neck=dict(type='FeatureMapProcessor', select_index=(0, 1), concat=True),
    head=dict(
        type='HeatmapHead',
        in_channels=6 * base_channels,
        out_channels=15,
        deconv_out_channels=(2 * base_channels,),
        deconv_kernel_sizes=(4,),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
    train_cfg=dict(compute_acc=False),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
)

# Clips are cut at head, hips or knees, and boxes of other sources are wide or off.
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='ClipRandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=0.2),
    dict(
        type='RandomBBoxTransform',
        shift_factor=0.12,
        shift_prob=0.5,
        scale_factor=(0.6, 1.6),
        scale_prob=1.0,
        rotate_factor=40,
        rotate_prob=0.6,
    ),
    dict(type='RandomWideBox', prob=0.2, padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='RandomPatches', prob=0.3),
    dict(type='RandomColors', prob=0.8, brightness=30),
    dict(type='RandomBlur', prob=0.2, max_sigma=1.5, max_factor=3),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackClipInputs'),
]

# The neighbors of a clip are two frames away: about a quarter of JHMDB's frames repeat the one
# before.
rendered = dict(
    type='PoseTrackVideoDataset',
    dataset_name='posetrack18',
    data_root='data/small_rendered/',
    ann_file='annotations/train',
    data_prefix=dict(img=''),
    stride=2,
    pipeline=train_pipeline,
)
jhmdb_test = dict(
    type='PoseTrackVideoDataset',
    dataset_name='posetrack18',
    data_root='data/jhmdb/',
    ann_file='annotations/test',
    data_prefix=dict(img=''),
    stride=2,
    causal=False,
    test_mode=True,
    pipeline=val_pipeline,
)

train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    persistent_workers=False,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='collate_clips'),
    dataset=rendered,
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=jhmdb_test,
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='PoseTrackPCK', norms=['box', 'head'], prefix='posetrack')]
test_evaluator = val_evaluator

# Test clips choose nothing: training does not look at them.
train_cfg = dict(by_epoch=True, max_epochs=num_epochs, val_interval=num_epochs)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='BFloat16OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=200),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=num_epochs,
        eta_min=0,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(save_best=None))
