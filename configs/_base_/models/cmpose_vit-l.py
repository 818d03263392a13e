"""CM-Pose on ViT-L, see cmpose_vit-b.py."""

_base_ = ['./cmpose_vit-b.py']

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.5),
    method=dict(embed_dims=1024, neck=dict(num_heads=10, attention_dims=320)),
    head=dict(in_channels=1024),
)

load_from = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_ViTPose-large_8xb64-210e_coco-256x192-53609f55_20230314.pth'
)
