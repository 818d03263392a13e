"""HeatmapWarp on ViT-B, 256x192; backbone and frame head are frozen."""

_base_ = ['../../_base_/models/vit-b.py']

codec = _base_.model.head.decoder
model = dict(
    freeze_backbone=True,
    frame_head=_base_.model.head,
    method=dict(
        type='HeatmapWarp',
        input_size=codec.input_size,
        sigma=codec.sigma,
        udp=True,
    ),
    # No layers: what is warped are heatmaps.
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=15,
        out_channels=15,
        deconv_out_channels=None,
        final_layer=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False),
)
