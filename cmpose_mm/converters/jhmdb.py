"""JHMDB and sub-JHMDB (Jhuang et al., ICCV 2013) to PoseTrack's form.

Read are the official release, unpacked, or the COCO files that MMPose offers for sub-JHMDB. Both
have MATLAB's 1-based pixels, and the sides of joints are the person's own. Frames stay where they
are.

n: frames of a clip.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.file_names import is_hidden, split_name
from cmpose_mm.posetrack.frames import list_images
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.posetrack.json_files import read_json
from cmpose_mm.posetrack.mat_files import read_mat_arrays
from cmpose_mm.posetrack.persons import person_boxes

from .clip_lists import film_of
from .distinct import link_frame, runs_of_same_frames
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
from .reading import check_size, folders, frame_numbers, number_array, read_frames

ACTIONS = (
    'brush_hair', 'catch', 'clap', 'climb_stairs', 'golf', 'jump', 'kick_ball', 'pick', 'pour',
    'pullup', 'push', 'run', 'shoot_ball', 'shoot_bow', 'shoot_gun', 'sit', 'stand',
    'swing_baseball', 'throw', 'walk', 'wave',
)  # fmt: skip
JOINTS = (
    'head_bottom',
    'belly',
    'nose',
    'right_shoulder',
    'left_shoulder',
    'right_hip',
    'left_hip',
    'right_elbow',
    'left_elbow',
    'right_knee',
    'left_knee',
    'right_wrist',
    'left_wrist',
    'right_ankle',
    'left_ankle',
)
"""JHMDB's 15 joints in their order, by PoseTrack's names: neck, belly (which PoseTrack does not
have), face (its center), and the limbs."""
SPLITS = (1, 2, 3)
_ROLES = {'1': 'train', '2': 'test'}
_TYPE_NAMES = {str: 'text', int: 'a whole number', list: 'a list'}
_SUB_JSON_NAMES = {'neck': 'head_bottom', 'head': 'nose', 'face': 'nose'}
_FRAMES, _JOINTS, _MASKS = 'Rename_Images', 'joint_positions', 'puppet_mask'
_HEAD_OF_PUPPET = 0.13 * 240  # head size, in pixels, of a puppet of scale 1
_FIRST_NUMBER = 900_000
_OTHER_FORM = 'clips have labels of another form and are left out'
_NO_FRAMES = 'clips have no usable frames and are left out'
_NOT_FINITE = 'clips have joints that are not finite, which are absent'


@dataclass
class JhmdbClip(Clip):
    """A clip with what its table says besides.

    Attributes:
        scale: mean scale of the puppet; NaN if it is not known, and head boxes are by the torso.
        roles: split -> 'train' or 'test'.
    """

    scale: float = np.nan
    roles: dict[int, str] = field(default_factory=dict)

    @property
    def film(self) -> str:
        """See `film_of`; the clip's own name where it does not tell."""
        try:
            return film_of(self.name, self.action)
        except AnnotationError:
            return self.name


