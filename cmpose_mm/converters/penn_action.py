"""Penn Action (Zhang et al., ICCV 2013) to PoseTrack's form.

n: frames of a clip.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.file_names import is_hidden
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.posetrack.mat_files import read_mat_arrays
from cmpose_mm.posetrack.persons import person_boxes

from .posetrack_form import (
    Clip,
    Report,
    new_folder,
    square_head_boxes,
    torso_head_size,
    write_labels,
    write_report,
    write_table,
)
from .reading import folders, number_array, read_frames

JOINTS = (
    'nose',
    'right_shoulder',
    'left_shoulder',
    'right_elbow',
    'left_elbow',
    'right_wrist',
    'left_wrist',
    'right_hip',
    'left_hip',
    'right_knee',
    'left_knee',
    'right_ankle',
    'left_ankle',
)
"""What Penn Action's 13 joints are, in their order. Its README calls the second one the *left*
shoulder and so on, but they are the sides that are left in a picture of a person seen from the
front: the person's right, also where the person is seen from behind. So all sides are swapped."""
_ROLES = {1: 'train', -1: 'test'}
_FIRST_NUMBER = 800_000


def convert_penn_action(root: str | Path, out: str | Path) -> Report:
    """Writes the labels of all clips in PoseTrack's form.

    ``out`` receives ``annotations/{train,test}/<sequence>.json`` and ``clips.csv``. What the labels
    hold:

    - the head as ``nose``, no neck, the joints of the limbs with their sides put right, see
      `JOINTS`. Hidden joints have v = 0 and coordinates; a joint outside of the image, or a hidden
      one in its first corner (x and y at most 1), is absent, and so is one that is not finite;
      both are counted. Coordinates are taken as 0-based
      (*chosen*; the tool they were made with counts so, and the README says nothing).
    - ``bbox``: the labeled box. Two clips lack the last row, which is then the row before; it is
      counted. Where else there is none that is finite and of any size it is the extent of the
      joints times 1.3.
    - ``bbox_head``: a square around the head by the torso, see `torso_head_size`.

    Args:
        root: of the release, with ``frames/0001/000001.jpg`` and ``labels/0001.mat``.
        out: new folder. File names in the labels start from `root`, which is to be the dataset's
            ``data_prefix``.

    Returns:
        What was met: clips without frames or labels, or with other numbers of them, boxes that
        lack, and so on. It is also written to ``out/report.txt``.

    Raises:
        AnnotationError: if there are no labels, none can be converted, or `out` is not empty.
    """
    root, report = Path(root), Report()
    folder = root / 'labels'
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [file for file in files if file.suffix == '.mat' and not is_hidden(file.name)]
    if not files:
        raise AnnotationError(f'{folder}: found no labels, expected 0001.mat and so on.')
    out = new_folder(out)
    clips: dict[str, list[Clip]] = {role: [] for role in _ROLES.values()}
    rows = []
    labeled = {file.stem for file in files}
    for frames in folders(root / 'frames'):
        if frames.name not in labeled:
            report.add('folders of frames have no labels', frames.name)
    same_number: dict[str, list[str]] = {}
    for file in files:
        same_number.setdefault(file.stem.lstrip('0'), []).append(file.name)
    for file in tqdm(files, 'reading', unit='clip', disable=None):
        alike = same_number[file.stem.lstrip('0')]
        if len(alike) > 1:
            report.add(
                'label files have a number that others have too, and are left out',
                f'{file.name} (of {", ".join(alike)})',
            )
            continue
        clip, role = _read_clip(root, file, report)
        if clip is not None:
            clips[role].append(clip)
            rows.append(
                {
                    'sequence': clip.sequence(role),
                    'split': role,
                    'action': clip.action,
                    'penn_clip': clip.name,
                    'frames': len(clip.file_names),
                    'labelled_frames': int(clip.is_labeled.sum()),
                    'full_body': int(clip.is_full_body),
                }
            )
    if not rows:
        raise AnnotationError([f'{root}: no clip can be converted.', *report.lines()])
    for role, chosen in clips.items():
        write_labels(out, role, chosen)
        frames = sum(len(clip.file_names) for clip in chosen)
        report.notes.append(f'{len(chosen)} {role} clips, {frames} frames')
    write_table(out / 'clips.csv', rows)
    report.notes.append(
        f"data_prefix=dict(img='{root.resolve().as_posix()}') is where the labels' file names "
        'start from'
    )
    write_report(out, report)
    return report


