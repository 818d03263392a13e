"""Drops frames that repeat the one before, with their labels.

Films that were brought to another frame rate repeat frames. A neighbor that is a copy tells a video
method nothing, and copying the pose of the frame before is then a good prediction.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cmpose_mm.images import read_image
from cmpose_mm.posetrack.annotations import AnnotationError, Video, read_videos
from cmpose_mm.posetrack.file_names import is_hidden, split_name
from cmpose_mm.posetrack.frames import FrameTable, list_images
from cmpose_mm.posetrack.json_files import json_bytes, read_json
from cmpose_mm.posetrack.mat_files import read_mat

from .posetrack_form import read_table, write_table

SAME_BELOW = 0.5
"""Mean difference in gray levels (0 to 255), at 160x120, below which two frames are the same."""
_SIZE = (160, 120)
_LABEL_FOLDERS = ('annotations', 'posetrack_data')


@dataclass
class DistinctSet:
    """What `write_distinct_set` did.

    Attributes:
        videos: folders of frames.
        frames: in these folders before.
        dropped_frames: of them.
        dropped_labels: persons that were labeled in them, over all label files.
        missing_frames: named by the labels, but not on disk; their labels are kept.
    """

    videos: int = 0
    frames: int = 0
    dropped_frames: int = 0
    dropped_labels: int = 0
    missing_frames: int = 0


def runs_of_same_frames(paths: Sequence[str | Path], threshold: float = SAME_BELOW) -> list[int]:
    """Groups consecutive frames that look the same.

    A frame belongs to the run of the frames before it if it differs from the *first* frame of the
    run by less than the threshold. So a slow fade is not one long run.

    Args:
        paths: of the images of a video, in order.
        threshold: see `SAME_BELOW`.

    Returns:
        For every frame the position of the first frame of its run.

    Raises:
        OSError: if an image is broken.
    """
    runs: list[int] = []
    first = None
    for index, path in enumerate(paths):
        small = _small_gray(path)
        if first is None or np.abs(small - first).mean() >= threshold:
            first, start = small, index
        runs.append(start)
    return runs


def _small_gray(path: str | Path) -> np.ndarray:
    gray = cv2.cvtColor(read_image(str(path)), cv2.COLOR_BGR2GRAY)
    return cv2.resize(gray, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)


def link_frame(source: str | Path, target: str | Path) -> None:
    """Makes a hard link to a frame, or a copy where the file system has none; keeps what is there.

    Frames of a data set fill disks, and nobody writes into them.
    """
    target = Path(target)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(os.path.realpath(source), target)  # of a link, what it leads to
    except OSError:
        shutil.copyfile(source, target)


def write_distinct_set(
    root: str | Path,
    out: str | Path,
    *,
    labels: Sequence[str] = (),
    image_root: str = '',
    threshold: float = SAME_BELOW,
) -> DistinctSet:
    """Copies a data set in PoseTrack's form without the frames that repeat the one before.

    Of a run of frames that look the same the first is kept, or the first that is labeled in any of
    the label files. Frames keep their names, and frames without label stay in the videos' folders,
    where they serve as neighbors. Frames on disk are compared; what labels say plays no role. The
    copy has its name only when it is complete; what a killed run had begun (``OUT.partial``) is
    begun anew.

    Args:
        root: of the data set.
        out: new folder; receives the labels at their paths, the frames at the paths that the labels
            name, and ``clips.csv`` with new counts if there is one. `data_prefix` is empty then.
        labels: folders of label files, or merged files, relative to `root`; by default all folders
            in ``annotations`` and ``posetrack_data`` that have any.
        image_root: folder that the labels' file names start from, relative to `root` or absolute.
        threshold: see `SAME_BELOW`.

    Raises:
        AnnotationError: if there are no labels or frames, labels are wrong, or `out` holds
            anything.
        ValueError: if the threshold is not a number from 0 on.
        OSError: if an image is broken.
    """
    if not 0 <= threshold < np.inf:
        raise ValueError(f'threshold is {threshold}, expected a number from 0 on.')
    root, out = Path(root), Path(out)
    sources = [root / name for name in labels] or _find_labels(root)
    if not sources:
        raise AnnotationError(
            f'{root}: found no labels, expected .json or .mat files in '
            f'{" or ".join(f"{name}/<split>" for name in _LABEL_FOLDERS)}.'
        )
    for source in sources:
        if not source.is_relative_to(root) or '..' in source.relative_to(root).parts:
            raise AnnotationError(f'{source}: is not below {root}, expected labels of this set.')
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        found = 'is a file' if out.is_file() else 'is not empty'
        raise AnnotationError(f'{out}: {found}, expected a new or an empty folder.')
    videos = {source: read_videos(source, allow_unlabeled=True) for source in sources}
    has_clips = (root / 'clips.csv').is_file()
    clips = read_table(root / 'clips.csv', ('sequence', 'split')) if has_clips else []
    table = FrameTable(str(root / image_root))
    out = out.resolve()
    partial = out.with_name(f'{out.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)  # of a killed run
    try:
        dropped, result = _compare(videos, table, partial, threshold)
        for source in sources:
            for file in sorted({Path(video.source) for video in videos[source]}):
                place = partial / file.relative_to(root).with_suffix('.json')
                result.dropped_labels += _write_without(file, place, dropped)
        if clips:
            _write_clips(clips, partial, videos, dropped)
        if out.is_dir():
            out.rmdir()  # an empty one
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return result


def _find_labels(root: Path) -> list[Path]:
    return [
        folder
        for parent in _LABEL_FOLDERS
        for folder in sorted((root / parent).glob('*/'))
        if folder.is_dir()
        and any(
            file.suffix.lower() in ('.json', '.mat') and not is_hidden(file.name)
            for file in folder.iterdir()
        )
    ]


def _compare(
    videos: dict[Path, list[Video]], table: FrameTable, out: Path, threshold: float
) -> tuple[set[str], DistinctSet]:
    """Links the frames that are kept; returns the names of those that are not, and counts."""
    result = DistinctSet()
    label_folders: dict[str, set[str]] = {}  # folder on disk -> as labels name it
    labeled: dict[str, set[str]] = {}
    for source in videos:
        for video in videos[source]:
            for frame in video.frames:
                folder = table.folder(frame.file_name)
                as_labeled = split_name(frame.file_name)[0]
                if os.path.isabs(frame.file_name) or '..' in as_labeled.split('/'):
                    raise AnnotationError(
                        f'{video.source}: an image is {frame.file_name}, expected a path that '
                        'starts from a folder of the data set: the copy has its images at the same '
                        'paths.'
                    )
                label_folders.setdefault(folder, set()).add(as_labeled)
                names = labeled.setdefault(folder, set())
                if len(frame.keypoints):
                    names.add(split_name(frame.file_name)[1])
                result.missing_frames += not table.exists(frame.file_name)
    dropped: set[str] = set()
    for folder, as_labeled in tqdm(label_folders.items(), 'comparing', unit='video', disable=None):
        names = list_images(folder)
        runs = runs_of_same_frames([os.path.join(folder, name) for name in names], threshold)
        kept = set()
        for start in set(runs):
            run = [name for name, run_start in zip(names, runs) if run_start == start]
            kept.add(next((name for name in run if name in labeled[folder]), run[0]))
        for label_folder in as_labeled:
            for name in names:
                if name in kept:
                    link_frame(os.path.join(folder, name), out / label_folder / name)
                else:
                    dropped.add(f'{label_folder}/{name}')
        result.videos += len(names) > 0
        result.frames += len(names)
        result.dropped_frames += len(names) - len(kept)
    if not result.frames:
        raise AnnotationError(
            f'{next(iter(label_folders))}: has no image, expected the frames that the labels name.'
        )
    return dropped, result


def _write_without(file: Path, place: Path, dropped: set[str]) -> int:
    """Writes a label file without some frames; returns the number of persons in them."""
    data = read_mat(file) if file.suffix.lower() == '.mat' else read_json(file)
    if 'annolist' in data:
        entries = data['annolist'] if isinstance(data['annolist'], list) else [data['annolist']]
        kept = [entry for entry in entries if _entry_name(entry) not in dropped]
        count = sum(_num_rects(entry) for entry in entries) - sum(map(_num_rects, kept))
        data = {**data, 'annolist': kept}
    else:
        images = [image for image in data['images'] if _plain(image['file_name']) not in dropped]
        per_folder: dict[str, int] = {}
        for image in images:
            folder = split_name(image['file_name'])[0]
            per_folder[folder] = per_folder.get(folder, 0) + 1
        images = [
            {**i, 'nframes': per_folder[split_name(i['file_name'])[0]]} if 'nframes' in i else i
            for i in images
        ]
        ids = {image['id'] for image in images}
        before = data.get('annotations')
        data = {**data, 'images': images}
        count = 0
        if before is not None:
            data['annotations'] = [a for a in before if a['image_id'] in ids]
            count = len(before) - len(data['annotations'])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(json_bytes(data))
    return count


def _plain(file_name: str) -> str:
    return '/'.join(split_name(file_name))


def _entry_name(entry: dict) -> str:
    image = entry['image'][0] if isinstance(entry['image'], list) else entry['image']
    name = image['name'][0] if isinstance(image['name'], list) else image['name']
    return _plain(name)


def _num_rects(entry: dict) -> int:
    rects = entry.get('annorect') or []
    return len(rects) if isinstance(rects, list) else 1


def _write_clips(
    rows: list[dict], out: Path, videos: dict[Path, list[Video]], dropped: set[str]
) -> None:
    """Writes the table of the clips that are copied, with the numbers of frames that are left."""
    left = {
        (source.name, video.name): [f for f in video.frames if _plain(f.file_name) not in dropped]
        for source in videos
        for video in videos[source]
    }
    splits = {source.name for source in videos}
    # labels of another name than a split's, such as a part of it, have their clips by name alone
    listed = {row['sequence'] for row in rows if row['split'] in splits}
    by_name = {name: frames for (_, name), frames in left.items() if name not in listed}
    rows = [row for row in rows if row['split'] in splits or row['sequence'] in by_name]
    for row in rows:
        frames = left.get((row['split'], row['sequence']), by_name.get(row['sequence']))
        if frames is not None:
            row.update(
                frames=len(frames), labelled_frames=sum(len(f.keypoints) > 0 for f in frames)
            )
    if rows:
        write_table(out / 'clips.csv', rows)
