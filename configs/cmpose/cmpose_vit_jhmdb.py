"""CM-Pose (ViT-B) on JHMDB, the paper's recipe."""

_base_ = [
    './models/cmpose_vit-b.py',
    '../_base_/datasets/jhmdb_clips.py',
    '../_base_/schedules/adamw_20e_last.py',
]

load_from = _base_.coco_weights
