"""PoseTrack evaluation. All but `PoseTrackMetric` needs only NumPy."""

from importlib.util import find_spec

from .average_precision import (
    TIE_BREAKS,
    ApResult,
    average_precision,
    average_precision_per_video,
    summarize_joints,
)
from .evaluate import evaluate_files
from .mota import MotaResult, tracking_accuracy
from .report import format_result
from .scored_frames import RULES, Rules, ScoredSet, select_scored
from .visibility import VISIBILITY_CLASSES, VisibilityRecall, recall_by_visibility

__all__ = [
    'RULES',
    'TIE_BREAKS',
    'VISIBILITY_CLASSES',
    'ApResult',
    'MotaResult',
    'Rules',
    'ScoredSet',
    'VisibilityRecall',
    'average_precision',
    'average_precision_per_video',
    'evaluate_files',
    'format_result',
    'recall_by_visibility',
    'select_scored',
    'summarize_joints',
    'tracking_accuracy',
]

if find_spec('mmpose') is not None:
    from .posetrack_metric import PoseTrackMetric  # noqa: F401

    __all__.append('PoseTrackMetric')
