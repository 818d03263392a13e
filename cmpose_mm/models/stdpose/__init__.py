"""STDPose in plain torch; `registration` registers it with MMPose."""

from .dynamic_mask import DynamicAwareMask, dynamic_masks
from .keypoint_synthesis import KeypointSynthesis, nearness
from .stdpose import STDPose
from .temporal_fusion import TemporalFeatureFusion

__all__ = [
    'DynamicAwareMask',
    'KeypointSynthesis',
    'STDPose',
    'TemporalFeatureFusion',
    'dynamic_masks',
    'nearness',
]
