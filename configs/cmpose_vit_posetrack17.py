"""CM-Pose (ViT-B) on PoseTrack17, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-b.py',
    './_base_/datasets/posetrack17_clips.py',
]
