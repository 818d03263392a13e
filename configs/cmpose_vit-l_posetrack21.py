"""Same as `cmpose/cmpose_vit-l_posetrack21.py`."""

_base_ = ['./cmpose/cmpose_vit-l_posetrack21.py']
