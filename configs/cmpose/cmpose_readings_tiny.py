"""CM-Pose for tests with all the readings that are not the paper's letter, see `cmpose_tiny.py`."""

_base_ = ['./cmpose_tiny.py']

model = dict(
    method=dict(
        neck=dict(
            position='sine_cosine',
            temporal='neighborhood',
            feed_forward='separate',
            feed_forward_dims=16,
        ),
        fte=dict(
            similarity_weight=0.01,
            straight_through=True,
            restoring='residual',
            num_layers=1,
            num_heads=4,
        ),
    ),
)
