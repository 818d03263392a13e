"""JM-Pose on the leaderboard, see `_base_/small.py`."""

_base_ = ['../_base_/small.py']

model = dict(
    method=dict(type='JMPose', in_channels=192, channels=48, num_frames=3, heatmap_scale=2),
    frame_head=_base_.model.head,
)
