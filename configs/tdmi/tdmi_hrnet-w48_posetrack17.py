"""TDMI (HRNet-W48, 384x288, five frames) on PoseTrack17, the recipe of the authors' code."""

_base_ = [
    './models/tdmi_hrnet-w48.py',
    '../_base_/datasets/posetrack17_clips_384x288.py',
    '../_base_/schedules/adamw_20e_frozen.py',
]

changes = dict(RandomBBoxTransform=dict(rotate_prob=0.6))
train_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.train_pipeline]
del changes
# Covariances need many cells: no last batch of a few clips.
train_dataloader = dict(batch_size=30, drop_last=True, dataset=dict(pipeline=train_pipeline))

# The first stage, with PoseTrack's joints: configs/single_frame.
load_from = 'work_dirs/single_frame_hrnet-w48_posetrack17/epoch_20.pth'