def convert_jhmdb(
    root: str | Path, out: str | Path, *, sub: bool = False, distinct: bool = False
) -> Report:
    """Writes the labels of the three official splits in PoseTrack's form.

    ``out/split{1,2,3}`` each receive ``annotations/{train,test}/<sequence>.json`` and
    ``clips.csv``. What the labels hold:

    - JHMDB's joints under PoseTrack's names, see `JOINTS`, 0-based. A joint outside of the image
      is absent: JHMDB keeps it where a neutral puppet has it.
    - ``bbox``: the tight box of the puppet mask. Without a mask it is the extent of the joints
      times 1.3, which is counted.
    - ``bbox_head``: JHMDB has none. A square around the face whose PoseTrack head size is 0.13
      times 240 times the scale of the puppet, about an eighth of a standing person's height; by
      the torso where there is no (finite, positive) scale, see `torso_head_size`.

    Args:
        root: of the release: ``Rename_Images``, ``joint_positions``, ``puppet_mask`` and ``splits``
            (or ``sub_splits``) as its archives unpack; or of the frames with MMPose's
            ``Sub{k}_{train,test}.json`` beside them or in ``annotations``.
        out: new folder. File names in the labels start from `root`, which is to be the dataset's
            ``data_prefix``.
        sub: the clips of sub-JHMDB, which show the whole body, in their own splits.
        distinct: leave out frames that repeat the one before. Those that are kept get hard links
            in ``out/images``, and file names start from `out`.

    Returns:
        What was met: clips without frames, joints or split, split files that lack, counts that do
        not agree, and so on. It is also written to ``out/report.txt``.

    Raises:
        AnnotationError: if parts without which there is nothing to convert are missing, a
            ``Sub*.json`` is none of MMPose's, or `out` is not empty.
    """
    root, report = Path(root), Report()
    out = new_folder(out)
    is_release = (root / _JOINTS).is_dir()
    sub_files = _sub_files(root)
    if is_release:
        if sub_files:
            report.notes.append(
                f'{len(sub_files)} Sub*.json files are not read: the release is there'
            )
        clips = _read_release(root, sub, report)
    elif sub_files:
        clips = _read_sub_files(root, sub_files, report)
    else:
        raise AnnotationError(
            f'{root}: found neither the folder {_JOINTS} of the release nor Sub1_train.json and '
            "the like, expected JHMDB's archives unpacked there, or MMPose's files."
        )
    if distinct:
        bar = tqdm(clips, 'comparing frames', unit='clip', disable=None)
        distinct_clips = [_without_repeats(clip, root, out, report) for clip in bar]
        clips = [clip for clip in distinct_clips if clip is not None]
    if not clips:
        raise AnnotationError([f'{root}: no clip can be converted.', *report.lines()])
    for split in SPLITS:
        chosen = [clip for clip in clips if split in clip.roles]
        if chosen:
            _write_split(out / f'split{split}', split, chosen, report)
    report.notes.append(
        f"data_prefix=dict(img='{(out if distinct else root).resolve().as_posix()}') is where the "
        "labels' file names start from"
    )
    write_report(out, report)
    return report


def _write_split(folder: Path, split: int, clips: list[JhmdbClip], report: Report) -> None:
    films = {clip.film for clip in clips if clip.roles[split] == 'train'}
    rows = []
    for role in ('train', 'test'):
        chosen = [clip for clip in clips if clip.roles[split] == role]
        write_labels(folder, role, chosen)
        for clip in chosen:
            has_scale = not np.isnan(clip.scale)
            rows.append(
                {
                    'sequence': clip.sequence(role),
                    'split': role,
                    'action': clip.action,
                    'jhmdb_clip': clip.name,
                    'frames': len(clip.file_names),
                    # spelled as in the lists of clips that are in use
                    'labelled_frames': int(clip.is_labeled.sum()),
                    'full_body': int(clip.is_full_body),
                    'scale_exact': int(has_scale),
                    'mask_iou': '',
                    'puppet_scale': round(clip.scale, 3) if has_scale else '',
                    'source_in_train': int(clip.film in films) if role == 'test' else '',
                    'official_splits_1_2_3': ''.join(
                        {'train': '1', 'test': '2'}.get(clip.roles.get(k, ''), '0') for k in SPLITS
                    ),
                    'film': clip.film,
                }
            )
        frames = sum(len(clip.file_names) for clip in chosen)
        report.notes.append(f'{folder.name}: {len(chosen)} {role} clips, {frames} frames')
    write_table(folder / 'clips.csv', rows)


def _without_repeats(clip: JhmdbClip, root: Path, out: Path, report: Report) -> JhmdbClip | None:
    """The clip without repeats; of each run the first labeled frame stays, else the first."""
    paths = [root / name for name in clip.file_names]
    try:
        starts = runs_of_same_frames(paths)
    except OSError as error:
        report.add(_NO_FRAMES, f'{clip.name} ({error})')
        return None
    runs: dict[int, list[int]] = {}
    for index, start in enumerate(starts):
        runs.setdefault(start, []).append(index)
    is_labeled = clip.is_labeled
    kept = [max(run, key=is_labeled.__getitem__) for run in runs.values()]
    names = [f'images/{clip.action}/{clip.name}/{paths[index].name}' for index in kept]
    for index, name in zip(kept, names):
        link_frame(paths[index], out / name)
    if len(kept) < len(paths):
        report.add(
            'clips repeat frames, which are left out', f'{clip.name} ({len(paths) - len(kept)})'
        )
    return clip.subset(kept, names)


def _report_some_splits(
    roles: dict[tuple[str, str], dict[int, str]], splits: Iterable[int], report: Report
) -> None:
    for place, by_split in sorted(roles.items()):
        found = sorted(by_split)
        if found != sorted(splits):
            report.add(
                'clips are in some of the splits only',
                f'{"/".join(place)} ({", ".join(map(str, found))})',
            )


# ------------------------------------------------------------------------- the official release


