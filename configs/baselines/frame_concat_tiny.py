"""One convolution over the frames for tests, see `_base_/tiny.py`."""

_base_ = ['../_base_/tiny.py']

model = dict(method=dict(type='FrameConcat', embed_dims=32))
