"""HKM (ViT-B, 256x192, three frames) on PoseTrack17, with CM-Pose's recipe."""

_base_ = [
    './models/hkm_vit-b.py',
    '../_base_/datasets/posetrack17_clips.py',
    '../_base_/schedules/adamw_20e.py',
]

# The human mask starts with all cells; by half the training, a cosine takes it to keep_ratio.
default_hooks = dict(
    human_mask=dict(
        type='ModelScheduleHook',
        attribute='method.keep_ratio',
        values={0.0: 1.0, 0.125: 0.927, 0.25: 0.75, 0.375: 0.573, 0.5: 0.5},
    )
)

# The first stage, with PoseTrack's joints: configs/single_frame.
load_from = 'work_dirs/single_frame_vit_posetrack17/epoch_20.pth'
