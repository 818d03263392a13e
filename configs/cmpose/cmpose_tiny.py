"""CM-Pose for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(
    method=dict(
        type='CMPose',
        embed_dims=32,
        num_keypoints=15,
        num_frames=3,
        neck=dict(type='CrissCrossSTNeck', num_blocks=1, num_heads=4, attention_dims=16),
        fte=dict(type='CausalTokenFTE', num_causal=1, num_neighbors=3, num_clusters=8),
        aux=dict(type='AuxReconLoss', mask_ratio=0.45, noise_ratio=0.45, loss_weight=0.005),
    ),
)
