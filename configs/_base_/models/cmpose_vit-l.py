"""Old path, from when the model config included the schedule."""

_base_ = ['../../cmpose/models/cmpose_vit-l.py', '../schedules/adamw_20e.py']

load_from = _base_.coco_weights
