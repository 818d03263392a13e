"""The numbers of `TokenEvidence`, in rows of tables."""

from __future__ import annotations

import numpy as np

from .measure import TokenEvidence
from .token_shares import TokenShares

SHARES = ('within a head size of its joint', 'of any joint', 'on the body')
"""Columns of `share_rows`."""
EFFECTS = (
    'movements', 'median movement (head sizes)', 'mean', 'moved over 0.5 (%)', 'recall before',
    'after',
)  # fmt: skip
"""Columns of `deletion_rows`."""


def share_rows(evidence: TokenEvidence) -> dict[str, np.ndarray]:
    """Row of the table -> its numbers, `SHARES` in percent."""

    def mean(*shares: TokenShares) -> np.ndarray:
        columns = [[s.own_joint, s.any_joint, s.body] for s in shares]
        return np.array(columns, dtype=float).mean(0)

    return {
        'causal tokens': mean(evidence.selected),
        'causal tokens of another clip': mean(evidence.other_clip),
        'ceiling: S = label heatmap': mean(evidence.ceiling),
        f'random selection, {len(evidence.random)} draws': mean(*evidence.random),
        'chance: all cells': mean(evidence.chance),
    }


def deletion_rows(evidence: TokenEvidence) -> dict[str, np.ndarray]:
    """Row of the table -> its numbers, `EFFECTS`; NaN if no joint was measured."""
    rows = {}
    for name, effect in evidence.effects.items():
        move = effect.movement
        rows[name] = np.array([len(move), *[np.nan] * (len(EFFECTS) - 1)])
        if len(move):
            percent = [move > 0.5, effect.found_before, effect.found_after]
            rows[name][1:] = [np.median(move), move.mean(), *(100 * x.mean() for x in percent)]
    return rows
