"""Same as `cmpose/cmpose_vit-h_posetrack17.py`."""

_base_ = ['./cmpose/cmpose_vit-h_posetrack17.py']
