"""HKM in plain torch; `registration` registers it with MMPose."""

from .body_attention import BodyAttention, body_box
from .hkm import HKM
from .mask_losses import human_loss, keypoint_loss, limb_cells

__all__ = ['HKM', 'BodyAttention', 'body_box', 'human_loss', 'keypoint_loss', 'limb_cells']