def _read_release(root: Path, sub: bool, report: Report) -> list[JhmdbClip]:
    actions = folders(root / _JOINTS)
    places = [(action.name, folder.name) for action in actions for folder in folders(action)]
    known = set(places)
    roles = _read_splits(root, sub, () if sub else [action.name for action in actions], report)
    for place in sorted(roles.keys() - known):
        report.add('clips of the split files have no joints', '/'.join(place))
    for action in folders(root / _FRAMES):
        for folder in folders(action):
            if (action.name, folder.name) not in known:
                report.add('folders of frames have no joints', f'{action.name}/{folder.name}')
    clips = []
    for index, place in enumerate(tqdm(places, 'reading', unit='clip', disable=None)):
        if place not in roles:
            if not sub:
                report.add('clips with joints are in no split file', '/'.join(place))
            continue
        try:
            clip = _read_clip(root, *place, _FIRST_NUMBER + index + 1, report)
        except AnnotationError as error:
            report.add(_OTHER_FORM, f'{"/".join(place)} ({error})')
            continue
        if clip is not None:
            clip.roles = roles[place]
            clips.append(clip)
    return clips


def _read_splits(
    root: Path, sub: bool, actions: Iterable[str], report: Report
) -> dict[tuple[str, str], dict[int, str]]:
    """(action, clip) -> split -> role; `actions` are to have split files."""
    folder = root / ('sub_splits' if sub else 'splits')
    pattern = re.compile(r'(?P<action>.+)_test_split_?(?P<split>[123])\.txt')
    roles: dict[tuple[str, str], dict[int, str]] = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [(file, pattern.fullmatch(file.name)) for file in files if not is_hidden(file.name)]
    lacking = {(action, split) for action in actions for split in SPLITS}
    lacking |= {(match['action'], split) for _, match in matches if match for split in SPLITS}
    lacking -= {(match['action'], int(match['split'])) for _, match in matches if match}
    for action, split in sorted(lacking):
        report.add('split files are missing', f'{action}_test_split{"_" if sub else ""}{split}.txt')
    for file, match in matches:
        if match is None:
            continue
        action, split = match['action'], int(match['split'])
        for line in file.read_text('utf-8-sig', 'surrogateescape').splitlines():
            parts = line.rsplit(None, 1)
            if not parts:
                continue
            if len(parts) < 2 or parts[1] not in _ROLES:
                report.add(
                    'lines of split files are left out, expected CLIP.avi and 1 or 2',
                    f'{file.name}: {line}',
                )
                continue
            clip, mark = re.sub(r'\.avi$', '', parts[0].strip()), parts[1]
            role = roles.setdefault((action, clip), {}).setdefault(split, _ROLES[mark])
            if role != _ROLES[mark]:
                report.add(
                    'clips are in training and test of one split, where the first counts',
                    f'{file.name}: {clip}',
                )
    if not roles:
        raise AnnotationError(
            f'{folder}: found no split files, expected catch_test_split1.txt and the like.'
        )
    _report_some_splits(roles, SPLITS, report)
    return roles


def _read_clip(root: Path, action: str, name: str, number: int, report: Report) -> JhmdbClip | None:
    """A clip of the release; None, with the reason in the report, if its frames can't be used.

    Raises:
        AnnotationError: if its joints can't be used.
    """
    place = f'{action}/{name}'
    joints = _read_mat(root / _JOINTS / action / name)
    positions = number_array(joints, 'pos_img', (2, len(JOINTS), 'n'))
    num_labels = positions.shape[2]
    try:
        frames, size = read_frames(root / _FRAMES / action / name)
    except AnnotationError as error:
        report.add(_NO_FRAMES, f'{place} ({error})')
        return None
    if set(frames) != set(range(num_labels)):
        report.add(
            'clips have other frames than labels; frames without label stay as neighbors, labels '
            'without frame are left out',
            f'{place} ({len(frames)} frames, {num_labels} labels)',
        )
    order = list(frames)  # positions of the frames in the clip
    labeled = [index for index, position in enumerate(order) if 0 <= position < num_labels]
    taken = [order[index] for index in labeled]

    xy = np.full((len(order), len(JOINTS), 2), np.nan)
    xy[labeled] = positions.transpose(2, 1, 0)[taken] - 1
    is_lost = ~np.isfinite(xy).all(axis=-1)
    xy[is_lost] = np.nan
    if is_lost[labeled].any():
        report.add(_NOT_FINITE, f'{place} ({int(is_lost[labeled].sum())})')
    keypoints = _inside_keypoints(xy, size)
    scale = np.full(len(order), np.nan)
    try:
        scales = number_array(joints, 'scale', (num_labels,))
    except AnnotationError as error:
        report.add(
            'clips have no puppet scale for each frame; their head boxes are by the torso',
            f'{place} ({error})',
        )
    else:
        scale[labeled] = np.where(np.isfinite(scales) & (scales > 0), scales, np.nan)[taken]
        if np.isnan(scale[labeled]).any():
            report.add(
                'clips have frames whose puppet scale is not finite or not positive; their head '
                'boxes are by the torso',
                f'{place} ({int(np.isnan(scale[labeled]).sum())})',
            )
    boxes = np.full((len(order), 4), np.nan)
    boxes[labeled] = _mask_boxes(root, place, num_labels, size, report)[taken]
    boxes = _fill_boxes(boxes, keypoints, size, labeled, place, report)
    return _make_clip(
        JhmdbClip(
            number,
            [f'{_FRAMES}/{place}/{frames[position]}' for position in order],
            keypoints,
            boxes,
            np.full((len(order), 4), np.nan),
            *size,
            action,
            name,
        ),
        xy[:, JOINTS.index('nose')],
        scale,
        report,
    )


