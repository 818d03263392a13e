"""What a PoseTrack folder holds, and whether training can start from it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .annotations import AnnotationError, Frame, Video, frames_by_id, read_videos
from .detections import read_detections
from .file_names import is_hidden
from .frames import FrameTable, image_size, is_truncated, shared_folders
from .persons import detected_persons, key_frames, labeled_persons, repeated_ids

SPLITS = ('train', 'val', 'test')
LABEL_PATTERNS = {
    'official': (
        'annotations/{split}',
        'posetrack_data/{split}',
        'posetrack_data/annotations/{split}',
    ),
    'MMPose': ('annotations/*posetrack*_{split}.json',),
    'DCPose': (
        'posetrack*_json_files/posetrack_{split}.json',
        'posetrack*_annotation_dirs/{split}',
        'posetrack*_annotation_dirs/jsons/{split}',
    ),
}
DETECTION_PATTERNS = (
    'annotations/*detections*.json',
    'posetrack*_precomputed_boxes/{split}_boxes.json',
)
IMAGE_ROOTS = ('', 'images', 'images_renamed')
RELEASE_BY_VAL_VIDEOS = {74: '0.2', 170: '0.45'}
"""PoseTrack18's label releases differ in the number of validation videos."""


@dataclass
class LabelReport:
    """What was found in one label folder or file.

    Attributes:
        layout: 'official', 'MMPose' or 'DCPose'.
        split: 'train', 'val' or 'test'.
        path: of the labels, relative to the data root.
        dataset: 'posetrack17', 'posetrack18' or 'posetrack21'; empty if unreadable.
        image_root: folder that the labels' file names start from, relative to the data root.
        videos, frames, labeled_frames, persons, usable_persons: counts.
        pseudo_persons: of the persons, those whose pose nobody labeled, see `Frame.pseudo`.
        pseudo_frames: of the labeled frames, those in which all persons are such.
        missing_frames: labeled or not, named by the labels but not on disk.
        release: of PoseTrack18's validation labels; empty if it can't be told.
        detections: for each detection file, what of it belongs to these labels.
        errors: what keeps training from starting, a sentence each.
        dropped: persons (or detections) that are left out, a sentence each.
        notes: what is worth knowing, and keeps nothing from starting.
    """

    layout: str
    split: str
    path: str
    dataset: str = ''
    image_root: str = ''
    videos: int = 0
    frames: int = 0
    labeled_frames: int = 0
    persons: int = 0
    usable_persons: int = 0
    pseudo_persons: int = 0
    pseudo_frames: int = 0
    missing_frames: int = 0
    release: str = ''
    detections: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f'{self.path}: {self.dataset or "unreadable"}, {self.split}, {self.layout} layout',
            f'  videos {self.videos}, frames {self.frames} ({self.labeled_frames} labeled), '
            f'persons {self.persons} ({self.usable_persons} usable), '
            f'missing images {self.missing_frames}',
        ]
        if self.pseudo_persons:
            lines.append(
                f'  pseudo-labels: {self.pseudo_persons} of the persons, {self.pseudo_frames} of '
                'the labeled frames have no others'
            )
        if self.release:
            lines.append(f'  label release {self.release} (by the number of videos)')
        lines += [f'  detections {path}: {text}' for path, text in self.detections.items()]
        lines += [f'  error: {text}' for text in self.errors]
        lines += [f'  dropped: {text}' for text in self.dropped]
        lines += [f'  note: {text}' for text in self.notes]
        if not self.errors:
            lines.append(
                f"  config: dataset_name='{self.dataset}', ann_file='{self.path}', "
                f"data_prefix=dict(img='{self.image_root}')"
            )
            fitting = [p for p, text in self.detections.items() if not text.startswith('0 boxes')]
            lines += [f"  config of tests on detected boxes: bbox_file='{p}'" for p in fitting]
        return '\n'.join(lines)


def check_root(
    root: str, image_root: str | None = None, read_images: bool = False
) -> list[LabelReport]:
    """Finds all labels under a data root and checks them as the dataset would, and further.

    Args:
        root: folder in MMPose's, the official, or DCPose's layout.
        image_root: folder that the labels' file names start from, relative to ``root`` or absolute;
            by default it is searched for.
        read_images: also read every image of the videos' folders, to find truncated ones.

    Returns:
        One report for each label folder or file, training first.
    """
    sources = [
        (layout, split, path)
        for split in SPLITS
        for layout, patterns in LABEL_PATTERNS.items()
        for pattern in patterns
        for path in sorted(Path(root).glob(pattern.format(split=split)))
        if not is_hidden(path.name)
    ]
    reports = []
    for layout, split, path in tqdm(sources, desc='labels', unit='source', disable=None):
        report = LabelReport(layout, split, path.relative_to(root).as_posix())
        _check_labels(report, Path(root), image_root, read_images)
        reports.append(report)
    return reports


