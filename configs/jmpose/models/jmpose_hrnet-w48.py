"""JM-Pose on HRNet-W48, five frames, 384x288, with a frozen backbone, as in the authors' code."""

_base_ = ['../../_base_/models/hrnet-w48.py']

model = dict(
    freeze_backbone=True,
    frame_head=_base_.model.head,
    method=dict(type='JMPose', in_channels=48, num_frames=5, heatmap_scale=1),
)
