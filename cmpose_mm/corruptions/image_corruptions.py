"""Corruptions of single frames: noise, blur, low light, compression.

Each takes an image (H, W, 3) uint8 BGR, a severity from 1 to 5 and a generator of random numbers,
and returns a new image of the same shape and type. Corruptions that ImageNet-C has use its formulas
(`severities.py` cites it), but round to the nearest value where ImageNet-C truncates.
"""

from __future__ import annotations

import cv2
import numpy as np

from .severities import setting

GAMMA = 2.2  # of the display: light is proportional to value ** GAMMA
WHITE_ELECTRONS = 1000  # electrons that a sensor's pixel collects at white in full light
READ_NOISE = 3.0  # electrons, standard deviation


def gaussian_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Adds independent normal noise to each value."""
    deviation = 255 * setting('gaussian_noise', severity)
    return _to_uint8(image + deviation * rng.standard_normal(image.shape, dtype=np.float32))


def shot_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Replaces each value by a photon count with that value as its mean."""
    photons = setting('shot_noise', severity)
    return _to_uint8(rng.poisson(image * (photons / 255)) * (255 / photons))


def impulse_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Sets a share of the values to 0 or 255, both equally likely."""
    share = setting('impulse_noise', severity)
    draw = rng.random(image.shape, dtype=np.float32)
    out = image.copy()
    out[draw < share / 2] = 0
    out[draw >= 1 - share / 2] = 255
    return out


def defocus_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Spreads each pixel over a disk with a softened edge; nothing is random."""
    radius, softening = setting('defocus_blur', severity)
    reach = max(8, radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.float32)
    window = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disk / disk.sum(), (window, window), softening)
    return cv2.filter2D(image, -1, kernel)


def motion_blur(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Smears the image along a straight trail, at most 45 degrees from the horizontal.

    The trail fades like one half of a normal curve, as in ImageNet-C. There it starts at the pixel,
    which shifts the image, by 12 pixels at severity 5. Here its center of mass is on the pixel, so
    that labeled joints stay where they are.
    """
    radius, sigma = setting('motion_blur', severity)
    angle = np.deg2rad(rng.uniform(-45, 45))
    return cv2.filter2D(image, -1, trail_kernel(radius, sigma, angle))


def trail_kernel(radius: int, sigma: float, angle: float) -> np.ndarray:
    """Kernel of `motion_blur`.

    Args:
        radius: the trail has 2 * radius + 1 points, one pixel apart.
        sigma: of its fading, in pixels.
        angle: of its direction, in radians, from the x toward the y axis of the image.

    Returns:
        (S, S) float32 with sum 1 and its center of mass in the middle; S is odd.
    """
    along = np.arange(2 * radius + 1, dtype=np.float64)
    weights = np.exp(-0.5 * (along / sigma) ** 2)
    weights /= weights.sum()
    along -= weights @ along
    reach = int(np.ceil(np.abs(along).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx in (0, 1):  # each point is distributed over the four cells around it
        for dy in (0, 1):
            part = weights * (1 - np.abs(x - left - dx)) * (1 - np.abs(y - top - dy))
            np.add.at(kernel, (top + dy, left + dx), part)
    return kernel.astype(np.float32)


def low_light(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """The same scene in less light, with the same camera and exposure.

    A pixel collects electrons in proportion to the remaining light. Their count has Poisson noise,
    and reading it out adds normal noise. Then the display's gamma is applied again.
    """
    light = setting('low_light', severity)
    electrons = WHITE_ELECTRONS * light * (np.arange(256) / 255) ** GAMMA
    counted = rng.poisson(electrons[image]).astype(np.float32)
    counted += READ_NOISE * rng.standard_normal(image.shape, dtype=np.float32)
    return _to_uint8(255 * np.clip(counted / WHITE_ELECTRONS, 0, 1) ** (1 / GAMMA))


def jpeg_compression(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Compresses the frame as a low-quality JPEG; nothing is random."""
    quality = setting('jpeg_compression', severity)
    done, content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cv2.imdecode(content, cv2.IMREAD_COLOR)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
