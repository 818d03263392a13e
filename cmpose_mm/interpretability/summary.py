"""The numbers of `TokenEvidence`, in rows of tables."""

from __future__ import annotations

import numpy as np

from .measure import DELETIONS, TokenEvidence
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

    return {name: mean(*shares) for name, shares in _shares(evidence).items()}


def _shares(evidence: TokenEvidence) -> dict[str, list[TokenShares]]:
    return {
        'causal tokens': [evidence.selected],
        'causal tokens of another clip': [evidence.other_clip],
        'ceiling: S = label heatmap': [evidence.ceiling],
        f'random selection, {len(evidence.random)} draws': evidence.random,
        'chance: all cells': [evidence.chance],
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


def clip_rows(evidence: TokenEvidence) -> dict[str, dict[str, list[list[float]]]]:
    """Of each of C clips what intervals over films need, for JSON.

    Returns:
        ``shares``, row of `share_rows` -> `TokenShares.by_clip`; of the rows without draws.
        ``deletions``, row of `deletion_rows` -> for each clip the joints, the sum of their
        movements in head sizes, and how many are found before and after; of the rows that delete
        the tokens of one joint at a time.
    """
    shares = {
        name: list(map(list, found[0].by_clip))
        for name, found in _shares(evidence).items()
        if found is not evidence.random
    }
    deletions = {}
    for name in DELETIONS[4:]:
        effect = evidence.effects[name]
        columns = [np.ones(len(effect.clips)), effect.movement, effect.found_before,
                   effect.found_after]  # fmt: skip
        sums = [np.bincount(effect.clips, each, len(evidence.image_ids)) for each in columns]
        deletions[name] = np.stack(sums, axis=1).round(4).tolist()
    return {'shares': shares, 'deletions': deletions}
