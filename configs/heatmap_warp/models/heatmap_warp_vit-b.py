"""HeatmapWarp on ViT-B, 256x192; backbone and frame head are frozen."""

_base_ = ['../../_base_/models/vit-b.py']

model = dict(
    freeze_backbone=True,
    frame_head=_base_.model.head,
    method=dict(
        type='HeatmapWarp',
        input_size=_base_.model.head.decoder.input_size,
        sigma=_base_.model.head.decoder.sigma,
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
        decoder=_base_.model.head.decoder,
    ),
    test_cfg=dict(flip_test=False),
)
