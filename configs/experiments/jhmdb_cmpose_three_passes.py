"""CM-Pose on real footage for three passes over its persons: the longest of causal_tokens.py."""

_base_ = ['./jhmdb_cmpose.py']

# As in cmpose_three_passes.py, with which its results are compared.
model = dict(method=dict(aux=dict(detach_input=True)))
max_iters = 2264  # 12,072 persons in batches of 16
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(checkpoint=dict(interval=755, save_optimizer=True, max_keep_ckpts=2))
