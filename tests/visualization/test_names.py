"""Names are where they are wanted, or as near as is possible."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpose_mm.visualization.names import nearest_free

SMALL = st.integers(1, 12)


def overlap(a, b) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@st.composite
def crowds(draw):
    """A frame, what is taken of it, and what is wanted."""
    frame = draw(SMALL), draw(SMALL)
    taken = []
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(-3, 12)), draw(st.integers(-3, 12))
        taken.append((x, y, x + draw(SMALL), y + draw(SMALL)))
    wanted = draw(st.integers(-9, 20)), draw(st.integers(-9, 20))
    return *wanted, draw(st.integers(1, 6)), draw(st.integers(1, 6)), frame, taken


@settings(max_examples=400, deadline=None)
@given(crowds())
def test_it_is_the_nearest_of_all_places(crowd):
    """Against all places of the frame, one after the other."""
    x, y, width, height, frame, taken = crowd
    place = nearest_free(*crowd)
    x = min(max(x, 0), frame[0] - width)
    y = min(max(y, 0), frame[1] - height)
    distances = [
        (left - x) ** 2 + (top - y) ** 2
        for left in range(frame[0] - width + 1)
        for top in range(frame[1] - height + 1)
        if not any(overlap((left, top, left + width, top + height), other) for other in taken)
    ]
    if not distances:
        assert place is None
        return
    assert place[2] - place[0] == width and place[3] - place[1] == height
    assert place[0] >= 0 and place[1] >= 0 and place[2] <= frame[0] and place[3] <= frame[1]
    assert not any(overlap(place, other) for other in taken)
    assert (place[0] - x) ** 2 + (place[1] - y) ** 2 == min(distances)


def test_a_crowd_gets_disjoint_places():
    rng = np.random.default_rng(0)
    taken = []
    for x, y in rng.integers(-100, (1380, 300), (150, 2)).tolist():
        taken.append(nearest_free(x, y, 80, 20, (1280, 720), taken))
        assert not any(overlap(taken[-1], other) for other in taken[:-1])
