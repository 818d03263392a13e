"""Clips through ViT-H, see vit-b.py."""

_base_ = ['./vit-b.py']

model = dict(
    backbone=dict(arch='huge', drop_path_rate=0.55),
    head=dict(in_channels=1280),
)

coco_weights = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_ViTPose-huge_8xb64-210e_coco-256x192-e32adcd4_20230314.pth'
)
