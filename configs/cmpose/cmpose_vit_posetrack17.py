"""CM-Pose (ViT-B) on PoseTrack17, the paper's recipe."""

_base_ = [
    './models/cmpose_vit-b.py',
    '../_base_/datasets/posetrack17_clips.py',
    '../_base_/schedules/adamw_20e.py',
]

load_from = _base_.coco_weights
