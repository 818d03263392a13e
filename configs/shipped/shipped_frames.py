"""The small model's second stage: single frames, half of JHMDB, half rendered (`make model`).

JHMDB has real pictures; the rendered videos have what JHMDB does not label: the top of the head,
and people behind others. It starts from the rendered-only model.
"""

_base_ = ['./shipped_rendered.py']

num_epochs = 9
jhmdb = dict(_base_.rendered, data_root='data/jhmdb/')
# Every other frame: about as many persons as JHMDB's training clips have.
rendered_half = dict(_base_.rendered, sample_interval=2)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[jhmdb, rendered_half]),
)
train_cfg = dict(max_epochs=num_epochs, val_interval=num_epochs)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=200),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        T_max=num_epochs,
        eta_min=0,
        convert_to_iter_based=True,
    ),
]
load_from = 'work_dirs/small/rendered/last.pth'  # tools/train_model.py gives it
