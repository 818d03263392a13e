"""The CSV of poses that `cmpose infer` writes, edited or not."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError

from .pose_video import MAX_COORDINATE, MAX_FRAMES, PoseVideo, read_pose_video

_PERSON = ('frame', 'time', 'track_id', 'score', 'x1', 'y1', 'x2', 'y2')
_PARTS = ('x', 'y', 'score')
_NO_PIXELS = ('frame', 'time', 'track_id', 'score')


def read_poses(path: str | Path) -> PoseVideo:
    """`read_pose_csv` of a file that ends with ``.csv``, `read_pose_video` of another."""
    is_table = str(path).lower().endswith('.csv')
    return read_pose_csv(path) if is_table else read_pose_video(path)


def table_rows(
    path: str | Path, file: Iterable[str], skip_spaces: bool = False
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The names of a table's columns, and its rows, each with the number of its last line.

    Args:
        path: for messages.
        file: its text, opened with ``newline=''``.
        skip_spaces: spaces after a comma do not belong to the cell.

    Raises:
        AnnotationError: if a row can't be read, as after a quote that is never closed.
    """
    # strict: else such a quote takes the rest of the file into its cell
    reader = csv.DictReader(file, skipinitialspace=skip_spaces, strict=True)
    rows, last_line = [], 0
    try:
        columns = list(reader.fieldnames or [])
        last_line = reader.line_num
        for row in reader:
            last_line = reader.reader.line_num  # reader.line_num leaves blank lines out
            rows.append((last_line, row))
    except csv.Error as error:
        raise AnnotationError(
            f'{path}: line {last_line + 1}: the row that starts there is no row of a table '
            f'({error}), expected cells between commas, and every quote closed.'
        ) from error
    return columns, rows


def check_table(
    path: str | Path,
    columns: list[str],
    rows: list[tuple[int, dict[str, str]]],
    used: Iterable[str],
) -> None:
    """Checks that the columns that are used are there at most once, and every row has all cells.

    Args:
        path: for messages.
        columns, rows: as `table_rows` gives them.
        used: names of columns.

    Raises:
        AnnotationError: if not.
    """
    repeated = [name for name in dict.fromkeys(used) if columns.count(name) > 1]
    if repeated:
        raise AnnotationError(
            f'{path}: has the column {repeated[0]} {columns.count(repeated[0])} times, expected it '
            'once.'
        )
    for line, row in rows:
        if None in row.values() or any(row.get(None, ())):
            count = len([cell for cell in row.values() if cell is not None])
            raise AnnotationError(
                f'{path}: line {line} has '
                f'{"more" if None in row else count} cells, expected {len(columns)}.'
            )


