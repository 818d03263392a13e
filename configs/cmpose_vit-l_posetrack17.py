"""Stands in the folder of its method."""

_base_ = ['./cmpose/cmpose_vit-l_posetrack17.py']
