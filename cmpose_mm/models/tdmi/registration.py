"""Registers TDMI with MMPose, so that configs can build it."""

from __future__ import annotations

from mmpose.registry import MODELS

from .tdmi import TDMI

MODELS.register_module(module=TDMI)
