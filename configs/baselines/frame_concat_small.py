"""One convolution over the frames on the leaderboard, see `_base_/small.py`."""

_base_ = ['../_base_/small.py']

model = dict(method=dict(type='FrameConcat', embed_dims=192, num_frames=3, kernel_size=3))
