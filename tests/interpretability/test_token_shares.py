"""Shares of causal tokens against loops over cells, joints and points of bones."""

import math

import numpy as np
import pytest

from cmpose_mm.interpretability.token_shares import (
    BONES,
    TokenRegions,
    cell_centers,
    chance_shares,
    distances_to_segments,
    random_selection,
    token_regions,
    token_shares,
)
from cmpose_mm.posetrack.joints import JOINT_NAMES, LIMBS

GRID, SIZE = (8, 6), (96, 128)


def clip(seed):
    rng = np.random.default_rng(seed)
    joints = rng.uniform([0, 0], SIZE, (15, 2))
    return joints, rng.random(15) < 0.7, rng.uniform(8, 20)


def slow_center(cell):
    """The mean over the pixels that a cell covers."""
    y, x = divmod(cell, GRID[1])
    side = SIZE[0] // GRID[1]
    pixels = [(x * side + i, y * side + j) for i in range(side) for j in range(side)]
    return np.mean(pixels, axis=0)


def slow_bone_distance(point, start, end):
    """The least distance over many points of the bone."""
    return min(math.dist(point, start + t * (end - start)) for t in np.linspace(0, 1, 2001))


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(3))
def test_regions(seed):
    joints, labeled, head_size = clip(seed)
    regions = token_regions(joints, labeled, head_size, GRID, SIZE)
    for cell in range(48):
        center = slow_center(cell)
        assert cell_centers(GRID, SIZE)[cell] == pytest.approx(center)
        for k in range(15):
            near = labeled[k] and math.dist(center, joints[k]) <= head_size
            assert regions.near[k, cell] == near
        distance = min(
            slow_bone_distance(center, joints[JOINT_NAMES.index(a)], joints[JOINT_NAMES.index(b)])
            for a, b in BONES
            if labeled[JOINT_NAMES.index(a)] and labeled[JOINT_NAMES.index(b)]
        )
        assert abs(distance - head_size / 2) > 1e-3  # else the samples decide
        assert regions.body[cell] == (distance <= head_size / 2)
    assert regions.near.any() and regions.body.any() and not regions.body.all()


def test_bones_are_limbs_with_flesh_around_and_the_trunks_diagonals():
    bones = {frozenset(bone) for bone in BONES}
    limbs = {frozenset(limb) for limb in LIMBS}
    assert bones - limbs == {
        frozenset(('head_top', 'head_bottom')),
        frozenset(('left_shoulder', 'right_hip')),
        frozenset(('right_shoulder', 'left_hip')),
    }
    assert limbs - bones == {
        frozenset(('nose', 'head_top')),
        frozenset(('head_bottom', 'left_shoulder')),
        frozenset(('head_bottom', 'right_shoulder')),
    }
    assert len(BONES) == len(bones)


def test_a_bone_may_be_a_point():
    points, place = np.array([[3.0, 4.0]]), np.zeros((1, 2))
    assert distances_to_segments(points, place, place) == pytest.approx(5.0)


def test_no_labeled_joint_is_no_region():
    joints, _, head_size = clip(0)
    regions = token_regions(joints, np.zeros(15, bool), head_size, GRID, SIZE)
    assert not regions.near.any() and not regions.body.any()
    shares = token_shares([np.arange(30).reshape(15, 2)], [regions])
    assert (shares.own_joint, shares.any_joint, shares.body) == (None, 0, 0)


def test_shares():
    rng = np.random.default_rng(0)
    regions = [token_regions(*clip(seed), GRID, SIZE) for seed in range(4)]
    selections = [rng.permutation(48)[:30].reshape(15, 2) for _ in regions]
    shares = token_shares(selections, regions)
    own, near, body, by_clip = [], [], [], []
    for cells, region in zip(selections, regions):
        by_clip.append([0, 0])
        for k in range(15):
            for cell in cells[k]:
                if region.labeled[k]:
                    own.append(region.near[k, cell])
                    by_clip[-1][0] += 1
                    by_clip[-1][1] += int(own[-1])
                near.append(any(region.near[j, cell] for j in range(15)))
                body.append(region.body[cell])
    for value, expected in zip(
        (shares.own_joint, shares.any_joint, shares.body), (own, near, body)
    ):
        assert value == pytest.approx(100 * sum(expected) / len(expected))
        assert 0 < value < 100
    assert shares.by_clip == list(map(tuple, by_clip))


def test_shares_of_some_joints():
    """Those of the joints' own cells alone; a clip may have none."""
    rng = np.random.default_rng(0)
    regions = [token_regions(*clip(seed), GRID, SIZE) for seed in range(3)]
    selections = [rng.permutation(48)[:30].reshape(15, 2) for _ in regions]
    joints = [rng.random(15) < 0.4, np.zeros(15, bool), rng.random(15) < 0.4]
    shares = token_shares(selections, regions, joints)
    cells = [
        (c, k, cell)
        for c in range(3)
        for k in np.flatnonzero(joints[c])
        for cell in selections[c][k]
    ]
    own = [regions[c].near[k, cell] for c, k, cell in cells if regions[c].labeled[k]]
    near = [regions[c].near[:, cell].any() for c, _, cell in cells]
    body = [regions[c].body[cell] for c, _, cell in cells]
    expected = [100 * np.mean(values) for values in (own, near, body)]
    assert [shares.own_joint, shares.any_joint, shares.body] == pytest.approx(expected)
    assert shares.by_clip[1] == (0, 0) and sum(n for n, _ in shares.by_clip) == len(own)
    assert 0 < len(own) < len(cells)


def test_random_selections_have_the_shares_of_chance():
    regions = [token_regions(*clip(seed), GRID, SIZE) for seed in range(5)]
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(400):
        selections = [random_selection(15, 2, 48, rng) for _ in regions]
        assert all(len(set(cells.flat)) == 30 for cells in selections)
        shares = token_shares(selections, regions)
        draws.append([shares.own_joint, shares.any_joint, shares.body])
    chance = chance_shares(regions)
    means, errors = np.mean(draws, 0), np.std(draws, 0) / 20
    expected = [chance.own_joint, chance.any_joint, chance.body]
    assert (np.abs(means - expected) < 4 * errors).all() and (errors < 0.2).all()


def test_perfect_selection():
    near = np.zeros((15, 48), bool)
    near[np.arange(15), np.arange(15)] = True
    region = TokenRegions(near, 1.0 - near, near.any(0), np.ones(15, bool))
    perfect = token_shares([np.arange(15)[:, None]], [region])
    assert (perfect.own_joint, perfect.any_joint, perfect.body) == (100, 100, 100)
    shifted = token_shares([(np.arange(15)[:, None] + 1) % 15], [region])
    assert (shifted.own_joint, shifted.any_joint, shifted.body) == (0, 100, 100)
