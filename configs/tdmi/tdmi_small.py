"""TDMI on the leaderboard, see `_base_/small.py`."""

_base_ = ['../_base_/small.py']

# Backbone and neck give one map.
model = dict(method=dict(type='TDMI', in_channels=[192], channels=48, num_frames=3))
