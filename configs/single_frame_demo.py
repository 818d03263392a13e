"""Same as `single_frame/single_frame_demo.py`."""

_base_ = ['./single_frame/single_frame_demo.py']
