"""HeatmapWarp (ViT-B, 256x192) on PoseTrack21: propagates labels, see docs/propagation.md."""

_base_ = [
    './models/heatmap_warp_vit-b.py',
    '../_base_/datasets/posetrack21_clips.py',
    '../_base_/schedules/adamw_20e_frozen.py',
]

# The labels of the neighbors, in pixels of the crop.
changes = dict(TopdownAffine=dict(type='ClipTopdownAffine'))
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes
# A neighbor at most two frames away on either side.
train_dataloader = dict(batch_size=30, dataset=dict(random_neighbors=True, stride=2))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

# The first stage, with PoseTrack's joints, on the same labels: configs/single_frame.
load_from = 'work_dirs/single_frame_vit_posetrack21/epoch_20.pth'
