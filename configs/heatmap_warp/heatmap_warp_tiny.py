"""HeatmapWarp for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

codec = _base_.codec
model = dict(
    method=dict(
        type='HeatmapWarp',
        input_size=codec.input_size,
        sigma=codec.sigma,
        channels=16,
        num_blocks=2,
        dilations=(1, 2),
    ),
    # Trained, since nothing is loaded.
    frame_head=_base_.model.head,
    frame_head_frozen=False,
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
)

# The labels of the neighbors, in pixels of the crop.
changes = dict(TopdownAffine=dict(type='ClipTopdownAffine'))
val_pipeline = [dict(step, **changes.get(step['type'], {})) for step in _base_.val_pipeline]
del changes
train_dataloader = dict(dataset=dict(random_neighbors=True, stride=2))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