def _read_clip(root: Path, file: Path, report: Report) -> tuple[Clip | None, str]:
    """A clip and 'train' or 'test'; None, with the reason in the report, if it can't be had."""
    name = file.stem
    try:
        if not re.fullmatch('[0-9]{1,5}', name):
            raise AnnotationError('its name is no number, expected 0001.mat and the like')
        number = _FIRST_NUMBER + int(name)
        data = read_mat_arrays(file)
        shape = 'n', len(JOINTS)
        x, y, visible = (number_array(data, key, shape) for key in ('x', 'y', 'visibility'))
        if not len(x) == len(y) == len(visible):
            raise AnnotationError(
                f'{len(x)} rows of x, {len(y)} of y, {len(visible)} of visibility, expected as many'
            )
        train = number_array(data, 'train', (1,)).item()
        if train not in _ROLES:
            raise AnnotationError(f'train is {train:g}, expected 1 or -1')
        dimensions = number_array(data, 'dimensions', ('n',)).tolist()
        if len(dimensions) < 2 or not all(d > 0 and d.is_integer() for d in dimensions[:2]):
            raise AnnotationError(f'dimensions is {dimensions}, expected height and width')
        height, width = map(int, dimensions[:2])
        action = np.ravel(data.get('action', ())).tolist()
        if len(action) != 1 or not isinstance(action[0], str):
            raise AnnotationError('action is no text, expected the name of one')
    except AnnotationError as error:
        report.add('clips have labels of another form and are left out', f'{file.name} ({error})')
        return None, ''
    try:
        frames, _ = read_frames(root / 'frames' / name, (width, height))
    except AnnotationError as error:
        report.add('clips have no usable frames and are left out', f'{name} ({error})')
        return None, ''
    positions, images = list(frames), list(frames.values())
    if set(positions) != set(range(len(x))):
        report.add(
            'clips have other frames than labels; frames without label stay as neighbors, labels '
            'without frame are left out',
            f'{name} ({len(images)} frames, {len(x)} labels)',
        )
    labeled = [index for index, position in enumerate(positions) if 0 <= position < len(x)]
    taken = [positions[index] for index in labeled]

    xy = np.stack([x, y], axis=-1)
    is_finite = np.isfinite(xy).all(axis=-1) & np.isfinite(visible)
    inside = ((xy >= 0) & (xy <= [width - 1, height - 1])).all(axis=-1)
    is_corner = (visible == 0) & (xy <= 1).all(axis=-1)
    is_there = inside & ~is_corner & is_finite
    for is_lost, kind in (
        (is_finite & ~is_there, 'clips have joints outside of the image, which are absent'),
        (~is_finite, 'clips have joints that are not finite, which are absent'),
    ):
        if is_lost.any():
            report.add(kind, f'{name} ({int(is_lost.sum())})')
    pose = np.where(is_there[..., None], np.concatenate([xy, (visible > 0)[..., None]], axis=-1), 0)
    keypoints = np.zeros((len(images), len(JOINT_NAMES), 3))
    for place, joint in enumerate(JOINTS):
        keypoints[labeled, JOINT_NAMES.index(joint)] = pose[taken, place]
    boxes = np.full((len(images), 4), np.nan)
    boxes[labeled] = _boxes(data, len(x), name, report)[taken]
    absent = np.isnan(boxes).any(axis=1)
    if absent[labeled].any():
        report.add(
            'clips have frames without a finite box of any size; the box is by the joints',
            f'{name} ({int(absent[labeled].sum())})',
        )
        corners = person_boxes(np.full(boxes.shape, np.nan), keypoints)
        by_joints = np.c_[corners[:, :2], corners[:, 2:] - corners[:, :2]]
        boxes = np.where(absent[:, None], by_joints, boxes)
    head = keypoints[:, JOINT_NAMES.index('nose')]
    centers = np.where((head != 0).any(axis=1)[:, None], head[:, :2], _top(boxes))
    size = torso_head_size(keypoints)
    if np.isnan(size):
        report.add('clips have no torso, and so no head boxes', name)
    clip = Clip(
        number,
        [f'frames/{name}/{image}' for image in images],
        keypoints,
        boxes,
        square_head_boxes(centers, np.full(len(images), size)),
        width,
        height,
        action[0],
        name,
    )
    return clip, _ROLES[train]


def _boxes(data: dict[str, np.ndarray], count: int, name: str, report: Report) -> np.ndarray:
    """(n, 4) x, y, width, height; NaN where there is none."""
    boxes = np.full((count, 4), np.nan)
    try:
        corners = number_array(data, 'bbox', ('n', 4))
    except AnnotationError as error:
        report.add('clips have no boxes', f'{name} ({error})')
        return boxes
    if len(corners) == count - 1 and count > 1:
        report.add('clips lack the last box, which is the one before', name)
        corners = np.concatenate([corners, corners[-1:]])
    elif len(corners) != count:
        report.add(
            'clips have another number of boxes than of poses',
            f'{name} ({len(corners)} boxes, {count} poses)',
        )
        corners = corners[:count]
    given = np.c_[corners[:, :2], corners[:, 2:] - corners[:, :2]]
    given[~(np.isfinite(given).all(axis=1) & (given[:, 2:] > 0).all(axis=1))] = np.nan
    boxes[: len(given)] = given
    return boxes


def _top(boxes: np.ndarray) -> np.ndarray:
    """(n, 2) middle of the upper edges: about where a head is that is out of the image."""
    return np.c_[boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1]]
