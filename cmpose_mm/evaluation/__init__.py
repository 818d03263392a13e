"""PoseTrack evaluation, with NumPy and SciPy alone; `cmpose_mm.metrics` has MMPose's metric."""

from cmpose_mm.old_names import old_names

from .average_precision import (
    TIE_BREAKS,
    ApResult,
    average_precision,
    average_precision_per_video,
    summarize_joints,
)
from .evaluate import evaluate_files
from .jitter import Jitter, acceleration_error
from .mota import MotaResult, tracking_accuracy
from .pck import PCK_NORMS, PCK_THRESHOLDS, PckResult, correct_keypoints, summarize_pck
from .protocol import PROTOCOLS, Protocol, get_protocol
from .report import format_result
from .scored_frames import RULES, Rules, ScoredSet, select_scored
from .visibility import VISIBILITY_CLASSES, VisibilityRecall, recall_by_visibility

__all__ = [
    'PCK_NORMS',
    'PCK_THRESHOLDS',
    'PROTOCOLS',
    'RULES',
    'TIE_BREAKS',
    'VISIBILITY_CLASSES',
    'ApResult',
    'Jitter',
    'MotaResult',
    'PckResult',
    'Protocol',
    'Rules',
    'ScoredSet',
    'VisibilityRecall',
    'acceleration_error',
    'average_precision',
    'average_precision_per_video',
    'correct_keypoints',
    'evaluate_files',
    'format_result',
    'get_protocol',
    'recall_by_visibility',
    'select_scored',
    'summarize_joints',
    'summarize_pck',
    'tracking_accuracy',
]
__getattr__ = old_names(__name__, {'PoseTrackMetric': 'cmpose_mm.metrics:PoseTrackMetric'})
