"""Rows of the tables, by hand."""

from __future__ import annotations

import numpy as np

from cmpose_mm.interpretability.measure import DELETIONS, Effect, TokenEvidence
from cmpose_mm.interpretability.summary import EFFECTS, clip_rows, deletion_rows
from cmpose_mm.interpretability.token_shares import TokenShares

NOBODY = Effect(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, int))


def test_deletion_rows():
    effect = Effect(
        movement=np.array([0.0, 0.5, 0.6, 2.9]),
        found_before=np.array([True, True, True, False]),
        found_after=np.array([True, False, False, False]),
        clips=np.array([0, 0, 2, 2]),
    )
    evidence = TokenEvidence.__new__(TokenEvidence)
    evidence.effects = {'one': effect, 'none': NOBODY}
    rows = deletion_rows(evidence)
    expected = {
        'movements': 4, 'median movement (head sizes)': 0.55, 'mean': 1.0,
        'moved over 0.5 (%)': 50, 'recall before': 75, 'after': 25,
    }  # fmt: skip
    assert list(expected) == list(EFFECTS)
    np.testing.assert_allclose(rows['one'], list(expected.values()))
    assert rows['none'][0] == 0 and np.isnan(rows['none'][1:]).all()


def test_clip_rows():
    """Three clips, of which the second has no joint."""
    effect = Effect(
        movement=np.array([0.5, 2.9, 0.0, 0.25]),
        found_before=np.array([True, False, True, True]),
        found_after=np.array([False, False, True, True]),
        clips=np.array([0, 2, 2, 0]),
    )
    evidence = TokenEvidence(
        image_ids=[5, 6, 7],
        selected=TokenShares(50, 60, 70, [(2, 1), (0, 0), (4, 3)]),
        other_clip=TokenShares(40, 60, 70, [(2, 0), (0, 0), (4, 2)]),
        ceiling=TokenShares(90, 60, 70, [(2, 2), (0, 0), (4, 4)]),
        random=[TokenShares(9, 60, 70, [(2, 9), (0, 9), (4, 9)])],
        chance=TokenShares(4, 60, 70, [(48, 2), (0, 0), (96, 3)]),
        effects={**dict.fromkeys(DELETIONS, NOBODY), "a joint's causal tokens": effect},
    )
    rows = clip_rows(evidence)
    assert rows['shares'] == {
        'causal tokens': [[2, 1], [0, 0], [4, 3]],
        'causal tokens of another clip': [[2, 0], [0, 0], [4, 2]],
        'ceiling: S = label heatmap': [[2, 2], [0, 0], [4, 4]],
        'chance: all cells': [[48, 2], [0, 0], [96, 3]],
    }
    assert [*rows['deletions']] == [*DELETIONS[4:]]  # those of one joint at a time
    assert rows['deletions'].pop("a joint's causal tokens") == [
        [2, 0.75, 2, 1], [0, 0, 0, 0], [2, 2.9, 1, 1],
    ]  # fmt: skip
    assert [*rows['deletions'].values()] == 6 * [3 * [4 * [0]]]
