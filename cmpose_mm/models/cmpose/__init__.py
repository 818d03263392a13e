"""CM-Pose in plain torch; `registration` registers it with MMPose."""

from .aux_recon_loss import AuxReconLoss
from .causal_token_fte import CausalTokenFTE, FTEOutput
from .cmpose import CMPose
from .criss_cross_st_neck import CrissCrossSTNeck, NeckOutput

__all__ = [
    'AuxReconLoss',
    'CMPose',
    'CausalTokenFTE',
    'CrissCrossSTNeck',
    'FTEOutput',
    'NeckOutput',
]
