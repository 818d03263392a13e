"""Procedural textures and backgrounds: BGR uint8 images made from a random generator alone."""

from __future__ import annotations

import cv2
import numpy as np


def random_colour(rng: np.random.Generator, saturation=(0.1, 0.9), value=(0.15, 0.95)):
    """BGR colour as (3,) float32 in 0..255, hue uniform."""
    hsv = np.array(
        [[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]], np.float32
    )
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """BGR skin tone as (3,) float32 in 0..255, from light to dark."""
    light, dark = np.array([170, 195, 235.0]), np.array([40, 60, 95.0])
    mix = rng.random()
    return (light * mix + dark * (1 - mix) + rng.normal(0, 8, 3)).clip(10, 250).astype(np.float32)


def smooth_noise(rng: np.random.Generator, height: int, width: int, octaves=(3, 6, 12, 24)):
    """(height, width) float32 noise in 0..1 from several scales of white noise; it tiles."""
    total = np.zeros((height, width), np.float32)
    for cells in octaves:
        grid = rng.random((cells, max(cells * width // height, 1)), dtype=np.float32)
        zoom = np.float64([[grid.shape[1] / width, 0, 0], [0, cells / height, 0]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        layer = cv2.warpAffine(grid, zoom, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
        total += layer / cells**0.5
    total -= total.min()
    return total / max(total.max(), 1e-6)


def random_texture(rng: np.random.Generator, size: int = 64, base=None) -> np.ndarray:
    """A (size, size, 3) uint8 cloth or wall: plain, noisy, striped, checked, dotted or plaid.

    Args:
        rng: source of all randomness.
        size: side in texels.
        base: main BGR colour; random if None.
    """
    first = random_colour(rng) if base is None else np.asarray(base, np.float32)
    second = random_colour(rng)
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
    mix = (mix * rng.uniform(0.3, 1.0))[..., None]
    image = first * (1 - mix) + second * mix
    image += (smooth_noise(rng, size, size)[..., None] - 0.5) * rng.uniform(0, 70)
    return image.clip(0, 255).astype(np.uint8)


def head_texture(rng: np.random.Generator, skin: np.ndarray, size: int = 64) -> np.ndarray:
    """A (size, size, 3) uint8 head: rows from chin to crown, columns once around, face at 0.

    The face looks from column 0 (and wraps around); hair covers back and crown.
    """
    hair = random_colour(rng, (0.0, 0.7), (0.05, 0.75))
    if rng.random() < 0.15:  # shaved
        hair = skin * 0.85
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
    if rng.random() < 0.2:  # hat
        image = np.where((y > rng.uniform(0.6, 0.7))[..., None], random_colour(rng), image)
    image += (smooth_noise(rng, size, size)[..., None] - 0.5) * 25
    return image.clip(0, 255).astype(np.uint8)


def render_background(
    rng: np.random.Generator, height: int, width: int, horizon: float, focal: float, depth: float
) -> np.ndarray:
    """A room or yard: a textured floor in perspective before a wall with pictures and furniture.

    Args:
        rng: source of all randomness.
        height, width: size in pixels.
        horizon: row of the horizon in pixels.
        focal: focal length in pixels, times the camera's height over the floor in metres.
        depth: distance of the wall in metres.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    size = 128
    wall = random_texture(rng, size).astype(np.float32)
    floor = random_texture(rng, size).astype(np.float32)
    v, u = np.mgrid[:height, :width].astype(np.float32)
    distance = focal / np.maximum(v - horizon, 1e-3)
    is_floor = distance < depth
    scale = rng.uniform(0.3, 0.8)
    floor_y = distance * scale
    floor_x = (u - width / 2) / focal * distance * scale
    zoom = rng.uniform(0.5, 2.0)
    map_x = np.where(is_floor, floor_x * size, u * zoom) % size
    map_y = np.where(is_floor, floor_y * size, v * zoom) % size
    linear = dict(interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    image = np.where(
        is_floor[..., None],
        cv2.remap(floor, map_x, map_y, **linear),
        cv2.remap(wall, map_x, map_y, **linear),
    )
    # Far floor texture aliases: fade it into its mean colour.
    fade = np.where(is_floor, np.clip(distance / depth, 0, 1) ** 1.5 * 0.8, 0)[..., None]
    image = image * (1 - fade) + floor.mean((0, 1)) * fade
    foot = horizon + focal / depth
    for _ in range(rng.integers(3, 12)):
        w, h = rng.uniform(0.04, 0.35) * width, rng.uniform(0.05, 0.4) * height
        cx, cy = rng.uniform(0, width), foot - rng.uniform(-0.15, 1.0) * max(foot, 1)
        patch = random_texture(rng, 64)
        box = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 + rng.normal(0, 3, (4, 2))
        points = box + [cx, cy]
        mask = np.zeros((height, width), np.uint8)
        if rng.random() < 0.6:
            cv2.fillConvexPoly(mask, points.astype(np.int32), 255, cv2.LINE_AA)
        else:
            centre, axes = (int(cx), int(cy)), (int(w / 2) + 1, int(h / 2) + 1)
            cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        tiled = np.tile(patch, (height // 64 + 1, width // 64 + 1, 1))[:height, :width]
        share = mask[..., None].astype(np.float32) / 255
        image = image * (1 - share) + tiled * share
    light = 0.7 + 0.6 * smooth_noise(rng, height, width, (2, 3))[..., None]
    return (image * light).clip(0, 255).astype(np.uint8)


def random_outline(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) float32 coverage in 0..1 of a box, a post, a bush or an ellipse."""
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
