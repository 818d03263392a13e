"""STDPose (ViT-B, 256x192, three frames) on PoseTrack17, with CM-Pose's recipe."""

_base_ = [
    './models/stdpose_vit-b.py',
    '../_base_/datasets/posetrack17_clips.py',
    '../_base_/schedules/adamw_20e.py',
]

# The first stage, with PoseTrack's joints: configs/single_frame.
load_from = 'work_dirs/single_frame_vit_posetrack17/epoch_20.pth'
