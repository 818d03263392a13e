"""CM-Pose (ViT-S) on PoseTrack21, the paper's recipe."""

_base_ = [
    './models/cmpose_vit-s.py',
    '../_base_/datasets/posetrack21_clips.py',
    '../_base_/schedules/adamw_20e.py',
]

load_from = _base_.coco_weights
