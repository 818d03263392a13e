"""CM-Pose (ViT-B) on JHMDB by the paper's letter, see literal.py."""

_base_ = ['./cmpose_vit_jhmdb.py', './literal.py']

model = dict(method=_base_.literal)
