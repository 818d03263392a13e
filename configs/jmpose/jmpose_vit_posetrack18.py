"""JM-Pose (ViT-B, 256x192, five frames) on PoseTrack18."""

_base_ = [
    './models/jmpose_vit-b.py',
    '../_base_/datasets/posetrack18_clips.py',
    '../_base_/schedules/adamw_20e_frozen.py',
]

# Covariances need many cells: no last batch of a few clips.
train_dataloader = dict(batch_size=30, drop_last=True)

# The first stage, with PoseTrack's joints: configs/single_frame.
load_from = 'work_dirs/single_frame_vit_posetrack18/epoch_20.pth'
