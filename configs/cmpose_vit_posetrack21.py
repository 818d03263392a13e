"""Same as `cmpose/cmpose_vit_posetrack21.py`."""

_base_ = ['./cmpose/cmpose_vit_posetrack21.py']
