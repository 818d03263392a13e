"""Registers HKM with MMPose, so that configs can build it."""

from __future__ import annotations

from mmpose.registry import MODELS

from .hkm import HKM

MODELS.register_module(module=HKM)
