"""Readers for PoseTrack's label and prediction files, all to one in-memory form.

Read are per-video files in a folder, or one file with one or many videos:

* PoseTrack18 and 21 JSON (`images`, `annotations`, `categories`), also merged files as MMPose and
  DCPose ship them: `coco_files`;
* PoseTrack17 *annolist* as JSON or `.mat`: `annolist_files`, `mat_files`.

The format is recognized from the content of each file. Predictions use the same formats.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from .annolist_files import read_annolist
from .coco_files import read_coco
from .file_names import is_hidden, numbers_in_names, split_name
from .json_files import read_json
from .mat_files import read_mat
from .values import list_names, show
from .videos import MISSING_SCORE, AnnotationError, Frame, Video, empty_frame

__all__ = [
    'MISSING_SCORE',
    'AnnotationError',
    'Frame',
    'Video',
    'empty_frame',
    'frames_by_id',
    'read_videos',
]

_ID_STEP = 1_000_000  # room for frames between the made-up image ids of two annolist videos
_SUFFIXES = ('.json', '.mat')


def read_videos(
    path: str | Path,
    *,
    problems: list[str] | None = None,
    allow_unlabeled: bool = False,
    other_joints: bool = False,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> list[Video]:
    """Reads PoseTrack labels or predictions.

    A single file with one video takes the video's name from the images' folder; in a folder of
    files, a file with one video gives it the file's stem. Hidden files are left out.

    A frame's number is PoseTrack17's "imgnum" (1-based), or what the names of the video's frames
    count (see `numbers_in_names`; 0-based in the official PoseTrack18), or "frame_id": the first
    of these that tells all frames of the video apart, where "imgnum" has to agree with the names
    about the order of the frames. Otherwise it is the frame's position in the file, from 1 in an
    annolist and from 0 in other files. Frames are sorted by their numbers.

    Annolist files carry no image ids. Their frames get ``1_000_000 * (video + 1) + position``,
    where *video* counts the videos of `path` sorted by name, and *position* the video's frames:
    reading one path twice gives the same ids.

    Args:
        path: a folder of per-video `.json` or `.mat` files, or one such file.
        problems: if given, an annotation that is wrong is left out and a sentence about it is
            appended here. By default it is an error.
        allow_unlabeled: take a file without the field "annotations" for one in which nobody is
            labeled, as PoseTrack18's test videos come. By default it is an error.
        other_joints: take a file with "images" that lacks joints of PoseTrack. Its persons have all
            joints of the file, in its order (`Video.joints`). By default it is an error.
        progress: wraps the files while they are read, for example `tqdm.tqdm`.

    Returns:
        The videos, sorted by name.

    Raises:
        AnnotationError: with one sentence for every problem found. A file or an image entry that
            is wrong is an error also when `problems` is given.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in _SUFFIXES and not is_hidden(file.name) and not file.is_dir()
        )
        if not files:
            raise AnnotationError(_describe_empty_folder(path))
    elif path.is_file():
        files = [path]
    else:
        raise AnnotationError(f'{path}: not found; expected a folder or a file of labels.')

    fatal: list[str] = []
    dropped: list[str] = []
    videos: list[Video] = []
    for file in progress(files):
        if not file.exists():
            fatal.append(f'{file}: is a link to nothing, expected a file of labels.')
            continue
        try:
            found = _read_file(file, dropped, allow_unlabeled, other_joints)
        except AnnotationError as error:
            fatal += error.problems
            continue
        if path.is_dir() and len(found) == 1:
            found[0].name = file.stem
        videos += found
    videos.sort(key=lambda video: video.name)

    for first, second in zip(videos, videos[1:]):
        if first.name == second.name:
            fatal.append(
                f'{second.source}: video {second.name!r} is also in {first.source}; expected each '
                'video once.'
            )
    errors = fatal + (dropped if problems is None else [])
    if errors:
        raise AnnotationError(errors)
    if problems is not None:
        problems += dropped
    for index, video in enumerate(videos):
        if not video.has_image_ids:
            for position, frame in enumerate(video.frames):
                frame.image_id = _ID_STEP * (index + 1) + position
    return videos


