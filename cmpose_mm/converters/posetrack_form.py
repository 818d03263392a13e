"""What all converters write: one PoseTrack18 file a clip, a table of the clips, and a report.

n: frames of a clip, 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17
from cmpose_mm.posetrack.json_files import json_bytes
from cmpose_mm.posetrack.predictions import PERSON_CATEGORY

HEAD_OF_TORSO = 0.35
"""Head size over the length of the torso, for data without head boxes."""
LIMB_JOINTS = tuple(name for name in JOINT_NAMES if name.startswith(('left_', 'right_')))
_PLACES_17 = [JOINT_NAMES_17.index(name) for name in JOINT_NAMES]
_MAX_FRAMES = 10_000  # what the ids have digits for
_SHOWN = 3


@dataclass
class Clip:
    """A clip with one labeled person, in memory.

    Attributes:
        number: of the sequence, below 10 million; tells clips apart.
        file_names: n paths of the frames as the labels shall name them.
        keypoints: (n, 15, 3) x, y in pixels of the image (0-based) and v; an absent joint is
            (0, 0, 0).
        boxes: (n, 4) x, y, width, height; NaN without one.
        head_boxes: (n, 4) likewise.
        width, height: of the images in pixels.
        action: what is done in it.
        name: of the clip in the data set that it comes from.
    """

    number: int
    file_names: list[str]
    keypoints: np.ndarray
    boxes: np.ndarray
    head_boxes: np.ndarray
    width: int
    height: int
    action: str
    name: str

    def sequence(self, split: str) -> str:
        """Its name in PoseTrack18's form, such as ``900001_mpii_train``."""
        return f'{self.number:06d}_mpii_{split}'

    @property
    def is_labeled(self) -> np.ndarray:
        """(n,) bool, frames in which the person has a joint or a box."""
        return (self.keypoints != 0).any(axis=(1, 2)) | ~np.isnan(self.boxes).any(axis=1)

    @property
    def is_full_body(self) -> bool:
        """Whether all twelve joints of the limbs are labeled in 90 % of the frames or more."""
        limbs = self.keypoints[:, [JOINT_NAMES.index(name) for name in LIMB_JOINTS]]
        return bool((limbs != 0).any(axis=2).all(axis=1).mean() >= 0.9)

    def subset(self, frames: list[int], file_names: list[str]) -> Clip:
        """The clip of some of its frames, under other names."""
        return replace(
            self,
            file_names=file_names,
            keypoints=self.keypoints[frames],
            boxes=self.boxes[frames],
            head_boxes=self.head_boxes[frames],
        )

    def content(self) -> dict:
        """The content of its PoseTrack18 file."""
        vid_id = f'{self.number:06d}'
        if len(self.file_names) > _MAX_FRAMES:
            raise AnnotationError(
                f'{self.name}: {len(self.file_names)} frames, expected {_MAX_FRAMES} at most.'
            )
        keypoints = np.zeros((len(self.file_names), len(JOINT_NAMES_17), 3))
        keypoints[:, _PLACES_17] = np.round(self.keypoints, 3)
        images, annotations = [], []
        for index, (file_name, is_labeled) in enumerate(
            zip(self.file_names, self.is_labeled.tolist())
        ):
            image_id = int(f'1{vid_id}{index:04d}')
            images.append(
                {
                    'has_no_densepose': True,
                    'is_labeled': is_labeled,
                    'file_name': file_name,
                    'nframes': len(self.file_names),
                    'frame_id': image_id,
                    'vid_id': vid_id,
                    'id': image_id,
                    'width': self.width,
                    'height': self.height,
                }
            )
            if not is_labeled:
                continue
            annotation = {
                'id': 100 * image_id,
                'image_id': image_id,
                'category_id': PERSON_CATEGORY['id'],
                'track_id': 0,
                'keypoints': keypoints[index].ravel().tolist(),
                'scores': [],
            }
            for field, box in (('bbox', self.boxes), ('bbox_head', self.head_boxes)):
                if not np.isnan(box[index]).any():
                    annotation[field] = np.round(box[index], 3).tolist()
            annotations.append(annotation)
        return {'images': images, 'annotations': annotations, 'categories': [PERSON_CATEGORY]}


def square_head_boxes(centers: np.ndarray, head_sizes: np.ndarray) -> np.ndarray:
    """Squares whose PoseTrack head size (0.6 times the diagonal) is the given one.

    Args:
        centers: (n, 2) pixels.
        head_sizes: (n,) pixels.

    Returns:
        (n, 4) x, y, width, height; NaN where center or size is.
    """
    sides = np.broadcast_to(head_sizes, len(centers)) / (0.6 * math.sqrt(2))
    corners = centers - sides[:, None] / 2
    return np.where(
        np.isnan(corners).any(axis=1, keepdims=True),
        np.nan,
        np.column_stack([corners, sides, sides]),
    )