def other_label_folders(root: str, reports: list[LabelReport]) -> list[str]:
    """Folders with label files that `check_root` does not look into, relative to the data root."""
    places = [*Path(root).glob('annotations/*'), *Path(root).glob('posetrack_data/*')]
    places += [] if reports else [Path(root)]
    known = {report.path for report in reports}
    return [
        name
        for name, place in sorted((p.relative_to(root).as_posix(), p) for p in places if p.is_dir())
        if name not in known and not is_hidden(place.name) and _holds_labels(place)
    ]


def _holds_labels(folder: Path) -> bool:
    """Whether there is a label file, by the names alone."""
    names = (file.name for file in folder.iterdir())
    return any(name.lower().endswith(('.json', '.mat')) and not is_hidden(name) for name in names)


def missing_splits(reports: list[LabelReport]) -> list[str]:
    """The splits among train and val for which no labels can be used; empty: training can start.

    A test split with labels serves as val.
    """
    usable = {report.split for report in reports if not report.errors}
    if any(r.split == 'test' and r.usable_persons for r in reports if not r.errors):
        usable.add('val')  # as in JHMDB
    return [split for split in ('train', 'val') if split not in usable]


def _check_labels(
    report: LabelReport, root: Path, image_root: str | None, read_images: bool
) -> None:
    """Fills the report of one label folder or file."""
    path = root / report.path
    try:
        videos = read_videos(path, problems=report.dropped, allow_unlabeled=report.split == 'test')
        frames_by_id(videos)
    except AnnotationError as error:
        report.errors += error.problems
        return
    frames = [(video, frame) for video in videos for frame in video.frames]
    labeled = key_frames(videos)
    report.dataset = _dataset_name(path, videos)
    report.videos, report.frames, report.labeled_frames = len(videos), len(frames), len(labeled)
    report.persons = len(report.dropped) + sum(len(frame.keypoints) for _, frame in frames)
    unmarked = sum(len(frame.keypoints) for _, frame in frames if not frame.is_labeled)
    if unmarked:
        report.dropped.append(f'{unmarked} persons of frames that are not marked as labeled')
    report.pseudo_persons = sum(video.num_pseudo for video in videos)
    report.pseudo_frames = sum(0 < f.num_pseudo == len(f.keypoints) for _, f in labeled)
    if report.pseudo_persons and report.split != 'train':
        report.errors.append(
            f'{path}: {report.pseudo_persons} persons are pseudo-labels, expected labels by people '
            'to test on'
        )
    if (report.dataset, report.split) == ('posetrack18', 'val'):
        report.release = RELEASE_BY_VAL_VIDEOS.get(len(videos), '')

    report.image_root = _find_image_root(root, frames) if image_root is None else image_root
    table = FrameTable(str(root / report.image_root))
    on_disk = _check_frames(report, frames, table)
    report.notes += shared_folders(videos, table)
    _check_sizes(report, on_disk, table)
    if read_images:
        _check_images(report, table, videos)
    try:
        persons = list(labeled_persons([vf for vf in on_disk if vf[1].is_labeled], table))
    except OSError as error:  # the image whose header tells the size
        report.errors.append(str(error))
        return
    report.dropped += [f'{person}: {person.problem}' for person in persons if person.problem]
    repeated = repeated_ids(labeled)
    if repeated:
        report.notes.append(
            f'{len(repeated)} persons have an annotation id that was there before (first: '
            f'{repeated[0]}); the samples are numbered instead'
        )
    report.usable_persons = sum(person.problem is None for person in persons)
    if not report.usable_persons and report.split != 'test':
        report.errors.append(f'{path}: no labeled frame has a person that can be used')
    if report.split != 'train':
        headless = sum(int(np.isnan(f.head_boxes).any(axis=1).sum()) for _, f in labeled)
        if headless:
            report.notes.append(
                f'{headless} persons have no head box: AP needs one of each, PoseTrackPCK does not'
            )
    _check_detections(report, root, videos, table)


def _dataset_name(path: Path, videos: list[Video]) -> str:
    """Which PoseTrack the labels are of: by their format, then their fields, then their path."""
    if not videos[0].has_image_ids:
        return 'posetrack17'
    with open(videos[0].source, 'rb') as file:
        content = file.read(2**20)
    start = content.decode(json.detect_encoding(content), errors='ignore')  # may end in a character
    if '"person_id"' in start or '"has_labeled_person"' in start:
        return 'posetrack21'
    years = re.findall(r'posetrack(?:20)?(17|18|21)', path.as_posix().lower())
    return f'posetrack{years[-1] if years else 18}'


def _find_image_root(root: Path, frames: list[tuple[Video, Frame]]) -> str:
    """The candidate folder under which most frames exist; the first on ties."""
    found = {}
    for candidate in IMAGE_ROOTS:
        table = FrameTable(str(root / candidate))
        found[candidate] = sum(table.exists(frame.file_name) for _, frame in frames)
    return max(IMAGE_ROOTS, key=found.get)


