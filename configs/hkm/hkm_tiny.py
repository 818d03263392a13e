"""HKM for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(
    method=dict(type='HKM', in_channels=32, num_frames=3, joint_cells=1, num_heads=4, num_points=2)
)

# The human mask starts with all cells; by half the training, a cosine takes it to keep_ratio.
default_hooks = dict(
    human_mask=dict(
        type='ModelScheduleHook',
        attribute='method.keep_ratio',
        values={0.0: 1.0, 0.125: 0.927, 0.25: 0.75, 0.375: 0.573, 0.5: 0.5},
    )
)
