"""Pictures of poses over frames, and of the details of a method's decisions."""

from cmpose_mm.old_names import old_names

from .causal_tokens import (
    crop_person,
    crop_points,
    draw_causal_tokens,
    draw_clusters,
    draw_similarity,
    heat_legend,
    joint_colors,
    joint_legend,
    token_grid,
)
from .explain import Explanation, explain, explanation_frame, person_details
from .overlay import PoseOverlay
from .prediction_sheet import prediction_sheet
from .skeletons import draw_poses, side_color

__all__ = [
    'Explanation',
    'PoseOverlay',
    'crop_person',
    'crop_points',
    'draw_causal_tokens',
    'draw_clusters',
    'draw_poses',
    'draw_similarity',
    'explain',
    'explanation_frame',
    'heat_legend',
    'joint_colors',
    'joint_legend',
    'person_details',
    'prediction_sheet',
    'side_color',
    'token_grid',
]
__getattr__ = old_names(__name__, {'joint_colours': 'joint_colors', 'side_colour': 'side_color'})
