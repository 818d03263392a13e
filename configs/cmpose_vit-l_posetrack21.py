"""CM-Pose (ViT-L) on PoseTrack21, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-l.py',
    './_base_/datasets/posetrack21_clips.py',
]
