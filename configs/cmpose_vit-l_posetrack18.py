"""Same as `cmpose/cmpose_vit-l_posetrack18.py`."""

_base_ = ['./cmpose/cmpose_vit-l_posetrack18.py']
