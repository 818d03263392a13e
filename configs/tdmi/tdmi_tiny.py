"""TDMI for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(
    backbone=dict(out_indices=[0, 1]),
    method=dict(type='TDMI', in_channels=[32, 32], channels=16, num_frames=3),
)
train_dataloader = dict(drop_last=True)  # a batch of one clip has too few cells for covariances
