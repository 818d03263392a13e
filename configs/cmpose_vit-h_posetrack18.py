"""Same as `cmpose/cmpose_vit-h_posetrack18.py`."""

_base_ = ['./cmpose/cmpose_vit-h_posetrack18.py']
