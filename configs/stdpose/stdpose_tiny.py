"""STDPose for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(
    method=dict(
        type='STDPose',
        in_channels=32,
        num_frames=3,
        heatmap_scale=4,
        grid=(8, 6),
        dam_channels=16,
        num_heads=4,
    ),
    frame_head=_base_.model.head,
    frame_head_frozen=False,
)
