"""Procedural textures and backgrounds: BGR uint8 images that depend only on a random generator."""

from __future__ import annotations

import cv2
import numpy as np

_CALM = dict(saturation=(0.0, 0.5), contrast=(0.1, 0.5))  # of the surroundings


def random_color(rng: np.random.Generator, saturation=(0.1, 0.9), value=(0.15, 0.95)):
    """BGR color as (3,) float32 in 0..255, hue uniform."""
    hsv = np.array(
        [[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]], np.float32
    )
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255


def skin_color(rng: np.random.Generator) -> np.ndarray:
    """BGR skin tone as (3,) float32 in 0..255, from light to dark."""
    light, dark = np.array([170, 195, 235.0]), np.array([40, 60, 95.0])
    mix = rng.random()
    return (light * mix + dark * (1 - mix) + rng.normal(0, 8, 3)).clip(10, 250).astype(np.float32)


def smooth_noise(rng: np.random.Generator, height: int, width: int, octaves=(3, 6, 12, 24)):
    """(height, width) float32 noise, 0 to 1, from several scales of white noise; it tiles."""
    total = np.zeros((height, width), np.float32)
    for cells in octaves:
        grid = rng.random((cells, max(cells * width // height, 1)), dtype=np.float32)
        zoom = np.float64([[grid.shape[1] / width, 0, 0], [0, cells / height, 0]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        layer = cv2.warpAffine(grid, zoom, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
        total += layer / cells**0.5
    total -= total.min()
    return total / max(total.max(), 1e-6)


def random_texture(
    rng: np.random.Generator,
    size: int = 64,
    saturation: tuple[float, float] = (0.1, 0.9),
    contrast: tuple[float, float] = (0.3, 1.0),
) -> np.ndarray:
    """A (size, size, 3) uint8 texture: plain, noisy, striped, checked, dotted or plaid; it tiles.

    Args:
        rng: source of all randomness.
        size: side in texels.
        saturation: range of its two colors' saturation.
        contrast: range of the pattern's strength; with 1 it has the full second color.
    """
    first, second = random_color(rng, saturation), random_color(rng, saturation)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    # Whole periods, so that textures tile.
    n, m = rng.integers(2, 7, 2)
    kind = rng.choice(['plain', 'noise', 'rows', 'columns', 'checks', 'dots', 'plaid', 'diagonal'])
    if kind == 'plain':
        mix = np.zeros_like(x)
    elif kind == 'noise':
        mix = smooth_noise(rng, size, size)
    elif kind == 'rows':
        mix = (y * n % 1 < 0.5).astype(np.float32)
    elif kind == 'columns':
        mix = (x * n % 1 < 0.5).astype(np.float32)
    elif kind == 'checks':
        mix = ((y * n % 1 < 0.5) ^ (x * m % 1 < 0.5)).astype(np.float32)
    elif kind == 'dots':
        mix = ((y * n % 1 - 0.5) ** 2 + (x * n % 1 - 0.5) ** 2 < 0.09).astype(np.float32)
    elif kind == 'plaid':
        mix = 0.5 * (y * n % 1 < 0.4) + 0.5 * (x * m % 1 < 0.3)
    else:
        mix = ((x * n + y * m) % 1 < 0.5).astype(np.float32)
    mix = (mix * rng.uniform(*contrast))[..., None]
    image = first * (1 - mix) + second * mix
    image += (smooth_noise(rng, size, size)[..., None] - 0.5) * rng.uniform(0, 70)
    return image.clip(0, 255).astype(np.uint8)


def shirt_texture(rng: np.random.Generator, skin: np.ndarray, size: int = 64) -> np.ndarray:
    """A (size, size, 3) uint8 shirt: rows from hem to neck, columns once around, front at 0.

    The back is plain cloth. The front may have an open jacket, a row of buttons or a print.
    """
    image = random_texture(rng, size, contrast=(0.0, 0.6)).astype(np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    x = np.abs((x + 0.5) % 1 - 0.5)
    image = np.where(((x < 0.13) & (y > 0.88))[..., None], skin, image)  # neckline
    kind = rng.choice(['jacket', 'buttons', 'print', 'none'], p=[0.45, 0.2, 0.3, 0.05])
    if kind == 'jacket':
        image = np.where((x < rng.uniform(0.05, 0.12))[..., None], random_color(rng), image)
    elif kind == 'buttons':
        image = np.where((x < 0.018)[..., None], random_color(rng), image)
    elif kind == 'print':
        inside = (x < rng.uniform(0.08, 0.14)) & (np.abs(y - 0.6) < rng.uniform(0.08, 0.2))
        image = np.where(inside[..., None], random_color(rng), image)
    return image.clip(0, 255).astype(np.uint8)


def head_texture(rng: np.random.Generator, skin: np.ndarray, size: int = 64) -> np.ndarray:
    """A (size, size, 3) uint8 head: rows from chin to crown, columns once around, face at 0.

    The face is centered on column 0 and wraps around; hair covers back and crown.
    """
    hair = random_color(rng, (0.0, 0.7), (0.05, 0.75))
    if np.abs(hair - skin).sum() < 120:  # a face must differ from the back of a head
        hair = hair * 0.3
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    x = (x + 0.5) % 1 - 0.5  # -0.5..0.5, face at 0
    side, crown = rng.uniform(0.16, 0.27), rng.uniform(0.62, 0.8)
    image = np.where(((np.abs(x) > side) | (y > crown))[..., None], hair, skin)
    length = rng.uniform(0.0, 0.35)
    image = np.where(((y < length) & (np.abs(x) > side))[..., None], skin, image)
    eyes = ((np.abs(np.abs(x) - 0.075) / 0.038) ** 2 + ((y - 0.52) / 0.05) ** 2) < 1
    mouth = (np.abs(x) < 0.07) & (np.abs(y - 0.2) < 0.025)
    image = np.where(eyes[..., None], np.float32(25), image)
    image = np.where(mouth[..., None], skin * np.array([0.6, 0.5, 0.8]), image)
    if rng.random() < 0.1:  # hat
        image = np.where((y > rng.uniform(0.6, 0.7))[..., None], random_color(rng), image)
    image += (smooth_noise(rng, size, size)[..., None] - 0.5) * 25
    return image.clip(0, 255).astype(np.uint8)


def render_background(
    rng: np.random.Generator, height: int, width: int, horizon: float, focal: float, depth: float
) -> np.ndarray:
    """A room or yard: a textured floor in perspective, and a wall with pictures and furniture.

    Args:
        rng: source of all randomness.
        height, width: size in pixels.
        horizon: row of the horizon in pixels.
        focal: focal length in pixels, multiplied by the camera's height above the floor in meters.
        depth: distance of the wall in meters.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    image = _floor_and_wall(rng, height, width, horizon, focal, depth)
    foot = horizon + focal / depth
    for _ in range(rng.integers(2, 9)):
        w, h = int(rng.uniform(0.05, 0.35) * width), int(rng.uniform(0.05, 0.4) * height)
        x, y = rng.uniform(0, width) - w / 2, foot - rng.uniform(-0.15, 1.0) * foot - h / 2
        _blend(image, tiled(random_texture(rng, **_CALM), h, w), random_outline(rng, h, w),
               int(x), int(y))  # fmt: skip
    image *= 0.7 + 0.6 * smooth_noise(rng, height, width, (2, 3))[..., None]
    return image.clip(0, 255).astype(np.uint8)


def _floor_and_wall(rng, height, width, horizon, focal, depth) -> np.ndarray:
    """(height, width, 3) float32; arguments as in `render_background`."""
    size = 128
    wall, floor = random_texture(rng, size, **_CALM), random_texture(rng, size, **_CALM)
    v, u = np.mgrid[:height, :width].astype(np.float32)
    distance = np.float32(focal) / np.maximum(v - np.float32(horizon), np.float32(1e-3))
    is_floor = distance < depth
    meters = distance * np.float32(rng.uniform(0.3, 0.8) * size)
    zoom = np.float32(rng.uniform(0.5, 2.0))
    map_x = np.where(is_floor, (u - width / 2) / np.float32(focal) * meters, u * zoom) % size
    map_y = np.where(is_floor, meters, v * zoom) % size
    image = np.where(
        is_floor[..., None],
        cv2.remap(floor, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
        cv2.remap(wall, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
    ).astype(np.float32)
    # A distant floor's texture aliases, so fade it into its mean color.
    fade = np.where(is_floor, 0.8 * np.clip(distance / np.float32(depth), 0, 1) ** 1.5, 0)
    image += fade[..., None].astype(np.float32) * (floor.mean((0, 1), dtype=np.float32) - image)
    return image


def _blend(image: np.ndarray, patch: np.ndarray, coverage: np.ndarray, x: int, y: int) -> None:
    """Draws a patch (h, w, 3) with coverage (h, w) into the image, its top left at (x, y)."""
    top, left = max(-y, 0), max(-x, 0)
    window = image[max(y, 0) : max(y + len(patch), 0), max(x, 0) : max(x + patch.shape[1], 0)]
    end = (slice(top, top + window.shape[0]), slice(left, left + window.shape[1]))
    window += coverage[end][..., None] * (patch[end] - window)


def tiled(texture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A square texture repeated to (height, width, 3)."""
    size = len(texture)
    return np.tile(texture, (height // size + 1, width // size + 1, 1))[:height, :width]


def random_outline(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) float32 coverage, 0 to 1, of a box, a bush or an ellipse."""
    mask = np.zeros((height, width), np.uint8)
    kind = rng.choice(['box', 'bush', 'ellipse'])
    if kind == 'box':
        mask[1:-1, 1:-1] = 255
    else:
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        wobble = 0.18 if kind == 'bush' else 0.0
        radius = (
            1
            - wobble
            + wobble * np.sin(angle * rng.integers(4, 9) + rng.uniform(0, 6)) * rng.uniform(0.5, 1)
        )
        x = width / 2 + radius * np.cos(angle) * (width / 2 - 1)
        y = height / 2 + radius * np.sin(angle) * (height / 2 - 1)
        cv2.fillPoly(mask, [np.stack([x, y], 1).astype(np.int32)], 255, cv2.LINE_AA)
    return mask.astype(np.float32) / 255
