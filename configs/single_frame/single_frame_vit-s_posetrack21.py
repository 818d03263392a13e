"""First stage: ViTPose-S on single frames of PoseTrack21, with its 15 joints."""

_base_ = [
    '../_base_/models/vit-s.py',
    '../_base_/datasets/posetrack21_clips.py',
    '../_base_/schedules/adamw_20e.py',
]

model = dict(method=dict(type='KeyFrameOnly', num_frames=1))
load_from = _base_.coco_weights
