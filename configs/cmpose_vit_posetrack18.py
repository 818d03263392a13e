"""Same as `cmpose/cmpose_vit_posetrack18.py`."""

_base_ = ['./cmpose/cmpose_vit_posetrack18.py']
