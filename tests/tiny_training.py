"""A config that trains a tiny CM-Pose in seconds; see the fixture `tiny_config`."""

TINY_CONFIG = """
_base_ = [__import__('cmpose_mm').config_path('cmpose_vit-s_posetrack18.py')]
load_from = None
codec = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
model = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=32),
        img_size=(128, 96),
        drop_path_rate=0.1,
    ),
    method=dict(
        embed_dims=32,
        neck=dict(num_blocks=1, num_heads=2),
        fte=dict(num_causal=1, num_neighbors=3, num_clusters=8),
    ),
    head=dict(
        in_channels=32, deconv_out_channels=(32, 32), deconv_kernel_sizes=(4, 4), decoder=codec
    ),
)
train_dataloader = dict(
    batch_size=4, num_workers=1, dataset=dict(data_root={root!r}, ann_file='annotations/train')
)
train_dataloader['dataset']['pipeline'] = [
    dict(type='LoadClip', cache_size_mb=1),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='ClipRandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform', scale_factor=(0.65, 1.35), rotate_factor=45),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackClipInputs'),
]
val_pipeline = [
    dict(type='LoadClip'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackClipInputs'),
]
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(data_root={root!r}, ann_file='annotations/val', pipeline=val_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={root!r} + '/annotations/val')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
param_scheduler = []
default_hooks = dict(logger=dict(interval=1))
work_dir = {work_dir!r}
"""
