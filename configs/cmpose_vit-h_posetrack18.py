"""CM-Pose (ViT-H) on PoseTrack18, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-h.py',
    './_base_/datasets/posetrack18_clips.py',
]
