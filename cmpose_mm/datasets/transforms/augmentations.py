"""Augmentation of crops: boxes that are too wide, colors, blur, and things in the way.

The last three come after ``TopdownAffine``, where the crop is small, and treat a clip's frames
alike: one draw for all T of them. They take ``img`` as a list of T arrays (H, W, 3) uint8, or as
one array.

H, W: height and width in pixels of the crop.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

_LUMA = np.array([0.114, 0.587, 0.299])  # BGR


def check_share(owner: object, **shares: float) -> None:
    """Raises ValueError unless all these arguments are from 0 to 1."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f'{type(owner).__name__}: {name} is {value}, expected 0 to 1')


def _on_frames(results: dict, change: Callable[[np.ndarray], np.ndarray]) -> dict:
    """Puts ``change(frame)`` in place of every frame."""
    frames = results['img']
    results['img'] = (
        change(frames) if isinstance(frames, np.ndarray) else [change(frame) for frame in frames]
    )
    return results


@TRANSFORMS.register_module()
class RandomWideBox(BaseTransform):
    """Sometimes cuts a crop far too wide, as where no detector has found the person.

    The box is then one between ``min_factor`` times the person's and the whole frame, all equally
    likely. Place it after ``RandomBBoxTransform``, whose rotation stays; its shift and scale do
    not, since a whole frame is not enlarged any further in a test either.

    Required keys: ``bbox`` (1, 4) x1, y1, x2, y2 in pixels of the image, ``img_shape``. Modified
    keys: ``bbox_center``, ``bbox_scale``.

    Args:
        prob: share of the samples.
        padding: as in ``GetBBoxCenterScale``.
        min_factor: how much larger than the person's box the smallest wide one is, per side.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(self, prob: float, padding: float = 1.25, min_factor: float = 1.5) -> None:
        check_share(self, prob=prob)
        if padding <= 0 or min_factor <= 0:
            raise ValueError(
                f'RandomWideBox: padding is {padding} and min_factor {min_factor}, expected both '
                'above 0'
            )
        self.prob, self.padding, self.min_factor = prob, padding, min_factor

    def transform(self, results: dict) -> dict:
        """See the class."""
        if np.random.rand() < self.prob:
            share = np.random.rand()
            low, high = results['bbox'][0].reshape(2, 2)
            height, width = results['img_shape']
            frame = np.array([width, height], np.float32)
            center = (1 - share) * (low + high) / 2 + share * frame / 2
            size = (1 - share) * self.min_factor * (high - low) + share * frame
            results['bbox_center'] = center[None].astype(np.float32)
            results['bbox_scale'] = (self.padding * size)[None].astype(np.float32)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, padding={self.padding}, '
            f'min_factor={self.min_factor})'
        )


@TRANSFORMS.register_module()
class RandomColors(BaseTransform):
    """Changes brightness, contrast, saturation and the color of the light.

    One matrix (3, 4) does all of it: every pixel becomes ``gain * (gray + s * (pixel - gray)) +
    offset``, where ``gray`` is its luma, the gain is ``contrast`` times one factor a channel, and
    the offset keeps mid-gray where it is and adds the brightness.

    Args:
        prob: share of the samples.
        contrast: largest change of the contrast, up or down, as a share.
        brightness: largest change of the brightness, in gray levels.
        saturation: largest change of the saturation, as a share; 1 reaches from gray to twice.
        light: largest change of each channel's gain, as a share.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(
        self,
        prob: float = 0.8,
        contrast: float = 0.4,
        brightness: float = 40,
        saturation: float = 0.6,
        light: float = 0.15,
    ) -> None:
        check_share(self, prob=prob, contrast=contrast, saturation=saturation, light=light)
        if brightness < 0:
            raise ValueError(f'RandomColors: brightness is {brightness}, expected 0 or more')
        self.prob = prob
        self.contrast, self.brightness = contrast, brightness
        self.saturation, self.light = saturation, light

    def transform(self, results: dict) -> dict:
        """See the class."""
        if np.random.rand() >= self.prob:
            return results
        draws = np.random.uniform(-1, 1, 6)
        gain = (1 + self.contrast * draws[0]) * (1 + self.light * draws[1:4])
        saturation = 1 + self.saturation * draws[4]
        offset = self.brightness * draws[5] + 128 * (1 - gain)
        mix = saturation * np.eye(3) + (1 - saturation) * _LUMA
        matrix = np.column_stack([gain[:, None] * mix, offset])
        return _on_frames(results, lambda frame: cv2.transform(frame, matrix))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, contrast={self.contrast}, '
            f'brightness={self.brightness}, saturation={self.saturation}, light={self.light})'
        )


