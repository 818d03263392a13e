"""Same as `cmpose/cmpose_vit_posetrack17.py`."""

_base_ = ['./cmpose/cmpose_vit_posetrack17.py']
