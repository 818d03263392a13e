"""TDMI in plain torch; `registration` registers it with MMPose."""

from .appearance import AppearanceAlignment
from .club import ClubBound
from .tdmi import TDMI

__all__ = ['TDMI', 'AppearanceAlignment', 'ClubBound']
