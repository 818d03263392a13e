"""JM-Pose on ViT-B, five frames, 256x192, with a frozen backbone."""

_base_ = ['../../_base_/models/vit-b.py']

model = dict(
    freeze_backbone=True,
    frame_head=_base_.model.head,
    method=dict(type='JMPose', in_channels=768, channels=128, num_frames=5, heatmap_scale=4),
)
