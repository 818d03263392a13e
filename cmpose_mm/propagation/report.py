"""Scores of propagators as text."""

from __future__ import annotations

from cmpose_mm.evaluation.report import COLUMNS, format_table
from cmpose_mm.posetrack.joints import JOINT_NAMES

from .scoring import PropagationScores


def format_scores(scores: dict[str, PropagationScores]) -> str:
    """Markdown tables with a row for each propagator, and the counts.

    Args:
        scores: of propagators, by their names, all on the same labels.
    """
    first = next(iter(scores.values()))
    rows = {name: each.result for name, each in scores.items()}
    parts = ['AP, and PCK over all joints:', format_table(rows, (*COLUMNS, *first.measures))]
    if first.ap_by_distance:
        columns = [str(distance) for distance in first.ap_by_distance]
        rows = {
            name: {str(d): each.ap_by_distance.get(d, float('nan')) for d in first.ap_by_distance}
            for name, each in scores.items()
        }
        parts += ['AP by frames to the nearest label:', format_table(rows, columns)]
    for by, breakdown in first.breakdowns.items():
        columns = [name for name in breakdown.joints if breakdown.joints[name]]
        if by == 'joint':
            columns = [name for name in JOINT_NAMES if name in columns]
        if by == 'distance':
            columns.sort(key=int)
        rows = {'joints': {name: breakdown.joints[name] for name in columns}}
        rows.update((name, each.breakdowns[by].percent()) for name, each in scores.items())
        parts += [f'{first.fine} by {_TITLES[by]}:', format_table(rows, columns)]
    persons = '; '.join(f'{name}: {each.persons[1]}' for name, each in scores.items())
    counts, plan = first.result['counts'], first.plan
    parts.append(
        f'Scored: {counts["videos"]} videos, {counts["frames"]} frames, {counts["persons"]} '
        f'persons, {counts["joints"]} joints. Persons without a pose: {persons}.'
    )
    if first.persons_without_size:
        parts.append(
            f'{first.persons_without_size} of the persons have no {_SIZES[first.norm]}: only AP '
            'counts them.'
        )
    if plan.frames_not_on_disk:
        parts.append(
            f'{plan.frames_not_on_disk} frames are not on disk: their persons have no pose.'
        )
    if plan.entering_or_leaving or plan.without_track or plan.shared_track or plan.frames_in_gaps:
        parts.append(
            f'Not asked for: {plan.entering_or_leaving} times a person enters or leaves between '
            f'labels; {plan.frames_in_gaps} frames in larger gaps; {plan.without_track} labeled '
            f'persons without a track id, {plan.shared_track} who share one.'
        )
    return '\n\n'.join(parts)


_SIZES = {'box': 'box', 'head': 'head box'}
_TITLES = {
    'distance': 'frames to the nearest label',
    'displacement': 'displacement from the nearest label, in head sizes',
    'visibility': 'visibility',
    'joint': 'joint',
}
