"""CM-Pose on ViT-B, three frames, 256x192, from the COCO-pretrained ViTPose, as in the paper."""

_base_ = ['../../_base_/models/vit-b.py', '../readings.py']

model = dict(
    method=dict(
        type='CMPose',
        embed_dims=768,
        num_keypoints=15,
        num_frames=3,
        # Attention a third as wide as the tokens, 32 channels a head: docs/evidence.md, speed.md.
        neck=dict(
            type='CrissCrossSTNeck',
            num_blocks=1,
            num_heads=8,
            attention_dims=256,
            **_base_.readings.neck,
        ),
        fte=dict(type='CausalTokenFTE', **_base_.readings.fte),
        # Lambda is not in the paper. Of powers of ten, the one whose auxiliary losses were four
        # times the heatmap loss did best, in short trainings (docs/evidence.md); for tokens of
        # variance 1 that is some 0.005. The log shows the losses.
        aux=dict(type='AuxReconLoss', mask_ratio=0.45, noise_ratio=0.45, loss_weight=0.005),
    ),
)
