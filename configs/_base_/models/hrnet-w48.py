"""Clips through HRNet-W48 at 384x288, with the head of MMPose's top-down heatmap models.

The backbone returns the finest map of each of its four stages (`HRNetStages`). MMPose's COCO and
PoseTrack18 checkpoints load unchanged, except for the head's last layer. A method has to be added.
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
        type='HRNetStages',
        in_channels=3,
        extra=dict(
            stage1=dict(
                num_modules=1,
                num_branches=1,
                block='BOTTLENECK',
                num_blocks=(4,),
                num_channels=(64,),
            ),
            stage2=dict(
                num_modules=1,
                num_branches=2,
                block='BASIC',
                num_blocks=(4, 4),
                num_channels=(48, 96),
            ),
            stage3=dict(
                num_modules=4,
                num_branches=3,
                block='BASIC',
                num_blocks=(4, 4, 4),
                num_channels=(48, 96, 192),
            ),
            stage4=dict(
                num_modules=3,
                num_branches=4,
                block='BASIC',
                num_blocks=(4, 4, 4, 4),
                num_channels=(48, 96, 192, 384),
            ),
        ),
    ),
    head=dict(
        type='HeatmapHead',
        in_channels=48,
        out_channels=15,
        deconv_out_channels=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=dict(
            type='MSRAHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3, unbiased=True
        ),
    ),
    train_cfg=dict(compute_acc=False),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)

# HRNet-W48 on COCO, for `load_from = _base_.coco_weights`; MMEngine downloads it at first use.
coco_weights = (
    'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth'
)
