"""STDPose on ViT-B, three frames, 256x192; backbone and frame head are trained (chosen)."""

_base_ = ['../../_base_/models/vit-b.py']

model = dict(
    frame_head=_base_.model.head,
    frame_head_frozen=False,
    method=dict(type='STDPose', in_channels=768, num_frames=3, heatmap_scale=4, grid=(16, 12)),
)
