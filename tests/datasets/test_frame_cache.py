"""Decoded frames in memory: what is kept, what is given up, how much memory it takes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpose_mm.datasets.frame_cache import FrameCache


def image(path: str) -> np.ndarray:
    """An image whose size and content follow from its name: 'c3' has 3 bytes."""
    return np.full((1, int(path[1:]), 1), ord(path[0]), np.uint8)


class SlowCache:
    """The obvious cache: a list, the least recently used image first."""

    def __init__(self, max_bytes):
        self.max_bytes, self.paths, self.reads = max_bytes, [], []

    def get(self, path):
        if path in self.paths:
            self.paths.remove(path)
        else:
            self.reads.append(path)
            if image(path).nbytes > self.max_bytes:
                return
        self.paths.append(path)
        while sum(image(p).nbytes for p in self.paths) > self.max_bytes:
            del self.paths[0]


@given(
    requests=st.lists(st.builds('{}{}'.format, st.sampled_from('abcd'), st.integers(1, 4))),
    max_bytes=st.integers(0, 12),
)
def test_keeps_what_the_obvious_cache_keeps(requests, max_bytes):
    cache, slow, reads = FrameCache(max_bytes), SlowCache(max_bytes), []

    def read(path):
        reads.append(path)
        return image(path)

    for path in requests:
        np.testing.assert_array_equal(cache.get(path, read), image(path))
        slow.get(path)
        assert reads == slow.reads
        assert len(cache) == len(slow.paths)
        assert cache.num_bytes == sum(image(p).nbytes for p in slow.paths) <= max_bytes


def test_room_is_made_and_images_stay():
    cache, reads = FrameCache(4), []

    def read(path):
        reads.append(path)
        return image(path)

    for path in ('a2', 'b2'):
        cache.get(path, read)
    cache.make_room(6)
    cache.make_room(5)  # there is more already
    for path in ('a2', 'b2', 'c2', 'd2', 'b2', 'a2'):  # a is the one that goes for d
        cache.get(path, read)
    assert reads == ['a2', 'b2', 'c2', 'd2', 'a2'] and cache.num_bytes == cache.max_bytes == 6


def test_an_image_can_not_be_changed():
    cache = FrameCache(100)
    for _ in range(2):
        with pytest.raises(ValueError, match='read-only'):
            cache.get('a5', image)[0, 0] = 1


def test_an_error_is_not_kept():
    cache = FrameCache(100)

    def broken(path):
        raise OSError(path)

    for _ in range(2):
        with pytest.raises(OSError, match='a5'):
            cache.get('a5', broken)
    assert cache.get('a5', image).size == 5


def test_copies_start_empty():
    cache = FrameCache(100)
    cache.get('a5', image)
    for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert (other.max_bytes, other.num_bytes, len(other)) == (100, 0, 0)
    assert len(cache) == 1


def test_negative_size():
    with pytest.raises(ValueError, match='max_bytes >= 0, got -1'):
        FrameCache(-1)
