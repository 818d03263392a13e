"""CM-Pose on the test bed for as many steps as on real footage, with PCK: causal_tokens.py's."""

_base_ = ['./cmpose.py']

max_iters = 360
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, eta_min=0),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
val_evaluator = [
    dict(type='PoseTrackPCK', norms=['box'], prefix='posetrack'),
    dict(type='PoseTrackMetric', prefix='posetrack', visibility=True),
]
test_evaluator = val_evaluator
