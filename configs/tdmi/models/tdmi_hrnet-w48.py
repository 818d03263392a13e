"""TDMI on HRNet-W48, five frames, 384x288, with a frozen backbone, as in the authors' code."""

_base_ = ['../../_base_/models/hrnet-w48.py']

model = dict(
    freeze_backbone=True,
    method=dict(type='TDMI', in_channels=[48] * 4, num_frames=5),
)
