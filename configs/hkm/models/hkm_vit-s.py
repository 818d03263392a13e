"""HKM on ViT-S, three frames, 256x192; the backbone is trained (chosen)."""

_base_ = ['../../_base_/models/vit-s.py']

model = dict(
    method=dict(type='HKM', in_channels=384, num_frames=3, keep_ratio=0.5, joint_cells=4),
)
