"""The single-frame model on the leaderboard, see `_base_/small.py`."""

_base_ = ['../_base_/small.py']

model = dict(method=dict(type='KeyFrameOnly'))
