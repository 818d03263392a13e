"""Puts pictures together from lines of text, rows and stacks. Images are BGR uint8."""

from __future__ import annotations

import cv2
import numpy as np

CAPTION_HEIGHT = 22
GAP = 6
_DARK, _LIGHT = (30, 30, 30), (235, 235, 235)


def text_line(
    text: str,
    width: int,
    height: int = CAPTION_HEIGHT,
    color: tuple[int, int, int] = _LIGHT,
    background: tuple[int, int, int] = _DARK,
) -> np.ndarray:
    """(height, width, 3) strip with one line of text, which shrinks until it fits."""
    strip = np.full((height, width, 3), background, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (needed, _), _ = cv2.getTextSize(text, font, 0.45, 1)
    size = 0.45 * min(1.0, (width - 8) / max(needed, 1))
    cv2.putText(strip, text, (4, round(0.7 * height)), font, size, color, 1, cv2.LINE_AA)
    return strip


def captioned(image: np.ndarray, caption: str) -> np.ndarray:
    """The image under a dark strip with its caption."""
    return np.vstack([text_line(caption, image.shape[1]), image])


def row(images: list[np.ndarray]) -> np.ndarray:
    """Images of the same height side by side."""
    gap = np.full((images[0].shape[0], GAP, 3), _DARK, np.uint8)
    return np.hstack([part for image in images for part in (image, gap)][:-1])


def stack(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of any width below each other, in a dark frame."""
    width = max(row.shape[1] for row in rows) + 2 * GAP
    padded = [pad(row, (width, row.shape[0] + GAP), (GAP, GAP)) for row in rows]
    return np.vstack([*padded, np.full((GAP, width, 3), _DARK, np.uint8)])


def pad(image: np.ndarray, size: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """The image on a dark (width, height) canvas, its upper left pixel at ``corner`` (x, y)."""
    canvas = np.full((size[1], size[0], 3), _DARK, np.uint8)
    x, y = corner
    canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas
