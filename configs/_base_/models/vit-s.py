"""Clips through ViT-S, see vit-b.py."""

_base_ = ['./vit-b.py']

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=384, num_layers=12, num_heads=12, feedforward_channels=1536
        ),
        drop_path_rate=0.1,
    ),
    head=dict(in_channels=384),
)

coco_weights = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_ViTPose-small_8xb64-210e_coco-256x192-62d7a712_20230314.pth'
)
