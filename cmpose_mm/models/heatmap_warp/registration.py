"""Registers HeatmapWarp with MMPose, so that configs can build it."""

from __future__ import annotations

from mmpose.registry import MODELS

from .heatmap_warp import HeatmapWarp

MODELS.register_module(module=HeatmapWarp)
