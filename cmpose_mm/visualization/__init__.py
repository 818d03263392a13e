"""Pictures: poses over frames, and what CM-Pose's token enhancement selected and merged."""

from .causal_tokens import (
    crop_person,
    crop_points,
    draw_causal_tokens,
    draw_clusters,
    draw_similarity,
    heat_legend,
    joint_colours,
    joint_legend,
    token_grid,
)
from .explain import Explanation, explain, explanation_frame, person_details
from .prediction_sheet import prediction_sheet
from .skeletons import draw_poses, side_colour

__all__ = [
    'Explanation',
    'crop_person',
    'crop_points',
    'draw_causal_tokens',
    'draw_clusters',
    'draw_poses',
    'draw_similarity',
    'explain',
    'explanation_frame',
    'heat_legend',
    'joint_colours',
    'joint_legend',
    'person_details',
    'prediction_sheet',
    'side_colour',
    'token_grid',
]
