"""The 26.7 % experiment on rendered videos of 30 frames with fast motion, see propagation.py.

`benchmarks/propagation.py` renders them if they are not there.
"""

_base_ = ['./propagation.py']

data_root = 'data/synthetic_fast/'
changes = dict(GetBBoxCenterScale=dict(padding=1.0))  # boxes are 1.3 times the extent of the joints
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='annotations/val', pipeline=val_pipeline)
)
test_dataloader = val_dataloader
