"""First stage: HRNet-W48 on single frames of PoseTrack17, 384x288, with its 15 joints."""

_base_ = [
    '../_base_/models/hrnet-w48.py',
    '../_base_/datasets/posetrack17_clips_384x288.py',
    '../_base_/schedules/adamw_20e.py',
]

model = dict(method=dict(type='KeyFrameOnly', num_frames=1))
load_from = _base_.coco_weights
