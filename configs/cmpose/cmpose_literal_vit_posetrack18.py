"""CM-Pose (ViT-B) on PoseTrack18 by the paper's letter, see literal.py."""

_base_ = ['./cmpose_vit_posetrack18.py', './literal.py']

model = dict(method=_base_.literal)
