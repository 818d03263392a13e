"""Second stage of experiments on real footage: CM-Pose on JHMDB, from jhmdb_single_frame.py."""

_base_ = ['../cmpose/cmpose_small.py']
