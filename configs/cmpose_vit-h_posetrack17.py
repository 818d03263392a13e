"""CM-Pose (ViT-H) on PoseTrack17, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-h.py',
    './_base_/datasets/posetrack17_clips.py',
]
