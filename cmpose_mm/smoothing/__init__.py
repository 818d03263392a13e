"""Smoothing of poses over time: One-Euro for live use, Savitzky-Golay with gap filling offline."""

from .files import smooth_files, smooth_predictions
from .live import smooth_live
from .one_euro import OneEuroSmoother
from .series import fill_gaps, smooth_series

__all__ = [
    'OneEuroSmoother',
    'fill_gaps',
    'smooth_files',
    'smooth_live',
    'smooth_predictions',
    'smooth_series',
]
