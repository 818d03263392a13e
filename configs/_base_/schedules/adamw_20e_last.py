"""adamw_20e.py without a choice: the last epoch counts, and is the only one that is validated.

For data sets without a validation set, whose test clips must not choose a checkpoint.
"""

_base_ = ['./adamw_20e.py']

train_cfg = dict(val_interval=20)
default_hooks = dict(checkpoint=dict(save_best=None))
