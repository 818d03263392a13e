"""CM-Pose (ViT-S) on PoseTrack17, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-s.py',
    './_base_/datasets/posetrack17_clips.py',
]
