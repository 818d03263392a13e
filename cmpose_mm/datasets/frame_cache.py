"""Decoded frames that are kept for the next sample, within a fixed amount of memory."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import numpy as np
from cachetools import LRUCache


class FrameCache:
    """The images asked for last; the one not asked for the longest leaves first.

    Images are handed out read-only: whoever changed one in place would change it for every sample
    that follows, and gets NumPy's ValueError instead. A copy or pickle of the cache starts empty.

    Args:
        max_bytes: memory of all images together, never exceeded. An image larger than this is
            handed out without being kept.

    Raises:
        ValueError: if ``max_bytes`` is negative.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f'a cache of frames needs max_bytes >= 0, got {max_bytes}')
        self.max_bytes = max_bytes
        self._images: LRUCache = LRUCache(max_bytes, getsizeof=attrgetter('nbytes'))

    def make_room(self, max_bytes: int) -> None:
        """Raises ``max_bytes``, if it is lower; the images stay."""
        if max_bytes > self.max_bytes:
            images = list(self._images.items())  # the oldest first
            self.max_bytes = max_bytes
            self._images = LRUCache(max_bytes, getsizeof=attrgetter('nbytes'))
            self._images.update(images)

    @property
    def num_bytes(self) -> int:
        """Memory of the images that are kept."""
        return self._images.currsize

    def get(self, path: str, read: Callable[[str], np.ndarray]) -> np.ndarray:
        """The image of ``path``, from memory or by ``read(path)``; (H, W, 3), read-only."""
        image = self._images.get(path)
        if image is None:
            image = read(path)
            image.flags.writeable = False
            if image.nbytes <= self.max_bytes:
                self._images[path] = image
        return image

    def __len__(self) -> int:
        return len(self._images)

    def __reduce__(self) -> tuple:
        return type(self), (self.max_bytes,)