def _check_frames(
    report: LabelReport, frames: list[tuple[Video, Frame]], table: FrameTable
) -> list[tuple[Video, Frame]]:
    """Compares the labels' frames with the disk; returns those that exist."""
    on_disk, bad_folders, unneeded = [], {}, 0
    for video, frame in frames:
        if table.exists(frame.file_name):
            on_disk.append((video, frame))
            continue
        report.missing_frames += 1
        if not (frame.is_labeled and len(frame.keypoints)):
            unneeded += 1
        elif not table.frames(frame.file_name):
            folder = table.folder(frame.file_name)
            bad_folders.setdefault((folder, video.name), []).append(frame)
        else:
            report.errors.append(
                f'{table.path(frame.file_name)} (video {video.name}): labeled, but not on disk'
            )
    for (folder, video_name), missing in bad_folders.items():
        state = 'has no images' if os.path.isdir(folder) else 'is not on disk'
        report.errors.append(
            f'{folder} (video {video_name}): folder {state}, {len(missing)} key frames expected'
        )
    if unneeded:
        report.notes.append(
            f'{unneeded} frames without labels are not on disk; the nearest existing ones serve as '
            'neighbors'
        )
    return on_disk


def _check_sizes(
    report: LabelReport, on_disk: list[tuple[Video, Frame]], table: FrameTable
) -> None:
    """Compares the size in the labels with that of the first image of each video on disk."""
    firsts = {table.folder(frame.file_name): frame for _, frame in reversed(on_disk)}
    wrong = []
    for frame in firsts.values():
        said, path = (frame.width, frame.height), table.path(frame.file_name)
        if all(said):
            try:
                found = image_size(path)
            except OSError as error:
                report.errors.append(str(error))
                continue
            if found != said:
                wrong.append(
                    f'{path}: {found[0]} x {found[1]}, in the labels {said[0]} x {said[1]}'
                )
    if wrong:
        report.notes.append(
            f'the images of {len(wrong)} videos have another size than the labels say, in whose '
            f'pixels boxes and joints are (first: {wrong[-1]})'
        )


def _check_images(report: LabelReport, table: FrameTable, videos: list[Video]) -> None:
    """Reads every image file of the videos' folders and looks for truncated ones.

    Clips also show frames that no label file lists.
    """
    folders: dict[str, tuple[Video, list[str]]] = {}
    for video in videos:
        for frame in video.frames:
            folder = table.folder(frame.file_name)
            folders.setdefault(folder, (video, table.frames(frame.file_name)))
    images = [(v, os.path.join(f, name)) for f, (v, names) in folders.items() for name in names]
    for video, path in tqdm(images, desc=report.path, unit='image', disable=None):
        try:
            broken = 'is truncated or broken' if is_truncated(Path(path).read_bytes()) else ''
        except OSError as error:  # a link to nothing, a folder
            broken = f'can not be read ({error.strerror})'
        if broken:
            report.errors.append(f'{path} (video {video.name}): image {broken}')


def _check_detections(
    report: LabelReport, root: Path, videos: list[Video], table: FrameTable
) -> None:
    """Looks for detection files and matches them with the frames that they can be used for."""
    frames = key_frames(videos, detected=True)
    kind = 'labeled frames' if report.labeled_frames else 'frames'
    for pattern in DETECTION_PATTERNS:
        for path in sorted(root.glob(pattern.format(split=report.split))):
            name = path.relative_to(root).as_posix()
            is_of_other_split = report.split not in path.name and re.search('train|val', path.name)
            if is_hidden(path.name) or is_of_other_split:
                continue
            problems: list[str] = []
            try:
                detections = read_detections(str(path), videos, problems=problems)
            except ValueError as error:
                report.notes.append(str(error))
                continue
            ids = {frame.image_id for _, frame in frames} & set(detections)
            boxes = sum(len(detections[image_id][1]) for image_id in ids)
            report.detections[name] = f'{boxes} boxes in {len(ids)} of {len(frames)} {kind}'
            found = [(v, f) for v, f in frames if f.image_id in ids]
            on_disk = [(v, f) for v, f in found if table.exists(f.file_name)]
            if len(on_disk) < len(found):
                first = next(f for _, f in found if not table.exists(f.file_name))
                report.notes.append(
                    f'{name}: has boxes in {len(found) - len(on_disk)} frames that are not on disk '
                    f'(first: {first.file_name}), on which a test with these boxes stops'
                )
            report.dropped += problems
            try:
                persons = list(detected_persons(on_disk, detections, table))
            except OSError as error:  # the image whose header tells the size
                report.errors.append(str(error))
                continue
            report.dropped += [f'{name}: {p}: {p.problem}' for p in persons if p.problem]