def _read_mat(folder: Path) -> dict[str, np.ndarray]:
    """The variables of the one .mat file of a folder.

    Raises:
        AnnotationError: if there is another number of files, or it is unreadable.
    """
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [file for file in files if file.suffix == '.mat' and not is_hidden(file.name)]
    if len(files) != 1:
        found = ', '.join(file.name for file in files) or 'nothing'
        raise AnnotationError(f'{found} in {folder.parts[-3]}, expected one .mat file')
    return read_mat_arrays(files[0])


def _inside_keypoints(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, 15, 3) in PoseTrack's order from (n, 15, 2) in JHMDB's, absent outside of the image."""
    inside = ((xy >= 0) & (xy <= np.array(size) - 1)).all(axis=-1)
    keypoints = np.zeros((len(xy), len(JOINT_NAMES), 3))
    for place, joint in enumerate(JOINTS):
        if joint in JOINT_NAMES:
            pose = np.where(inside[:, place, None], np.c_[xy[:, place], np.ones(len(xy))], 0)
            keypoints[:, JOINT_NAMES.index(joint)] = pose
    return keypoints


def _mask_boxes(
    root: Path, place: str, num_labels: int, size: tuple[int, int], report: Report
) -> np.ndarray:
    """(n, 4) tight boxes of the puppet masks, x, y, width, height; NaN without mask."""
    boxes = np.full((num_labels, 4), np.nan)
    try:
        content = _read_mat(root / _MASKS / place)
        masks = number_array(content, 'part_mask', (size[1], size[0], 'n'))
    except AnnotationError as error:
        report.add('clips have no masks; their boxes are by the joints', f'{place} ({error})')
        return boxes
    if masks.shape[2] != num_labels:
        report.add(
            'clips have another number of masks than of labels; those that fit count',
            f'{place} ({masks.shape[2]} masks, {num_labels} labels)',
        )
    for index in range(min(num_labels, masks.shape[2])):
        rows, columns = (np.flatnonzero((masks[..., index] > 0).any(axis=a)) for a in (1, 0))
        if len(rows):
            x, y = columns[0], rows[0]
            boxes[index] = x, y, columns[-1] - x + 1, rows[-1] - y + 1
    return boxes


def _fill_boxes(
    boxes: np.ndarray,
    keypoints: np.ndarray,
    size: tuple[int, int],
    labeled: list[int],
    place: str,
    report: Report,
) -> np.ndarray:
    """Boxes by the joints, cut to the image, where there is none."""
    absent = np.isnan(boxes).any(axis=1)
    corners = person_boxes(np.full(boxes.shape, np.nan), keypoints)
    corners = np.clip(corners, 0, np.tile(np.array(size), 2))
    by_joints = np.c_[corners[:, :2], corners[:, 2:] - corners[:, :2]]
    by_joints[(by_joints[:, 2:] <= 0).any(axis=1)] = np.nan
    count = int(absent[labeled].sum())
    if count:
        report.add(
            'clips have frames without a finite mask or box of any size; the box is by the joints',
            f'{place} ({count})',
        )
    filled = np.where(absent[:, None], by_joints, boxes)
    lost = [i for i in labeled if np.isnan(filled[i]).any() and not (keypoints[i] != 0).any()]
    if lost:
        report.add(
            'clips have frames with neither mask nor joint in the image, which are unlabeled',
            f'{place} ({len(lost)})',
        )
    return filled


def _make_clip(clip: JhmdbClip, faces: np.ndarray, scale: np.ndarray, report: Report) -> JhmdbClip:
    """Adds the head boxes, around (n, 2) faces that may be outside of the image."""
    if clip.film == clip.name:
        report.add(
            'clips have names that tell no film; each counts as a film of its own', clip.name
        )
    sizes = np.where(np.isnan(scale), torso_head_size(clip.keypoints), _HEAD_OF_PUPPET * scale)
    if not np.isnan(scale).all():
        clip.scale = float(np.nanmean(scale))
    clip.head_boxes = square_head_boxes(faces, sizes)
    lacking = clip.is_labeled & np.isnan(clip.head_boxes).any(axis=1)
    if lacking.any():
        report.add(
            'clips have labeled frames without a head box, for want of a face, or of both scale '
            'and torso',
            f'{clip.name} ({int(lacking.sum())})',
        )
    return clip


# ---------------------------------------------------------------------- MMPose's files of sub-JHMDB


def _sub_files(root: Path) -> dict[tuple[int, str], Path]:
    """(split, role) -> file."""
    return {
        (split, role): path
        for folder in (root / 'annotations', root)
        for split in SPLITS
        for role in _ROLES.values()
        for path in [folder / f'Sub{split}_{role}.json']
        if path.is_file()
    }


def _read_sub_files(
    root: Path, files: dict[tuple[int, str], Path], report: Report
) -> list[JhmdbClip]:
    for split in SPLITS:
        lacking = [role for role in _ROLES.values() if (split, role) not in files]
        if len(lacking) == 1:
            report.add('splits lack a file', f'Sub{split}_{lacking[0]}.json')
    clips: dict[tuple[str, str], JhmdbClip] = {}
    for (split, role), path in sorted(files.items()):
        for clip in _read_sub_file(root, path, report):
            known = clips.setdefault((clip.action, clip.name), clip)
            if not np.array_equal(known.keypoints, clip.keypoints):
                report.add('clips have other labels in another file', f'{path.name}: {clip.name}')
            if known.roles.setdefault(split, role) != role:
                report.add(
                    'clips are in training and test of one split, where the first counts',
                    f'{path.name}: {clip.name}',
                )
    roles = {key: clip.roles for key, clip in clips.items()}
    _report_some_splits(roles, {split for split, _ in files}, report)
    for index, key in enumerate(sorted(clips)):
        clips[key].number = _FIRST_NUMBER + index + 1
    return [clips[key] for key in sorted(clips)]


def _read_sub_file(root: Path, path: Path, report: Report) -> Iterator[JhmdbClip]:
    data = read_json(path)
    categories = _objects(path, data, 'categories', {'keypoints': list})
    images = _objects(path, data, 'images', {'file_name': str, 'id': int})
    annotations: dict[int, list[dict]] = {image['id']: [] for image in images}
    if len(annotations) < len(images):
        raise AnnotationError(
            f'{path}: {len(images)} "images" have {len(annotations)} different "id", expected one '
            'for each.'
        )
    names = [str(name) for category in categories[:1] for name in category['keypoints']]
    names = [_SUB_JSON_NAMES.get(name, name) for name in names]
    if sorted(names) != sorted(JOINTS):
        raise AnnotationError(
            f'{path}: the category has the keypoints {", ".join(names) or "(none)"}, expected the '
            '15 of JHMDB.'
        )
    order = [names.index(joint) for joint in JOINTS]
    for annotation in _objects(path, data, 'annotations', {'image_id': int}):
        if annotation['image_id'] in annotations:
            annotations[annotation['image_id']].append(annotation)
        else:
            report.add(
                'annotations are of images that the file does not have',
                f'{path.name}: {annotation["image_id"]}',
            )
    by_folder: dict[str, list[dict]] = {}
    for image in images:
        by_folder.setdefault(split_name(image['file_name'])[0], []).append(image)
    for folder, of_clip in by_folder.items():
        place = f'{path.name}: {folder}'
        try:
            clip = _sub_clip(root, folder, of_clip, annotations, order, place, report)
        except AnnotationError as error:
            report.add(_OTHER_FORM, f'{place} ({error})')
            continue
        if clip is not None:
            yield clip


def _objects(path: Path, data: object, name: str, fields: dict[str, type]) -> list[dict]:
    """A list of a JSON file whose entries are objects with fields of these types.

    Raises:
        AnnotationError: if it is not, with the first entry that differs.
    """
    entries = data.get(name) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise AnnotationError(
            f'{path}: "{name}" is {reprlib.repr(entries)}, expected "{name}" to be a list.'
        )
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise AnnotationError(
                f'{path}: "{name}"[{index}] is {reprlib.repr(entry)}, expected an object.'
            )
        for field_name, kind in fields.items():
            if not isinstance(entry.get(field_name), kind):
                raise AnnotationError(
                    f'{path}: "{name}"[{index}] has the "{field_name}" '
                    f'{reprlib.repr(entry.get(field_name))}, expected {_TYPE_NAMES[kind]}.'
                )
    return entries


def _sub_clip(
    root: Path,
    folder: str,
    images: list[dict],
    annotations: dict[int, list[dict]],
    order: list[int],
    place: str,
    report: Report,
) -> JhmdbClip | None:
    """A clip of MMPose's files; None, with the reason in the report, if it can't be named or seen.

    Raises:
        AnnotationError: if its labels can't be used.
    """
    parent, name = split_name(folder)
    action = split_name(parent)[1]
    if f'_{action}_' not in name:
        found = [a for a in ACTIONS if re.search(rf'_{a}_[a-z]_[a-z]+_np\d', name)]
        action = found[0] if len(found) == 1 else ''
    if not action:
        report.add('clips have names without one of the actions and are left out', place)
        return None
    numbers = frame_numbers([image['file_name'] for image in images])
    images = [image for _, image in sorted(zip(numbers, images), key=lambda pair: pair[0])]
    told = {str(image.get('nframes', len(images))) for image in images}
    if told != {str(len(images))}:
        report.add(
            'clips have another number of images than the file says',
            f'{place} ({len(images)} images, nframes {", ".join(sorted(told))})',
        )
    sizes = {
        tuple(number_array(image, side, ()).item() for side in ('width', 'height'))
        for image in images
    }
    if len(sizes) != 1 or not all(side > 0 and side.is_integer() for side in min(sizes)):
        raise AnnotationError(f'the images have the width, height {sizes}, expected one size')
    size = tuple(map(int, min(sizes)))
    names = {split_name(image['file_name'])[1] for image in images}
    on_disk = [image for image in list_images(str(root / folder)) if image in names]
    if len(on_disk) < len(names):
        report.add(
            'clips lack frames on disk; their labels are written all the same',
            f'{place} ({len(names) - len(on_disk)} of {len(images)})',
        )
    try:
        check_size(root / folder, on_disk, size)
    except AnnotationError as error:
        report.add(_NO_FRAMES, f'{place} ({error})')
        return None
    xy = np.full((len(images), len(JOINTS), 2), np.nan)
    boxes = np.full((len(images), 4), np.nan)
    labeled, num_lost = [], 0
    for index, image in enumerate(images):
        persons = annotations.get(image['id'], [])
        if len(persons) != 1:
            report.add(
                'images have another number of persons than one; the first counts',
                f'{place}, {split_name(image["file_name"])[1]} ({len(persons)})',
            )
        if not persons:
            continue
        labeled.append(index)
        file = split_name(image['file_name'])[1]
        pose = number_array(persons[0], 'keypoints', (3 * len(JOINTS),), file)
        pose = pose.reshape(-1, 3)[order]
        is_lost = ~np.isfinite(pose).all(axis=1, keepdims=True)
        num_lost += int(is_lost.sum())
        xy[index] = np.where((pose[:, 2:] > 0) & ~is_lost, pose[:, :2] - 1, np.nan)
        if persons[0].get('bbox') is not None:
            box = number_array(persons[0], 'bbox', (4,), file)
            if np.isfinite(box).all() and (box[2:] > 0).all():
                boxes[index] = box - [1, 1, 0, 0]
    if num_lost:
        report.add(_NOT_FINITE, f'{place} ({num_lost})')
    keypoints = _inside_keypoints(xy, size)
    boxes = _fill_boxes(boxes, keypoints, size, labeled, place, report)
    clip = JhmdbClip(
        0,
        [image['file_name'] for image in images],
        keypoints,
        boxes,
        np.full((len(images), 4), np.nan),
        *size,
        action,
        name,
    )
    faces = xy[:, JOINTS.index('nose')]
    return _make_clip(clip, faces, np.full(len(images), np.nan), report)
