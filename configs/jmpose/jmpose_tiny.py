"""JM-Pose for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(
    method=dict(
        type='JMPose', in_channels=32, channels=8, num_frames=3, heatmap_scale=4, num_heads=4
    ),
    # Trained, since nothing is loaded.
    frame_head=_base_.model.head,
    frame_head_frozen=False,
)
train_dataloader = dict(drop_last=True)  # a batch of one clip has too few cells for covariances
