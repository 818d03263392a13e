"""First stage of the experiments in `docs/evidence.md`: the single-frame model on the test bed.

    python tools/ablate.py SET configs/experiments/cmpose.py \\
        --first-stage configs/experiments/single_frame.py --splits clean occluded blurred crowded
"""

_base_ = ['./single_frame_test_bed.py']

# Half the time of a test, and nothing that differs between the variants.
model = dict(test_cfg=dict(flip_test=False))
default_hooks = dict(checkpoint=dict(save_best=None))
