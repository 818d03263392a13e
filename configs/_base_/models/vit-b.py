"""Clips through ViT-B at 256x192, with the backbone and head of MMPose's ViTPose-B.

The published COCO checkpoint loads unchanged; only the head's last layer is new, with PoseTrack's
15 joints instead of COCO's 17. The method has to be added.
"""

model = dict(
    type='VideoTopdownPoseEstimator',
    data_preprocessor=dict(
        type='ClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=(256, 192),
        patch_size=16,
        qkv_bias=True,
        drop_path_rate=0.3,
        with_cls_token=False,
        out_type='featmap',
        patch_cfg=dict(padding=2),
    ),
    head=dict(
        type='HeatmapHead',
        in_channels=768,
        out_channels=15,
        deconv_out_channels=(256, 256),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        # As in the data pipeline (`_base_/datasets`); sizes are (width, height).
        decoder=dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2),
    ),
    # MMPose's training accuracy copies every heatmap to the CPU, and fails on bfloat16.
    train_cfg=dict(compute_acc=False),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
)

# ViTPose on COCO, for `load_from = _base_.coco_weights`; MMEngine downloads it at first use.
coco_weights = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_ViTPose-base_8xb64-210e_coco-256x192-216eae50_20230314.pth'
)
