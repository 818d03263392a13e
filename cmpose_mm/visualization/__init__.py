"""Pictures: poses over frames, and what CM-Pose's token enhancement selected and merged."""

from .causal_tokens import (
    crop_person,
    crop_points,
    draw_causal_tokens,
    draw_clusters,
    joint_colours,
    joint_legend,
)
from .prediction_sheet import prediction_sheet
from .skeletons import draw_poses, side_colour

__all__ = [
    'crop_person',
    'crop_points',
    'draw_causal_tokens',
    'draw_clusters',
    'draw_poses',
    'joint_colours',
    'joint_legend',
    'prediction_sheet',
    'side_colour',
]
