"""Second stage of the experiments in `docs/evidence.md`: CM-Pose on the test bed.

The variants of `tools/ablate.py` are overrides of this. All train for a fixed number of steps: on
two CPU cores a minute or two.
"""

_base_ = ['./cmpose_test_bed.py']

model = dict(test_cfg=dict(flip_test=False, output_details=False))
max_iters = 120
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(
    checkpoint=dict(interval=max_iters, save_best=None, save_optimizer=False),
)
load_from = None  # tools/ablate.py sets it to the first stage of the seed
