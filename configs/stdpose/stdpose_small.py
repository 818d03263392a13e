"""STDPose on the leaderboard, see `_base_/small.py`."""

_base_ = ['../_base_/small.py']

model = dict(
    method=dict(
        type='STDPose',
        in_channels=192,
        num_frames=3,
        heatmap_scale=2,
        grid=(16, 12),
        dam_channels=64,
    ),
    frame_head=_base_.model.head,
    frame_head_frozen=False,
)