@TRANSFORMS.register_module()
class RandomBlur(BaseTransform):
    """Takes detail away: by a Gaussian blur, or by shrinking and enlarging, as of small persons.

    Args:
        prob: share of the samples; half of them are blurred, half are shrunk.
        max_sigma: largest standard deviation of the blur, in pixels.
        max_factor: largest factor by which the crop is shrunk.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(self, prob: float = 0.3, max_sigma: float = 2, max_factor: float = 4) -> None:
        check_share(self, prob=prob)
        if max_sigma <= 0 or max_factor < 1:
            raise ValueError(
                f'RandomBlur: max_sigma is {max_sigma} and max_factor {max_factor}, expected above '
                '0 and at least 1'
            )
        self.prob, self.max_sigma, self.max_factor = prob, max_sigma, max_factor

    def transform(self, results: dict) -> dict:
        """See the class."""
        kind, amount = np.random.rand(2)
        if kind < self.prob / 2:
            sigma = max(0.2, amount * self.max_sigma)
            return _on_frames(results, lambda frame: cv2.GaussianBlur(frame, (0, 0), sigma))
        if kind < self.prob:
            factor = 1 + amount * (self.max_factor - 1)

            def shrink(frame: np.ndarray) -> np.ndarray:
                height, width = frame.shape[:2]
                size = max(1, round(width / factor)), max(1, round(height / factor))
                small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
                return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)

            return _on_frames(results, shrink)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, max_sigma={self.max_sigma}, '
            f'max_factor={self.max_factor})'
        )


@TRANSFORMS.register_module()
class RandomPatches(BaseTransform):
    """Covers parts of the crop by rectangles: of one color, or copied from elsewhere in the crop.

    Labels stay as they are, since hidden joints are to be predicted too.

    Args:
        prob: share of the samples.
        max_patches: largest number of rectangles.
        sides: smallest and largest side as a share of the crop's.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(
        self, prob: float = 0.3, max_patches: int = 2, sides: tuple[float, float] = (0.1, 0.4)
    ) -> None:
        check_share(self, prob=prob, smallest_side=sides[0], largest_side=sides[1])
        if max_patches < 1 or sides[0] > sides[1]:
            raise ValueError(
                f'RandomPatches: max_patches is {max_patches} and sides {sides}, expected at least '
                '1 and smallest before largest'
            )
        self.prob, self.max_patches, self.sides = prob, max_patches, sides

    def transform(self, results: dict) -> dict:
        """See the class."""
        if np.random.rand() >= self.prob:
            return results
        for _ in range(np.random.randint(1, self.max_patches + 1)):
            results = self._cover(results)
        return results

    def _cover(self, results: dict) -> dict:
        """One rectangle, at one place in all frames."""
        first = results['img'] if isinstance(results['img'], np.ndarray) else results['img'][0]
        extent = np.array(first.shape[:2])
        size = np.maximum(1, extent * np.random.uniform(*self.sides, 2)).astype(int)
        (y, x), (from_y, from_x) = (np.random.rand(2, 2) * (extent - size + 1)).astype(int)
        copied = np.random.rand() < 0.5
        color = np.random.randint(0, 256, 3)

        def cover(frame: np.ndarray) -> np.ndarray:
            out = frame.copy()  # frames of a clip may be one array
            patch = frame[from_y : from_y + size[0], from_x : from_x + size[1]] if copied else color
            out[y : y + size[0], x : x + size[1]] = patch
            return out

        return _on_frames(results, cover)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(prob={self.prob}, max_patches={self.max_patches}, '
            f'sides={self.sides})'
        )
