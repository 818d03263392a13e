"""TDMI on ViT-B, five frames, 256x192, with a frozen backbone.

The stages are the maps after a quarter, a half, three quarters and all of the layers (chosen).
"""

_base_ = ['../../_base_/models/vit-b.py']

model = dict(
    backbone=dict(out_indices=[2, 5, 8, 11]),
    freeze_backbone=True,
    method=dict(type='TDMI', in_channels=[768] * 4, channels=128, num_frames=5),
)
