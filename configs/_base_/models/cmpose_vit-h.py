"""Name of an earlier version, when the model brought its schedule along."""

_base_ = ['../../cmpose/models/cmpose_vit-h.py', '../schedules/adamw_20e.py']

load_from = _base_.coco_weights
