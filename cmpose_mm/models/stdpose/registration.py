"""Registers STDPose with MMPose, so that configs can build it."""

from __future__ import annotations

from mmpose.registry import MODELS

from .stdpose import STDPose

MODELS.register_module(module=STDPose)
