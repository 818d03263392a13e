"""PoseTrack17 as video clips for input of 384x288; see posetrack17_clips.py."""

_base_ = ['./posetrack17_clips.py']

# As for MMPose's HRNet-W48; `unbiased` encodes and decodes by DARK.
codec = dict(
    type='MSRAHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3, unbiased=True
)

changes = dict(
    TopdownAffine=dict(input_size=codec['input_size'], use_udp=False),
    GenerateTarget=dict(encoder=codec),
)
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
