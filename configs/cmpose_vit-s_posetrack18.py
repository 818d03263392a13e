"""Same as `cmpose/cmpose_vit-s_posetrack18.py`."""

_base_ = ['./cmpose/cmpose_vit-s_posetrack18.py']
