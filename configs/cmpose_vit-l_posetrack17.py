"""Same as `cmpose/cmpose_vit-l_posetrack17.py`."""

_base_ = ['./cmpose/cmpose_vit-l_posetrack17.py']
