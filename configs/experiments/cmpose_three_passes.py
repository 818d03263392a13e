"""CM-Pose on the test bed for three passes over its persons: the longest of causal_tokens.py."""

_base_ = ['./cmpose_360.py']

# else the backbone's features grow without bound after 600 steps (docs/causal_tokens.md)
model = dict(method=dict(aux=dict(detach_input=True)))
max_iters = 2241  # 11,949 persons in batches of 16
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(checkpoint=dict(interval=747, save_optimizer=True, max_keep_ckpts=2))