def torso_head_size(keypoints: np.ndarray) -> float:
    """A head size for a clip without head boxes: 0.35 of the median length of the torso.

    The median over the clip, because the torso of a person who bends is short in the image and the
    head is not. (On JHMDB, whose puppets have a scale, the head size by scale is 0.36 of the torso
    in the median.)

    Args:
        keypoints: (n, 15, 3).

    Returns:
        Pixels; NaN if no frame has left shoulder and right hip.
    """
    ends = keypoints[:, [JOINT_NAMES.index(name) for name in ('left_shoulder', 'right_hip')]]
    ends = ends[(ends != 0).any(axis=2).all(axis=1), :, :2]
    if not len(ends):
        return math.nan
    return HEAD_OF_TORSO * float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)))


class Report:
    """What a conversion met: sentences by kind, each with the clips that it is about."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._cases: dict[str, list[str]] = {}

    def add(self, kind: str, case: str) -> None:
        """Counts a case, such as the name of a clip, of a kind of problem."""
        self._cases.setdefault(kind, []).append(case)

    def count(self, kind: str) -> int:
        """How many cases of a kind there were."""
        return len(self._cases.get(kind, ()))

    def lines(self, shown: int | None = _SHOWN) -> list[str]:
        """The notes, then a line for each kind with its number and some cases (None: all)."""
        found = []
        for kind, cases in self._cases.items():
            named = ', '.join(cases[:shown])
            more = f' and {len(cases) - shown} more' if shown and len(cases) > shown else ''
            found.append(f'{len(cases)} {kind}: {named}{more}')
        return self.notes + found


def new_folder(path: str | Path) -> Path:
    """Makes a folder for labels.

    Raises:
        AnnotationError: if it holds anything.
    """
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        raise AnnotationError(f'{path}: is not empty, expected a new or an empty folder.')
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_labels(folder: Path, split: str, clips: Iterable[Clip]) -> None:
    """Writes ``folder/annotations/<split>/<sequence>.json`` for every clip."""
    target = folder / 'annotations' / split
    target.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        (target / f'{clip.sequence(split)}.json').write_bytes(json_bytes(clip.content()))


def write_report(folder: Path, report: Report) -> None:
    """Writes all lines of a report, with all cases, as ``folder/report.txt``."""
    text = '\n'.join(report.lines(None)) + '\n'
    (folder / 'report.txt').write_text(text, 'utf-8', 'backslashreplace')


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    """Writes rows, at least one, as a CSV file, an empty cell where a row lacks a field."""
    fields = {name: None for row in rows for name in row}
    with open(path, 'w', newline='', encoding='utf-8', errors='backslashreplace') as file:
        writer = csv.DictWriter(file, list(fields))
        writer.writeheader()
        writer.writerows(rows)


def config_options(labels: str | Path, frames: str | Path) -> str:
    """What ``--cfg-options`` needs to run a config of clips on a converted set.

    Args:
        labels: folder with ``annotations/{train,test}``.
        frames: folder that the labels' file names start from.
    """
    labels, frames = (Path(path).resolve().as_posix() for path in (labels, frames))
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    options = [
        f'{loader}.dataset.{key}={value}'
        for loader in loaders
        for key, value in (('data_root', f'{labels}/'), ('data_prefix.img', frames))
    ]
    return shlex.join(options)


def mim_can_not_read(*paths: str | Path) -> str | None:
    """A sentence about a folder that ``--cfg-options`` of ``mim`` can not name, or None."""
    for path in (Path(path).resolve().as_posix() for path in paths):
        if ' ' in path or ',' in path:
            return (
                f'{path}: mim drops spaces after --cfg-options and splits at commas; link to the '
                'folder from a path without them, or write the fields into a config'
            )
    return None


def read_table(path: Path, fields: Iterable[str] = ()) -> list[dict[str, str]]:
    """Rows of a CSV file.

    Raises:
        AnnotationError: if there is no such file, it is not in UTF-8, has no row, or lacks one of
            the fields, in all rows or in one.
    """
    if not path.is_file():
        raise AnnotationError(f'{path}: not found; expected the table of the clips.')
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except UnicodeDecodeError as error:
        raise AnnotationError(f'{path}: expected a table in UTF-8 ({error}).') from error
    lacking = [name for name in fields if name not in (reader.fieldnames or ())]
    if lacking:
        raise AnnotationError(
            f'{path}: has no column {lacking[0]!r}, found {", ".join(reader.fieldnames or ())}.'
        )
    if not rows:
        raise AnnotationError(f'{path}: has no rows, expected one for each clip.')
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            cells = sum(cell is not None for key, cell in row.items() if key is not None)
            cells += len(row.get(None, ()))
            raise AnnotationError(
                f'{path}: row {number} after the header has {cells} cells, expected '
                f'{len(reader.fieldnames)}.'
            )
    return rows
