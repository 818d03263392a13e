"""CM-Pose on ViT-S, see cmpose_vit-b.py."""

_base_ = ['../../_base_/models/vit-s.py', '../readings.py']

model = dict(
    method=dict(
        type='CMPose',
        embed_dims=384,
        num_keypoints=15,
        num_frames=3,
        neck=dict(
            type='CrissCrossSTNeck',
            num_blocks=1,
            num_heads=4,
            attention_dims=128,
            **_base_.readings.neck,
        ),
        fte=dict(type='CausalTokenFTE', **_base_.readings.fte),
        aux=dict(type='AuxReconLoss', mask_ratio=0.45, noise_ratio=0.45, loss_weight=0.005),
    ),
)
