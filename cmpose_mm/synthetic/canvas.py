"""A small z-buffer renderer for textured capsules and flat sprites.

Camera frame in meters: x to the right, y down, z away from the camera. Images are BGR; pixel
(0, 0) has its center at coordinate (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BACKGROUND, OCCLUDER = -1, -2
_TILE = 0.35  # meters covered by one repeat of a texture
_F = np.float32


@dataclass
class Camera:
    """Pinhole camera; ``focal`` and ``center`` (x, y) in pixels."""

    focal: float
    center: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) meters, camera frame, to (..., 2) pixels, image."""
        points = np.asarray(points, np.float64)
        return points[..., :2] / points[..., 2:] * self.focal + self.center


@dataclass
class Capsule:
    """A tapered capsule, elliptic across.

    Attributes:
        start, end: (3,) centers of its ends, camera frame, meters; equal for a ball.
        radii: (side, front) at the start, then (side, front) at the end, meters.
        frame: (3, 3) unit rows left, up, front of the body part; orients ellipse and texture.
        texture: (S, S, 3) uint8; rows run along the capsule, columns once around from the front.
        stretch: rows of the texture cover the capsule once instead of repeating.
    """

    start: np.ndarray
    end: np.ndarray
    radii: tuple[float, float, float, float]
    frame: np.ndarray
    texture: np.ndarray
    stretch: bool = False


class Canvas:
    """Image, depth and owner of every pixel. Draw far objects first, for clean edges.

    Attributes:
        image: (H, W, 3) float32 BGR.
        depth: (H, W) float32 meters, infinite on the background.
        owner: (H, W) int16, index of the person at the pixel, BACKGROUND or OCCLUDER.
    """

    def __init__(self, background: np.ndarray) -> None:
        self.image = background.astype(_F)
        self.depth = np.full(background.shape[:2], np.inf, _F)
        self.owner = np.full(background.shape[:2], BACKGROUND, np.int16)

    def _paint(self, at, alpha, depth, color, owner: int) -> None:
        """Blends a flat list of pixels where they are nearer; half coverage decides the owner."""
        alpha = np.where(depth < self.depth[at], alpha, _F(0))
        image = self.image[at]
        self.image[at] = image + alpha[:, None] * (color - image)
        solid = alpha >= 0.5
        at = (at[0][solid], at[1][solid])
        self.depth[at] = depth[solid]
        self.owner[at] = owner

    def draw_sprite(
        self, corner: np.ndarray, depth: float, texture: np.ndarray, coverage: np.ndarray
    ) -> None:
        """Draws a flat occluder that faces the camera.

        Args:
            corner: (2,) position of its top left pixel in pixels of the image, real numbers.
            depth: its distance in meters.
            texture: (h, w, 3) uint8.
            coverage: (h, w) float32, 0 to 1.
        """
        height, width = self.depth.shape
        low = np.floor(corner).astype(int)
        size = np.array(coverage.shape[::-1]) + 1
        shift = np.float64([[1, 0, corner[0] - low[0]], [0, 1, corner[1] - low[1]]])
        alpha = cv2.warpAffine(coverage, shift, tuple(size.tolist()))
        color = cv2.warpAffine(
            texture, shift, tuple(size.tolist()), borderMode=cv2.BORDER_REPLICATE
        )
        rows, columns = np.nonzero(alpha)
        y, x = rows + low[1], columns + low[0]
        keep = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        rows, columns = rows[keep], columns[keep]
        self._paint(
            (y[keep], x[keep]),
            alpha[rows, columns],
            np.full(len(rows), depth, _F),
            color[rows, columns].astype(_F),
            OCCLUDER,
        )

    def draw_capsule(self, camera: Camera, solid: Capsule, light: np.ndarray, owner: int) -> None:
        """Draws a capsule lit from the unit vector ``light`` (3,), for person ``owner``."""
        (x0, y0), (x1, y1) = camera.project(np.stack([solid.start, solid.end])).tolist()
        z0, z1 = float(solid.start[2]), float(solid.end[2])
        wide, deep = _apparent_radii(solid, x1 - x0, y1 - y0)
        r0, r1 = camera.focal * wide[0] / z0, camera.focal * wide[1] / z1

        # Window of the image that contains the silhouette.
        height, width = self.depth.shape
        pad = max(r0, r1) + 1
        left, right = int(max(min(x0, x1) - pad, 0)), int(min(max(x0, x1) + pad + 1, width))
        top, bottom = int(max(min(y0, y1) - pad, 0)), int(min(max(y0, y1) + pad + 1, height))
        if left >= right or top >= bottom:
            return
        px = np.arange(left, right, dtype=_F)[None] - _F(x0)
        py = np.arange(top, bottom, dtype=_F)[:, None] - _F(y0)
        dx, dy = _F(x1 - x0), _F(y1 - y0)
        t = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, _F(1e-6)), 0, 1)
        qx, qy = px - t * dx, py - t * dy
        distance = np.sqrt(qx * qx + qy * qy)
        radius = _F(r0) + t * _F(r1 - r0)
        alpha = np.clip(radius - distance + _F(0.5), 0, 1)
        at = np.nonzero(alpha)
        if len(at[0]) == 0:
            return
        t, qx, qy, distance, radius, alpha = (
            m[at] for m in (t, qx, qy, distance, radius, alpha)
        )  # from here on flat arrays of the covered pixels

        inside = np.minimum(distance / radius, 1)
        unit = inside / np.maximum(distance, _F(1e-6))
        normal = np.stack([qx * unit, qy * unit, -np.sqrt(1 - inside * inside)])
        depth = _F(z0) + t * _F(z1 - z0) + normal[2] * (_F(deep[0]) + t * _F(deep[1] - deep[0]))
        shade = _F(0.55) + _F(0.5) * np.maximum(light.astype(_F) @ normal, 0)
        color = _texels(solid, t, normal) * shade[:, None]
        self._paint((at[0] + top, at[1] + left), alpha, depth, color, owner)


def _apparent_radii(solid: Capsule, dx: float, dy: float) -> tuple[np.ndarray, np.ndarray]:
    """Half widths across the projected axis (dx, dy) and half depths, each (start, end)."""
    side, front = np.array(solid.radii[::2]), np.array(solid.radii[1::2])
    norm = np.hypot(dx, dy)
    if norm < 1e-3 or np.array_equal(side, front):  # a round limb stays round when tilted
        return side, front
    across = np.array([-dy, dx]) / norm
    left, _, forward = solid.frame
    wide = np.hypot(side * (left[:2] @ across), front * (forward[:2] @ across))
    return wide, np.hypot(side * left[2], front * forward[2])


def _texels(solid: Capsule, t: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(M, 3) texture colors at ``t`` (M,) along the axis where the surface has ``normal`` (3, M).

    The position around the axis is the normal's angle in the body frame, so a texture stays on its
    side of the body: from behind, a head shows hair, not the face.
    """
    axis = solid.end - solid.start
    length, thick = float(np.linalg.norm(axis)), max(solid.radii)
    axis = axis / length if length > 1e-6 else solid.frame[1]
    left, up, front = np.stack([solid.frame[0], axis, solid.frame[2]]).astype(_F) @ normal
    along = t * _F(length) + _F(thick) * up
    size = solid.texture.shape[0]
    column = (np.arctan2(left, front) * _F(size / (2 * np.pi))).astype(np.int32) % size
    if solid.stretch:
        row = ((along + _F(thick)) * _F(size / (length + 2 * thick))).astype(np.int32)
        row = row.clip(0, size - 1)
    else:
        row = (along * _F(size / _TILE)).astype(np.int32) % size
    return solid.texture[row, column]
