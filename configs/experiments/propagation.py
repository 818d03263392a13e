"""The 26.7 % experiment on real footage: the single-frame model that learns from propagated poses.

    python benchmarks/propagation.py

All variants train for the same number of steps, however many labels they have.
"""

_base_ = ['./jhmdb_single_frame.py']

max_iters = 700  # two epochs of all labels
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=max_iters, save_optimizer=False),
)
log_processor = dict(by_epoch=False)
