"""Same as `cmpose/cmpose_demo.py`."""

_base_ = ['./cmpose/cmpose_demo.py']
