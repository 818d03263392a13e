"""CM-Pose (ViT-S) on PoseTrack17, the paper's recipe."""

_base_ = [
    './models/cmpose_vit-s.py',
    '../_base_/datasets/posetrack17_clips.py',
    '../_base_/schedules/adamw_20e.py',
]

load_from = _base_.coco_weights
