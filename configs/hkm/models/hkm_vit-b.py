"""HKM on ViT-B, three frames, 256x192; the backbone is trained (chosen)."""

_base_ = ['../../_base_/models/vit-b.py']

model = dict(
    method=dict(type='HKM', in_channels=768, num_frames=3, keep_ratio=0.5, joint_cells=4),
)
