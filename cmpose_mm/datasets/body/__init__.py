"""Datasets of whole-body poses; MMPose looks for ``datasets.body`` in a class's module path."""

from .posetrack_video_dataset import PoseTrackVideoDataset, posetrack_metainfo

__all__ = ['PoseTrackVideoDataset', 'posetrack_metainfo']
