"""CM-Pose on ViT-L, see cmpose_vit-b.py."""

_base_ = ['../../_base_/models/vit-l.py', '../readings.py']

model = dict(
    method=dict(
        type='CMPose',
        embed_dims=1024,
        num_keypoints=15,
        num_frames=3,
        neck=dict(
            type='CrissCrossSTNeck',
            num_blocks=1,
            num_heads=10,
            attention_dims=320,
            **_base_.readings.neck,
        ),
        fte=dict(type='CausalTokenFTE', **_base_.readings.fte),
        aux=dict(type='AuxReconLoss', mask_ratio=0.45, noise_ratio=0.45, loss_weight=0.005),
    ),
)
