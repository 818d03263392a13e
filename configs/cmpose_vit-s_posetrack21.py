"""Same as `cmpose/cmpose_vit-s_posetrack21.py`."""

_base_ = ['./cmpose/cmpose_vit-s_posetrack21.py']
