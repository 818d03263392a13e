"""CM-Pose (ViT-H) on PoseTrack21, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-h.py',
    './_base_/datasets/posetrack21_clips.py',
]
