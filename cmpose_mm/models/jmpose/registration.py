"""Registers JM-Pose with MMPose, so that configs can build it."""

from __future__ import annotations

from mmpose.registry import MODELS

from .jmpose import JMPose

MODELS.register_module(module=JMPose)