def check_images(videos: list[Video]) -> None:
    """Raises AnnotationError if two frames of a video are the same image."""
    for video in videos:
        ids: dict[tuple[str, str], int] = {}
        for frame in video.frames:
            first = ids.setdefault(split_name(frame.file_name), frame.image_id)
            if first != frame.image_id:
                raise AnnotationError(
                    f'{video.source}: the image ids {first} and {frame.image_id} are both of '
                    f'{frame.file_name}; expected one entry for an image.'
                )


def frames_by_id(videos: list[Video]) -> dict[int, tuple[Video, Frame]]:
    """Finds a frame and its video by image id.

    Raises:
        AnnotationError: if two frames carry the same image id, or are the same image.
    """
    check_images(videos)
    found: dict[int, tuple[Video, Frame]] = {}
    for video in videos:
        for frame in video.frames:
            other = found.setdefault(frame.image_id, (video, frame))
            if other[1] is not frame:
                raise AnnotationError(
                    f'{video.source}: image id {frame.image_id} of {frame.file_name} is also that '
                    f'of {other[1].file_name} in {other[0].source}; expected unique image ids.'
                )
    return found


def _describe_empty_folder(path: Path) -> str:
    folders = sorted(child.name for child in path.iterdir() if child.is_dir())
    hint = f'; it has the folders {", ".join(folders[:5])}' if folders else ''
    return f'{path}: no .json or .mat file{hint}; expected one file a video.'


def _read_file(
    file: Path, dropped: list[str], allow_unlabeled: bool, other_joints: bool
) -> list[Video]:
    """Reads one file; annotations that are wrong go to `dropped`, anything else is raised."""
    data = read_mat(file) if file.suffix.lower() == '.mat' else read_json(file)
    if not isinstance(data, dict):
        raise AnnotationError(
            f'{file}: expected a JSON object with "images" or "annolist", found {show(data)}.'
        )
    if 'annolist' in data:
        frames = read_annolist(data['annolist'], file, dropped)
        return _split_into_videos(frames, file, has_image_ids=False)
    if 'images' in data:
        frames, joints = read_coco(data, file, dropped, allow_unlabeled, other_joints)
        videos = _split_into_videos(frames, file, has_image_ids=True)
        return [replace(video, joints=joints) for video in videos]
    raise AnnotationError(
        f'{file}: expected "images" (PoseTrack18 and 21) or "annolist" (PoseTrack17), found '
        f'{list_names(data)}.'
    )


def _split_into_videos(
    frames: list[tuple[str, Frame]], file: Path, has_image_ids: bool
) -> list[Video]:
    """Groups the (folder of the image, frame) pairs of a file by folder, and sorts each group."""
    groups: dict[str, list[Frame]] = defaultdict(list)
    for folder, frame in frames:
        groups[folder].append(frame)
    names = [posixpath.basename(folder) for folder in groups]
    videos = []
    for (folder, group), name in zip(groups.items(), names):
        _number(group, is_annolist=not has_image_ids)
        group.sort(key=lambda frame: frame.number)
        # two sources may each have a video 0042: their full folders tell them apart
        unique = name if names.count(name) == 1 else folder
        videos.append(Video(unique, group, str(file), has_image_ids))
    return videos


def _number(frames: list[Frame], is_annolist: bool) -> None:
    """Sets the numbers of a video's frames, which so far are those of the file's own field."""
    given: list[int] | None = [frame.number for frame in frames]
    in_names = numbers_in_names([frame.file_name for frame in frames])
    if None in given or len(set(given)) < len(given):
        given = None
    elif is_annolist and in_names is not None and _order(given) != _order(in_names):
        given = None  # it counts the entries of the file, whatever their order
    first = int(is_annolist)
    candidates = (given, in_names) if is_annolist else (in_names, given)
    positions = range(first, first + len(frames))
    numbers = next((numbers for numbers in candidates if numbers is not None), positions)
    for frame, number in zip(frames, numbers):
        frame.number = number


def _order(numbers: list[int]) -> list[int]:
    return sorted(range(len(numbers)), key=numbers.__getitem__)
