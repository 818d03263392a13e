"""HeatmapWarp on HRNet-W48, 384x288, as in the authors' code; all but the warp is frozen."""

_base_ = ['../../_base_/models/hrnet-w48.py']

codec = _base_.model.head.decoder
model = dict(
    freeze_backbone=True,
    frame_head=_base_.model.head,
    method=dict(
        type='HeatmapWarp',
        input_size=codec.input_size,
        sigma=codec.sigma,
        udp=False,
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
