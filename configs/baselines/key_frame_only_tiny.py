"""The single-frame model as a method for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(method=dict(type='KeyFrameOnly', num_frames=3))
