"""The schedule of the public code of TDMI and JM-Pose, for new layers on a frozen backbone.

AdamW at 1e-3 for 20 epochs, a tenth of it after epochs 6, 12 and 18, 30 clips on one GPU (*code*).
The rest is chosen, as in adamw_20e.py.
"""

_base_ = ['./adamw_20e.py']

optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[6, 12, 18], gamma=0.1)]
auto_scale_lr = dict(base_batch_size=30)
