"""Averaged heatmaps for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(method=dict(type='StackedFrames'), head=dict(type='HeatmapAverageHead'))
