"""Stands in the folder of its method."""

_base_ = ['./cmpose/cmpose_vit-h_posetrack18.py']
