"""Stands in the folder of its method."""

_base_ = ['./cmpose/cmpose_vit-s_posetrack18.py']
