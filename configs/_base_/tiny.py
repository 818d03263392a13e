"""A model small enough for tests: a ViT of width 32 and crops of 96x128, which give 6x8 cells.

Each method's `<method>_tiny.py` adds the method; `tests/models/test_methods.py` tests all of them.
It trains on any small dataset, for example one that `tools/make_synthetic_posetrack.py` renders.
"""

_base_ = ['./models/vit-s.py', './datasets/posetrack18_clips.py', './schedules/adamw_20e.py']

data_root = 'data/synthetic_tiny/'
codec = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)

model = dict(
    backbone=dict(
        arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64),
        img_size=(128, 96),
        drop_path_rate=0.1,
    ),
    head=dict(in_channels=32, deconv_out_channels=(16, 16), decoder=codec),
)

changes = dict(
    LoadClip=dict(cache_clips=2),
    TopdownAffine=dict(input_size=codec['input_size']),
    GenerateTarget=dict(encoder=codec),
)
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes

loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=val_pipeline), **loader)
test_dataloader = val_dataloader
del loader
val_evaluator = dict(ann_file=data_root + 'annotations/val')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=1)
param_scheduler = []
default_hooks = dict(logger=dict(interval=1))
