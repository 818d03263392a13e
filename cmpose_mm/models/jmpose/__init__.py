"""JM-Pose in plain torch; `registration` registers it with MMPose."""

from .channel_attention import ChannelAttention
from .jmpose import JMPose
from .motion import DifferenceMotion, FlowMotion
from .mutual_learning import MutualLearning

__all__ = ['ChannelAttention', 'DifferenceMotion', 'FlowMotion', 'JMPose', 'MutualLearning']
