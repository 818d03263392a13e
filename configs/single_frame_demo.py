"""Stands in the folder of its method."""

_base_ = ['./single_frame/single_frame_demo.py']
