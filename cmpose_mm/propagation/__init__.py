"""Pose propagation: from labels in some frames of a video to poses in all of them.

NumPy alone, without a model; propagators with a model are in `models`, which needs MMPose.
"""

from .label_files import PseudoLabel
from .propagate import Propagation, propagate_labels
from .propagators import PROPAGATORS, Copy, Linear, Propagator, build_propagator
from .pseudo_labels import Filter
from .queries import Label, Plan, Query, common_spacing, plan_queries
from .scoring import (
    PropagationScores,
    run_schedule,
    score_hidden,
    score_posewarper,
)
from .sparsify import SparseSet, sparsify_labels, sparsify_video

__all__ = [
    'PROPAGATORS',
    'Copy',
    'Filter',
    'Label',
    'Linear',
    'Plan',
    'Propagation',
    'PropagationScores',
    'Propagator',
    'PseudoLabel',
    'Query',
    'SparseSet',
    'build_propagator',
    'common_spacing',
    'plan_queries',
    'propagate_labels',
    'run_schedule',
    'score_hidden',
    'score_posewarper',
    'sparsify_labels',
    'sparsify_video',
]
