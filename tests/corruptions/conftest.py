"""Frames to corrupt: rendered ones, and flat ones on which statistics are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='session')
def frames(synthetic_root: str) -> dict[int, np.ndarray]:
    """Frames of one rendered video by number."""
    folder = sorted(Path(synthetic_root, 'images', 'val').iterdir())[0]
    return {int(path.stem): cv2.imread(str(path)) for path in sorted(folder.iterdir())}


@pytest.fixture
def gray() -> np.ndarray:
    """A flat image of 200 x 300 pixels."""
    return np.full((200, 300, 3), 128, np.uint8)
