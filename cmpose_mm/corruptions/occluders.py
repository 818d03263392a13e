"""Objects that move through a sequence in front of everything.

Shape, texture and path of each object depend on the sequence's random numbers, its position in a
frame on the frame number. So objects move smoothly, and a frame looks the same in every clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .severities import setting

NUM_OCCLUDERS = 6


@dataclass(frozen=True)
class Occluder:
    """One object: the shape |u| ** power + |v| ** power <= 1 in its own coordinates u, v.

    Attributes:
        start, velocity: (2,) path of the center, see `center`; velocity per frame.
        angle, spin: direction of the u axis at frame 0, and its change per frame; in radians.
        aspect: extent along u divided by extent along v.
        power: 2 is an ellipse, 4 nearly a rectangle.
        texture: (S, S, 3) uint8, stretched over the object.
    """

    start: np.ndarray
    velocity: np.ndarray
    angle: float
    spin: float
    aspect: float
    power: int
    texture: np.ndarray

    def center(self, frame_number: int) -> np.ndarray:
        """(2,) x and y, 0 to 1 across the image: a straight path, reflected at the borders."""
        return 1 - np.abs((self.start + self.velocity * frame_number) % 2 - 1)


def draw_occluders(rng: np.random.Generator) -> list[Occluder]:
    """The objects of a sequence.

    Args:
        rng: random numbers of the sequence.
    """
    return [
        Occluder(
            start=rng.uniform(0, 2, size=2),
            velocity=rng.uniform((0.004, 0), (0.02, 0.008)),
            angle=rng.uniform(0, math.pi),
            spin=rng.uniform(-0.05, 0.05),
            aspect=rng.uniform(0.4, 1.0),
            power=int(rng.choice((2, 4))),
            texture=_texture(rng),
        )
        for _ in range(NUM_OCCLUDERS)
    ]


def _texture(rng: np.random.Generator) -> np.ndarray:
    """(5, 5, 3) uint8: shades of one color."""
    color, shade = rng.integers(0, 256, 3), rng.integers(-50, 51, (5, 5, 3))
    return np.clip(color + shade, 0, 255).astype(np.uint8)


def moving_occluders(
    image: np.ndarray, severity: int, rng: np.random.Generator, frame_number: int
) -> np.ndarray:
    """Draws the objects of a sequence over one of its frames.

    Args:
        image: (H, W, 3) uint8.
        severity: 1 to 5. The objects grow with it, around the same centers.
        rng: random numbers of the sequence, in the same state for each frame.
        frame_number: of this frame.

    Returns:
        (H, W, 3) uint8, a new image.
    """
    out = image.copy()
    height, width = image.shape[:2]
    for occluder in draw_occluders(rng):
        half_axes = _half_axes(occluder, severity, width, height)
        reach = math.hypot(*half_axes)
        x, y = occluder.center(frame_number) * (width, height)
        rows = slice(max(0, int(y - reach)), min(height, int(y + reach) + 2))
        columns = slice(max(0, int(x - reach)), min(width, int(x + reach) + 2))
        grid = np.mgrid[rows, columns].astype(np.float64)
        u, v = _own_coordinates(occluder, half_axes, grid[1] - x, grid[0] - y, frame_number)
        inside = _inside(occluder, u, v)
        scale = (len(occluder.texture) - 1) / 2
        texture = cv2.remap(
            occluder.texture,
            ((u + 1) * scale).astype(np.float32),
            ((v + 1) * scale).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        out[rows, columns][inside] = texture[inside]
    return out


def occluded_points(
    points: np.ndarray,
    size: tuple[int, int],
    severity: int,
    rng: np.random.Generator,
    frame_number: int,
) -> np.ndarray:
    """Which points of a frame `moving_occluders` hides.

    Args:
        points: (..., 2) pixels of the image.
        size: width and height of the image.
        severity, rng, frame_number: as for `moving_occluders`.

    Returns:
        (...) bool.
    """
    hidden = np.zeros(points.shape[:-1], dtype=bool)
    for occluder in draw_occluders(rng):
        offset = points - occluder.center(frame_number) * size
        u, v = _own_coordinates(
            occluder,
            _half_axes(occluder, severity, *size),
            offset[..., 0],
            offset[..., 1],
            frame_number,
        )
        hidden |= _inside(occluder, u, v)
    return hidden


def _half_axes(occluder: Occluder, severity: int, width: int, height: int) -> tuple[float, float]:
    """Half the extents along u and v in pixels; all objects have the same area."""
    area = setting('moving_occluders', severity) * width * height / NUM_OCCLUDERS
    power = occluder.power
    # Area of the shape with half axes of 1.
    unit_area = 4 * math.gamma(1 + 1 / power) ** 2 / math.gamma(1 + 2 / power)
    along_v = math.sqrt(area / (unit_area * occluder.aspect))
    return occluder.aspect * along_v, along_v


def _own_coordinates(
    occluder: Occluder,
    half_axes: tuple[float, float],
    dx: np.ndarray,
    dy: np.ndarray,
    frame_number: int,
) -> tuple[np.ndarray, np.ndarray]:
    """u and v of points at distances dx, dy (pixels of the image) from the center."""
    angle = occluder.angle + occluder.spin * frame_number
    cos, sin = math.cos(angle), math.sin(angle)
    return (dx * cos + dy * sin) / half_axes[0], (dy * cos - dx * sin) / half_axes[1]


def _inside(occluder: Occluder, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**occluder.power + v**occluder.power <= 1
