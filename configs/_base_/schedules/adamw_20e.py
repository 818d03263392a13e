"""The paper's schedule: AdamW at 2e-4 for 20 epochs, a tenth of it after epochs 5, 12 and 18.

The paper does not give weight decay, gradient clipping, warm-up or batch size. Chosen: torch's
default decay but none on biases, norms and embeddings, ViTPose's clipping, no warm-up, and
16 clips on each of the paper's two GPUs. `--auto-scale-lr` scales the rate to other batch sizes.
"""

_base_ = ['../runtime.py']

train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            'pos_embed': dict(decay_mult=0.0),
            'position_embed': dict(decay_mult=0.0),
            'keypoint_tokens': dict(decay_mult=0.0),
            'temporal_embed': dict(decay_mult=0.0),
        },
    ),
    clip_grad=dict(max_norm=1.0, norm_type=2),
)

param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[5, 12, 18], gamma=0.1)]

auto_scale_lr = dict(base_batch_size=32)