def read_pose_csv(path: str | Path) -> PoseVideo:
    """Reads a table with one row a person and frame.

    Needed are the columns ``frame`` (from 0) and, for each joint, ``<joint>_x`` and ``<joint>_y``;
    a joint whose cells are empty is absent, and a row without a joint, track id and box says only
    that there is such a frame. Frames without a row are not of the poses. The columns ``time``,
    ``track_id``, ``score``, ``x1`` to ``y2`` and ``<joint>_score`` may be left out or empty. Other
    columns are ignored, but for those that end in ``_x`` or ``_y``: they need each other. Columns
    that are read are there once.

    Warns of boxes with some of their four corners, which are left out.

    Raises:
        AnnotationError: one sentence about what is missing or wrong, with the line.
    """
    path = Path(path)
    try:
        with path.open(encoding='utf-8-sig', newline='') as file:
            columns, rows = table_rows(path, file)
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f'{path}: expected a table in UTF-8 ({error}).') from error
    joints = [name[:-2] for name in columns if name.endswith('_x') and f'{name[:-2]}_y' in columns]
    places = [*_PERSON, *(f'{joint}_{part}' for joint in joints for part in _PARTS)]
    if len(columns) == 1 and ';' in columns[0]:
        raise AnnotationError(
            f'{path}: the columns are separated by semicolons, expected commas, and points in '
            'numbers.'
        )
    if 'frame' not in columns or not joints:
        raise AnnotationError(
            f'{path}: found the columns {", ".join(columns) or "of an empty file"}; expected '
            'frame, and <joint>_x and <joint>_y of each joint.'
        )
    for joint in sorted({name[:-2] for name in columns if name.endswith(('_x', '_y'))}):
        if joint not in joints:
            found, lacking = (f'{joint}_{xy}' for xy in ('xy' if f'{joint}_x' in columns else 'yx'))
            raise AnnotationError(f'{path}: has the column {found}, but no {lacking}.')
    check_table(path, columns, rows, places)

    def number(line: int, row: dict, column: str) -> float:
        cell = row.get(column)
        try:
            return float(cell) if cell not in (None, '') else float('nan')
        except ValueError as error:
            raise AnnotationError(
                f'{path}: line {line}: {column} is {cell!r}, expected a number.'
            ) from error

    numbers = [[number(line, row, column) for column in places] for line, row in rows]
    table = np.array(numbers, np.float64).reshape(len(rows), len(places))
    is_known = np.isfinite(table)
    pixels = np.array([name not in _NO_PIXELS and not name.endswith('_score') for name in places])
    x_places = range(len(_PERSON), len(places), len(_PARTS))
    for (line, _), values, known in zip(rows, table, is_known):
        frame, track_id = values[0], values[2]
        if not 0 <= frame < MAX_FRAMES or frame != int(frame):
            raise AnnotationError(
                f'{path}: line {line}: frame is {frame:g}, expected a whole number from 0, below '
                f'{MAX_FRAMES:,}.'
            )
        bad = np.flatnonzero(np.isinf(values) | (pixels & (np.abs(values) >= MAX_COORDINATE)))
        if len(bad):
            raise AnnotationError(
                f'{path}: line {line}: {places[bad[0]]} is {values[bad[0]]:g}, expected '
                + (f'pixels below {MAX_COORDINATE:,.0f}.' if pixels[bad[0]] else 'a finite number.')
            )
        if known[2] and (track_id != int(track_id) or abs(track_id) >= 2**53):
            raise AnnotationError(
                f'{path}: line {line}: track_id is {track_id:g}, expected a whole number.'
            )
        half = [place for place in x_places if known[place] != known[place + 1]]
        if half:
            place = half[0] if known[half[0]] else half[0] + 1
            other = places[2 * half[0] + 1 - place]
            raise AnnotationError(
                f'{path}: line {line}: has {places[place]}, but no {other}; expected both or none.'
            )
        if known[4:8].all() and (values[6:8] <= values[4:6]).any():
            raise AnnotationError(
                f'{path}: line {line}: the box from {values[4]:g}, {values[5]:g} to '
                f'{values[6]:g}, {values[7]:g} has no area, expected x1, y1 before x2, y2.'
            )
    parts = is_known[:, 4:8].sum(axis=1)
    cut = np.flatnonzero((parts > 0) & (parts < 4))
    if len(cut):
        warnings.warn(
            f'{path}: {len(cut)} boxes are left out (first: line {rows[cut[0]][0]}), of which not '
            'all of x1, y1, x2, y2 are given.',
            stacklevel=2,
        )
        table[cut, 4:8] = np.nan
    listed, frames = np.unique(table[:, 0].astype(np.int64), return_inverse=True)
    times = np.full(len(listed), np.nan)
    times[frames[is_known[:, 1]]] = table[is_known[:, 1], 1]
    other = np.flatnonzero(is_known[:, 1] & (times[frames] != table[:, 1]))
    if len(other):
        place = other[0]
        raise AnnotationError(
            f'{path}: line {rows[place][0]}: frame {table[place, 0]:g} has the time '
            f'{table[place, 1]:g} s, in another line {times[frames[place]]:g} s; expected the same.'
        )
    points = table[:, len(_PERSON) :].reshape(len(rows), len(joints), 3)
    points[np.isnan(points[..., :2]).any(axis=-1)] = np.nan
    is_person = is_known[:, 2] | is_known[:, 4:8].all(axis=1)
    persons = np.flatnonzero(is_person | ~np.isnan(points[..., 0]).all(axis=1))
    persons = persons[np.argsort(frames[persons], kind='stable')]
    track_ids = np.nan_to_num(table[persons, 2], nan=-1).astype(np.int64)
    boxes = table[persons, 4:8]
    boxes[:, 2:] -= boxes[:, :2]
    return PoseVideo(
        name=path.stem,
        joints=joints,
        image_ids=listed,
        file_names=[''] * len(listed),
        times=times,
        frames=frames[persons],
        track_ids=np.maximum(track_ids, -1),
        keypoints=points[persons, :, :2],
        keypoint_scores=points[persons, :, 2],
        boxes=boxes,
        scores=table[persons, 3],
        numbers=listed,
    )
