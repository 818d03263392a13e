"""CM-Pose (ViT-L) on PoseTrack17, the paper's recipe."""

_base_ = [
    './_base_/models/cmpose_vit-l.py',
    './_base_/datasets/posetrack17_clips.py',
]
