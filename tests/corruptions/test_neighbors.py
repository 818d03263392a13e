"""Lost and late neighbors, against rules written out by hand."""

import numpy as np
import pytest

from cmpose_mm.corruptions import frozen, is_lost, setting, without_lost


@pytest.mark.parametrize(
    ('positions', 'key_index', 'lost', 'expected'),
    [
        ([4, 5, 6], 1, {4}, [5, 5, 6]),
        ([4, 5, 6], 1, {4, 5, 6}, [5, 5, 5]),  # the key frame always arrives
        ([3, 4, 5, 6, 7], 2, {3}, [4, 4, 5, 6, 7]),
        ([3, 4, 5, 6, 7], 2, {7, 6}, [3, 4, 5, 5, 5]),
        ([1, 5, 9], 1, {1, 2}, [3, 5, 9]),  # stride 4: a frame between them stands in
        ([3, 4, 5], 2, {4}, [3, 5, 5]),  # causal
        ([0, 0, 1], 1, {0, 1}, [0, 0, 0]),  # at the video's start
    ],
)
def test_lost_neighbors(positions, key_index, lost, expected):
    found, valid = without_lost(np.array(positions), key_index, lost.__contains__)
    assert found.tolist() == expected
    assert valid.tolist() == [a == b for a, b in zip(positions, expected)]


def test_lost_share_and_nesting():
    frames = [(f's{i}', number) for i in range(20) for number in range(100)]
    before = set()
    for severity, share in enumerate((0.1, 0.25, 0.5, 0.75, 1.0), 1):
        lost = {frame for frame in frames if is_lost(0, severity, *frame)}
        assert before < lost
        assert len(lost) / 2000 == pytest.approx(share, abs=5 * (share * (1 - share) / 2000) ** 0.5)
        before = lost
    seeds = [{frame for frame in frames if is_lost(seed, 3, *frame)} for seed in (0, 1)]
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize(('severity', 'lag'), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 12)])
def test_late_neighbors(severity, lag):
    assert frozen(np.array([19, 20, 21]), 1, severity).tolist() == [19 - lag, 20, 21 - lag]
    assert frozen(np.array([0, 1, 2]), 1, severity).tolist() == [0, 1, max(2 - lag, 0)]
    assert frozen(np.array([0, 0, 1]), 1, severity).tolist() == [0, 0, max(1 - lag, 0)]


@pytest.mark.parametrize('severity', [3.0, True, '3', 0, 6])
def test_severities_are_whole_numbers(severity):
    with pytest.raises(ValueError, match='expected a whole number from 1 to 5'):
        setting('shot_noise', severity)
    assert setting('shot_noise', np.int64(3)) == setting('shot_noise', 3)
