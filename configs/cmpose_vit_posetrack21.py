"""Stands in the folder of its method."""

_base_ = ['./cmpose/cmpose_vit_posetrack21.py']
