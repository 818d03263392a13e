"""STDPose (ViT-B, 256x192) that propagates labels on PoseTrack18, see docs/propagation.md.

Clips are [label before, frame, label after]; the frame's own label is what it learns. Backbone and
frame head stay those of the first stage.
"""

_base_ = [
    './models/stdpose_vit-b.py',
    '../_base_/datasets/posetrack18_clips.py',
    '../_base_/schedules/adamw_20e_frozen.py',
]

model = dict(
    freeze_backbone=True,
    frame_head_frozen=True,
    # Labels peak at 1, predictions lower.
    method=dict(labels=_base_.codec, dam_normalize=True),
)

# The labels of both sides, in pixels of the crop.
changes = dict(TopdownAffine=dict(type='ClipTopdownAffine'))
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes
train_dataloader = dict(batch_size=30, dataset=dict(label_every=4, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(label_every=4, pipeline=val_pipeline))
test_dataloader = val_dataloader

# The first stage, with PoseTrack's joints, on the same labels: configs/single_frame.
load_from = 'work_dirs/single_frame_vit_posetrack18/epoch_20.pth'
