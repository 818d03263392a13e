"""CM-Pose (ViT-B) on PoseTrack17 by the paper's letter, see literal.py."""

_base_ = ['./cmpose_vit_posetrack17.py', './literal.py']

model = dict(method=_base_.literal)
