"""Averaged heatmaps on the leaderboard, see `_base_/small.py`."""

_base_ = ['../_base_/small.py']

model = dict(method=dict(type='StackedFrames', num_frames=3), head=dict(type='HeatmapAverageHead'))
