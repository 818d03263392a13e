"""Which clips of JHMDB serve for what: those held out for choices, and those that test cleanly.

Clips of one film show the same people and rooms, so whatever is to be independent is told apart by
film.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.detections import LABEL_SUFFIXES
from cmpose_mm.posetrack.file_names import is_hidden

from .posetrack_form import read_table

HELD_OUT_SHARE = 5  # one film in so many

CLIP_LISTS = {
    'train_chosen': 'training clips of films that are not held out: to train when there is '
    'something to choose',
    'held_out': 'training clips of held-out films: to choose by',
    'clean': 'test clips of films without any training clip',
    'full_body': 'test clips that show the whole body',
    'clean_full_body': 'those that are both',
}
"""The lists that `write_clip_lists` writes, and what they are."""


def film_of(clip: str, action: str) -> str:
    """The film that a clip of JHMDB is from: its name before the last ``_<action>_``.

    Raises:
        AnnotationError: if the name has no such part.
    """
    film, part, _ = clip.rpartition(f'_{action}_')
    if not part or not film:
        raise AnnotationError(
            f'clip {clip!r} of action {action!r}: expected a name like FILM_{action}_....'
        )
    return film


def is_held_out(film: str) -> bool:
    """Whether a film is held out of training wherever something is to be chosen.

    Hyperparameters, methods and checkpoints are chosen on the training clips of these films, by
    models that never saw them, and not on test clips. It is so for all films whose SHA-1 of the
    name in UTF-8 (as its file has it), taken as one big-endian number, is divisible by 5.
    """
    return int.from_bytes(hashlib.sha1(os.fsencode(film)).digest(), 'big') % HELD_OUT_SHARE == 0


def write_clip_lists(root: str | Path, out: str | Path | None = None) -> dict[str, int]:
    """Writes the `CLIP_LISTS` as folders of labels, beside those of all clips.

    Args:
        root: folder of ``clips.csv`` and ``annotations/{train,test}``, as `convert_jhmdb` writes
            it.
        out: folder that receives ``annotations/<list>``; by default `root`.

    Returns:
        The number of clips of each list.

    Raises:
        AnnotationError: if the table lacks a column or a cell, names a clip without labels, or a
            folder of a list holds files that do not belong to it.
    """
    root = Path(root)
    table = root / 'clips.csv'
    rows = read_table(table, ('sequence', 'split', 'full_body', 'source_in_train'))
    lists: dict[str, list[Path]] = {name: [] for name in CLIP_LISTS}
    problems = []
    for row in rows:
        file = root / 'annotations' / row['split'] / f'{row["sequence"]}.json'
        if not file.is_file():
            problems.append(f'{table}: sequence {row["sequence"]} has no labels, expected {file}.')
        for name in _lists_of(row, table):
            lists[name].append(file)
    return _write_lists(lists, Path(out or root), problems)


def _write_lists(lists: dict[str, list[Path]], out: Path, problems: list[str]) -> dict[str, int]:
    """Copies the label files of each list, unless there are problems."""
    for name, files in lists.items():
        folder = out / 'annotations' / name
        there = {path.name for path in folder.glob('*') if not is_hidden(path.name)}
        strange = sorted(there - {file.name for file in files})
        if strange:
            problems.append(
                f'{folder}: holds {strange[0]} and {len(strange) - 1} other files that are not of '
                'this list, expected a new folder.'
            )
    if problems:
        raise AnnotationError(problems)
    for name, files in lists.items():
        folder = out / 'annotations' / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, folder / file.name)
    return {name: len(files) for name, files in lists.items()}


def write_held_out(root: str | Path, out: str | Path | None = None) -> dict[str, int]:
    """Writes ``train_chosen`` and ``held_out`` of a data set whose every video is a film.

    Args:
        root: folder of ``annotations/train``, with a label file for each video.
        out: folder that receives ``annotations/<list>``; by default `root`.

    Returns:
        The number of videos of each list.

    Raises:
        AnnotationError: if there are no label files, or a folder of a list holds files that do not
            belong to it.
    """
    files = sorted(Path(root, 'annotations', 'train').glob('*'))
    files = [f for f in files if f.suffix.lower() in LABEL_SUFFIXES and not is_hidden(f.name)]
    if not files:
        raise AnnotationError(
            f'{Path(root, "annotations", "train")}: has no label files (.json, .mat).'
        )
    lists: dict[str, list[Path]] = {'train_chosen': [], 'held_out': []}
    for file in files:
        lists['held_out' if is_held_out(file.stem) else 'train_chosen'].append(file)
    return _write_lists(lists, Path(out or root), [])


def films_of_clips(root: str | Path) -> dict[str, tuple[str, bool]]:
    """Of every sequence in ``clips.csv``: its film, and whether it shows the whole body.

    Args:
        root: folder of ``clips.csv``.

    Raises:
        AnnotationError: if there is no such table, it lacks a column, or a film cannot be told.
    """
    table = Path(root) / 'clips.csv'
    return {
        row['sequence']: (_film_of_row(row, table), row['full_body'] == '1')
        for row in read_table(table, ('sequence', 'full_body'))
    }


def _film_of_row(row: dict[str, str], table: Path) -> str:
    if row.get('film'):
        return row['film']
    if row.get('jhmdb_clip'):
        return film_of(row['jhmdb_clip'], row.get('action', ''))
    raise AnnotationError(
        f'{table}: sequence {row["sequence"]} has neither "film" nor "jhmdb_clip", by which clips '
        'of one film are known.'
    )


def _lists_of(row: dict[str, str], table: Path) -> list[str]:
    if row['split'] == 'train':
        film = _film_of_row(row, table)
        return ['held_out' if is_held_out(film) else 'train_chosen']
    if row['split'] != 'test':
        raise AnnotationError(
            f'{table}: split of sequence {row["sequence"]} is {row["split"]!r}, expected train or '
            'test.'
        )
    for name in ('source_in_train', 'full_body'):
        if row[name] not in ('0', '1'):
            raise AnnotationError(
                f'{table}: {name} of sequence {row["sequence"]} is {row[name]!r}, expected 0 or 1.'
            )
    is_clean, is_full = row['source_in_train'] == '0', row['full_body'] == '1'
    found = {'clean': is_clean, 'full_body': is_full, 'clean_full_body': is_clean and is_full}
    return [name for name, holds in found.items() if holds]
