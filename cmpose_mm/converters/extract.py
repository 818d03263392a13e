"""Videos to folders of frames, numbered as they are decoded."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from tqdm import tqdm

from cmpose_mm.apis.video_io import open_frames
from cmpose_mm.posetrack.file_names import is_hidden, natural_key
from cmpose_mm.posetrack.frames import VIDEO_SUFFIXES, list_images

_RECORD = '.extraction.json'
"""Beside a video's frames: their number, and the sentences about what could not be read."""


@dataclass
class Extraction:
    """What was done.

    Attributes:
        videos, frames: written now.
        done_before: videos whose folders were there.
        other_files: in the folder, but no videos by their names.
        warnings: sentences about videos of which not all could be read, now or by a run before;
            what could is written.
        errors: sentences about videos of which nothing is written, and about folders of which
            frames are gone.
    """

    videos: int = 0
    frames: int = 0
    done_before: int = 0
    other_files: int = 0
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def extract_frames(source: str | Path, out: str | Path, quality: int = 95) -> Extraction:
    """Writes the frames of a video, or of all videos below a folder, as JPEG files.

    ``SOURCE/a/b.mp4`` becomes ``OUT/a/b/000000.jpg`` and so on: the number is the frame's position
    among the decoded ones, not one that the container claims. A folder has its name only when it is
    complete; what a killed run had begun (``b.partial``) is begun anew by the next, and what it had
    finished is left as it is.

    Args:
        source: video file, or folder that is searched through.
        out: receives a folder for each video.
        quality: of the JPEG files, up to 100.

    Returns:
        Counts, and what went wrong. A video that can't be read stops nothing.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no video in it.
        NotADirectoryError: if `out`, or a folder that it is in, is a file.
        ValueError: if two videos would get one folder.
    """
    source, out = Path(source), Path(out)
    _check_is_no_file(out)
    result = Extraction()
    if source.is_file():
        folders = {source: out / source.stem}
    elif source.is_dir():
        files = [
            path
            for folder, names in _walk(source)
            for path in (Path(folder, name) for name in names)
            if not any(map(is_hidden, path.relative_to(source).parts))
        ]
        videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
        result.other_files = len(files) - len(videos)
        videos.sort(key=lambda path: natural_key(path.as_posix()))
        folders = {p: out / p.relative_to(source).with_suffix('') for p in videos}
    else:
        raise FileNotFoundError(f'{source}: not found; expected a video or a folder of videos.')
    if not folders:
        raise FileNotFoundError(
            f'{source}: has no video, expected files that end with {", ".join(VIDEO_SUFFIXES)}.'
        )
    _check_unique(folders)
    bar = tqdm(folders.items(), 'extracting', unit='video', disable=None)
    for video, folder in bar:
        found = len(list_images(str(folder)))
        try:
            if found:
                result.warnings += _warnings_of(video, folder, found)
                result.done_before += 1
                continue
            count, told = _extract(video, folder, quality, bar)
        except (OSError, ValueError) as error:
            result.errors.append(str(error))
            continue
        result.warnings += told
        result.videos += 1
        result.frames += count
    return result


def _walk(source: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below one and their files; links to folders are followed, but not into a circle."""
    for folder, folders, names in os.walk(source, followlinks=True):
        above = Path(os.path.realpath(folder))
        folders[:] = [
            name
            for name in folders
            if Path(os.path.realpath(os.path.join(folder, name))) not in (above, *above.parents)
        ]
        yield folder, names


def _check_is_no_file(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place.is_file():
            raise NotADirectoryError(f'{place}: is a file, expected a folder.')


def _check_unique(folders: dict[Path, Path]) -> None:
    owner: dict[Path, Path] = {}
    for video, folder in folders.items():
        other = owner.setdefault(folder, video)
        if other is not video:
            raise ValueError(
                f'{other} and {video}: both would be written to {folder}, expected names that '
                'differ in more than the ending.'
            )


def _warnings_of(video: Path, folder: Path, found: int) -> list[str]:
    """What its extraction could not read of a video whose frames are there.

    Nothing is known of folders without a record, those of another tool.

    Raises:
        ValueError: if fewer are there than were extracted, or they are of a video of another size.
    """
    record = folder / _RECORD
    if not record.is_file():
        return []
    try:
        content = json.loads(record.read_text('utf-8'))
        frames, told, size = content['frames'], content['warnings'], content.get('bytes')
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{record}: is damaged, expected a record of what was extracted; delete the folder to '
            'have its frames written again.'
        ) from error
    if size not in (None, video.stat().st_size):
        raise ValueError(
            f'{folder}: has the frames of another video, of {size} bytes, expected those of '
            f'{video}, of {video.stat().st_size} bytes; choose another folder, or delete this one.'
        )
    if found < frames:
        raise ValueError(
            f'{folder}: has {found} frames, expected {frames}, those of {video}; delete '
            'the folder to have them written again.'
        )
    return told


def _extract(video: Path, folder: Path, quality: int, bar: tqdm) -> tuple[int, list[str]]:
    """Writes one video's folder; returns the number of frames, and what could not be read."""
    _check_is_no_file(folder)
    if folder.is_dir() and any(folder.iterdir()):
        other = min(path.name for path in folder.iterdir())
        raise ValueError(
            f'{folder}: holds {other} and no frames, expected a new or an empty folder for the '
            f'frames of {video}.'
        )
    partial = folder.with_name(f'{folder.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            count = _write_frames(video, partial, quality, bar)
        told = [' '.join(str(warning.message).split()) for warning in caught]
        record = {'frames': count, 'warnings': told, 'bytes': video.stat().st_size}
        (partial / _RECORD).write_text(json.dumps(record), 'utf-8')
        if folder.is_dir():
            folder.rmdir()  # an empty one: a folder with frames was left alone
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return count, told


def _write_frames(video: Path, folder: Path, quality: int, bar: tqdm) -> int:
    """Writes one video's frames; returns their number."""
    reader = open_frames(str(video))
    folder.mkdir(parents=True)
    count = 0
    for frame in reader:
        is_encoded, content = cv2.imencode('.jpg', frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not is_encoded:
            raise ValueError(f'{video}: frame {frame.number} can not be written as JPEG.')
        (folder / f'{frame.number:06d}.jpg').write_bytes(content.tobytes())
        count += 1
        if count % 100 == 0:
            bar.set_postfix_str(f'{video.name}: {count} of {reader.num_frames or "?"} frames')
    return count
