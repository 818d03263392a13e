"""TDMI-ST (HRNet-W48, 384x288, five frames) on PoseTrack21, the recipe of the authors' code."""

_base_ = ['./tdmi_hrnet-w48_posetrack21.py']

model = dict(method=dict(appearance=True))
