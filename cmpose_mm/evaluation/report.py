"""Results as a plain dictionary for programs and as text for people."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from cmpose_mm.posetrack.joints import JOINT_GROUPS, JOINT_NAMES

from .average_precision import ApResult
from .mota import MotaResult
from .pck import PCK_COLUMNS, PckResult
from .visibility import VISIBILITY_CLASSES, VisibilityRecall

COLUMNS = (*JOINT_GROUPS, 'Total', 'mean7')


def ap_to_dict(result: ApResult) -> dict:
    """Average precision by joint and group, precision, recall and counts, without rounding."""
    return {
        'per_joint': _by_joint(result.ap),
        **result.summary(),
        'precision': _by_joint(result.precision),
        'recall': _by_joint(result.recall),
        'counts': {
            'videos': result.num_videos,
            'frames': result.num_frames,
            'persons': result.num_persons,
            'joints': int(result.num_gt.sum()),
        },
    }


def mota_to_dict(result: MotaResult) -> dict:
    """Tracking accuracy by joint and group, and the counts by joint, without rounding."""
    return {
        'per_joint': _by_joint(result.mota),
        **result.summary(),
        'counts': {
            'joints': _by_joint(result.num_gt),
            'misses': _by_joint(result.misses),
            'false_positives': _by_joint(result.false_positives),
            'switches': _by_joint(result.switches),
        },
    }


def visibility_to_dict(result: VisibilityRecall) -> dict:
    """Recall by visibility, of every column and joint, and the counts, without rounding."""
    return {
        'recall': result.summary(),
        'per_joint': dict(zip(VISIBILITY_CLASSES, map(_by_joint, result.recall()))),
        'joints': dict(zip(VISIBILITY_CLASSES, result.num_gt.sum(axis=1).tolist())),
        'persons': result.num_persons,
        'persons_with_track': result.num_tracked,
    }


def format_visibility(result: dict) -> str:
    """The table of recall by visibility and the counts, from `visibility_to_dict`."""
    rows = {f'Recall {name}': values for name, values in result['recall'].items()}
    joints = result['joints']
    return (
        f'{format_table(rows, [c for c in COLUMNS if c != "mean7"])}\n\n'
        f'Joints: {joints["visible"]} visible, {joints["occluded"]} occluded, of which '
        f'{joints["recoverable"]} recoverable and {joints["lost"]} lost. '
        f'{result["persons_with_track"]} of {result["persons"]} persons have a track id of their '
        'own'
    )


def pck_to_dict(result: PckResult) -> dict:
    """PCK by joint and column, counts, and hits of every video, without rounding."""
    per_joint = dict(zip(result.names(), map(_by_joint, result.per_joint())))
    return {
        'norm': result.norm,
        **{name: {'per_joint': per_joint[name], **row} for name, row in result.summary().items()},
        'counts': {
            'videos': len(result.videos),
            'persons': result.num_persons,
            'without_norm': result.num_without_norm,
            'without_prediction': result.num_without_prediction,
            'joints': int(result.num_joints.sum()),
        },
        'per_video': {
            video: {'joints': _by_joint(joints), **dict(zip(result.names(), map(_by_joint, hits)))}
            for video, joints, hits in zip(result.videos, result.num_joints, result.hits)
        },
    }


def format_pck(result: dict) -> str:
    """The table of PCK and the counts, from `pck_to_dict`."""
    rows = {name: row for name, row in result.items() if '@' in name}
    counts = result['counts']
    return (
        f'{format_table(rows, PCK_COLUMNS)}\n\n'
        f'Norm {result["norm"]}: {counts["joints"]} joints of '
        f'{counts["persons"] - counts["without_norm"]} persons in {counts["videos"]} videos; '
        f'{counts["without_prediction"]} of these persons have no prediction (all missed), '
        f'{counts["without_norm"]} others lack the norm (not counted)'
    )


def format_jitter(result: dict) -> str:
    """The sentence about acceleration, from the fields of `Jitter`."""
    stride = result.get('stride', 1)
    unit = 'frame^2' if stride == 1 else f'({stride} frames)^2'
    return (
        f'Acceleration error: {result["error"]:.4f} head sizes per {unit} (acceleration of the '
        f'predictions {result["predicted"]:.4f}, of the labels {result["labeled"]:.4f}; '
        f'{result["num_joints"]} joints, {result["num_left_out"]} others without all three frames)'
    )


def format_result(result: dict) -> str:
    """The tables of a result.

    Args:
        result: of `evaluate_files`.

    Returns:
        Markdown tables with one decimal, rows for LaTeX, the counts and the protocol.
    """
    rows = {'AP': result}
    columns = {'AP': 'per_joint', 'Precision': 'precision', 'Recall': 'recall'}
    joints = {joint: {c: result[key][joint] for c, key in columns.items()} for joint in JOINT_NAMES}
    if 'mota' in result:
        rows['MOTA'] = result['mota']
        for joint, values in joints.items():
            values['MOTA'] = result['mota']['per_joint'][joint]
    parts = [
        format_table(rows, COLUMNS),
        format_table(joints, list(joints[JOINT_NAMES[0]])),
        ' & '.join(COLUMNS) + ' \\\\\n' + ' & '.join(_cell(result[c]) for c in COLUMNS) + ' \\\\',
        'Scored: ' + ', '.join(f'{number} {name}' for name, number in result['counts'].items()),
        'Protocol: '
        + ', '.join(f'{k} = {v}' for k, v in result['protocol'].items() if k != 'frames_apart'),
    ]
    if result['protocol']['joints_without_score']:
        parts.append(
            f'{result["protocol"]["joints_without_score"]} predicted joints have no score: they '
            'rank last, with -9999, as in poseval'
        )
    headless = result['protocol'].get('persons_without_head_box')
    if headless:
        parts.append(f'{headless} labeled persons have no head box, without which there is no AP')
    flat = result['protocol'].get('persons_with_empty_head_box')
    if flat:
        parts.append(
            f'{flat} labeled persons have a head box without extent: all their joints count as '
            'missed, as in poseval'
        )
    apart = result['protocol'].get('frames_apart')
    if apart:
        parts.append(
            f'the numbers of frames, by their names or "frame_id", are at least {apart} apart, so '
            f'no frame has a neighbor; expected --stride {apart} if that is the usual distance'
        )
    if 'visibility' in result:
        parts.insert(2, format_visibility(result['visibility']))
    if 'jitter' in result:
        parts.insert(2, format_jitter(result['jitter']))
    for measured in reversed(result.get('pck', {}).values()):
        parts.insert(2, format_pck(measured))
    if 'per_video' in result:
        parts.insert(2, format_table(result['per_video'], COLUMNS))
    return '\n\n'.join(parts)


def format_table(rows: dict[str, dict[str, float]], columns) -> str:
    """An aligned Markdown table.

    Args:
        rows: values by column, by the name of the row.
        columns: names of the columns to show, in order.
    """
    cells = [[name, *(_cell(values[c]) for c in columns)] for name, values in rows.items()]
    table = tabulate(
        cells,
        ['', *columns],
        tablefmt='pipe',
        disable_numparse=True,
        colalign=['left'] + ['right'] * len(columns),
    )
    return table.replace('|:-', '|--')  # left is what Markdown does anyway


def mean_and_spread(values: list[float], signed: bool = False, digits: int = 1) -> str:
    """Mean ± sample standard deviation; a single value alone; a dash if a value is NaN."""
    if not values or any(value != value for value in values):
        return '-'
    mean = f'{statistics.mean(values):{"+" if signed else ""}.{digits}f}'
    return f'{mean} ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else mean


def markdown_table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """A Markdown table of anything that has a string form, as it is."""
    return tabulate(rows, header, tablefmt='github', disable_numparse=True)


def _by_joint(values: np.ndarray) -> dict:
    return dict(zip(JOINT_NAMES, values.tolist()))


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return '-' if np.isnan(value) else f'{value:.1f}'
