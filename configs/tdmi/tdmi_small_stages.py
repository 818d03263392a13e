"""TDMI on two stages of the small backbone, for `tdmi/stages`; the first stage needs the same neck.

    python tools/ablate.py tdmi/stages configs/tdmi/tdmi_small_stages.py \\
        --first-stage configs/experiments/jhmdb_single_frame.py --cfg-options \\
        model.neck.concat=False model.neck.scale_factor=2.0 model.head.in_channels=128
"""

_base_ = ['./tdmi_small.py']

# The leaderboard's neck joins both maps to one. Here the head takes the last one, in that size.
model = dict(
    neck=dict(concat=False, scale_factor=2.0),
    head=dict(in_channels=128),
    method=dict(in_channels=[64, 128]),
)
