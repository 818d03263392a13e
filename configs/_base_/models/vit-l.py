"""Clips through ViT-L, see vit-b.py."""

_base_ = ['./vit-b.py']

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.5),
    head=dict(in_channels=1024),
)

coco_weights = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_ViTPose-large_8xb64-210e_coco-256x192-53609f55_20230314.pth'
)
