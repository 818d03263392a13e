"""First stage of experiments on real footage: the demo's single-frame model on JHMDB.

Frames that repeat the one before are out (tools/distinct_frames.py), crops are 128x96, two epochs
from scratch. What is to be chosen is chosen on held-out films (tools/list_clips.py):

    --cfg-options train_dataloader.dataset.ann_file=annotations/train_chosen \\
        test_dataloader.dataset.ann_file=annotations/held_out
"""

_base_ = ['../single_frame/single_frame_demo.py']

data_root = 'data/jhmdb_distinct/'

# Boxes are those of the puppets: tighter than the demo's. Clips are cut at head, hips or knees.
changes = dict(
    GetBBoxCenterScale=dict(padding=1.25),
    RandomBBoxTransform=dict(scale_factor=(0.65, 1.35), rotate_factor=40),
)
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='annotations/test', pipeline=val_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='PoseTrackPCK', norms=['box', 'torso'], prefix='posetrack'),
    dict(type='PoseTrackMetric', prefix='posetrack'),
]
test_evaluator = val_evaluator

# Half the time of a test, and nothing that differs between methods.
model = dict(test_cfg=dict(flip_test=False))
train_cfg = dict(max_epochs=2, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=2, eta_min=0, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best=None))
