"""Rows of the tables, by hand."""

from __future__ import annotations

import numpy as np

from cmpose_mm.interpretability.measure import Effect, TokenEvidence
from cmpose_mm.interpretability.summary import EFFECTS, deletion_rows


def test_deletion_rows():
    effect = Effect(
        movement=np.array([0.0, 0.2, 0.9, 2.9]),
        found_before=np.array([True, True, True, False]),
        found_after=np.array([True, False, False, False]),
    )
    nobody = Effect(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool))
    evidence = TokenEvidence.__new__(TokenEvidence)
    evidence.effects = {'one': effect, 'none': nobody}
    rows = deletion_rows(evidence)
    expected = {
        'movements': 4, 'median movement (head sizes)': 0.55, 'mean': 1.0,
        'moved over 0.5 (%)': 50, 'recall before': 75, 'after': 25,
    }  # fmt: skip
    assert list(expected) == list(EFFECTS)
    np.testing.assert_allclose(rows['one'], list(expected.values()))
    assert rows['none'][0] == 0 and np.isnan(rows['none'][1:]).all()
