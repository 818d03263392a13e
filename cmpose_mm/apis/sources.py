"""What the command `cmpose infer` is to read: files, folders, patterns, addresses, cameras."""

from __future__ import annotations

import glob
import os
import warnings

from cmpose_mm.posetrack.file_names import is_hidden, natural_key
from cmpose_mm.posetrack.frames import IMAGE_SUFFIXES, VIDEO_SUFFIXES

from .av_files import is_url
from .frame_reader import source_name

_OTHER_VIDEO_SUFFIXES = ('.gif', '.rm', '.rmvb', '.ogg', '.ogm', '.swf', '.mjpeg')
"""Of files that may be videos, and are none of a folder's."""


def listed_sources(given: list[str]) -> list[str | int]:
    """The videos that arguments name, one by one.

    Args:
        given: each one of

            * a file, or a folder that holds the frames of one video: stands for itself;
            * a folder that holds videos: stands for these, in the order of their names. Hidden
              files and folders in it do not count;
            * a pattern such as ``videos/*.mp4`` or ``**/*.avi``, unless a file has this name;
            * an address such as ``rtsp://camera/1``;
            * the index of a camera, unless a file has this name.

    Returns:
        Paths, addresses and indices. A path that doesn't exist is among them: opening it says so.

    Raises:
        ValueError: if a folder holds videos and images, or a pattern fits no file.
    """
    sources: list[str | int] = []
    for name in given:
        if os.path.isdir(name):
            sources += _in_folder(name)
        elif os.path.exists(name) or is_url(name):
            sources.append(name)
        elif name.isdecimal():
            sources.append(int(name))
        elif glob.has_magic(name):
            found = sorted(glob.glob(name, recursive=True), key=natural_key)
            if not found:
                raise ValueError(f'{name}: no file fits this pattern, expected at least one')
            for path in found:
                sources += _in_folder(path) if os.path.isdir(path) else [path]
        else:
            sources.append(name)
    return sources


def output_name(source: str | int) -> str:
    """What the files are named after that are written of a video."""
    return source_name(source).replace(' ', '_')


def _in_folder(folder: str) -> list[str]:
    """A folder's videos, or the folder, if it holds the frames of one."""
    names = [name for name in os.listdir(folder) if not is_hidden(name)]
    videos = sorted((n for n in names if n.lower().endswith(VIDEO_SUFFIXES)), key=natural_key)
    images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    if images:  # not what an earlier run wrote there
        videos = [name for name in videos if name != f'{output_name(folder)}_poses.mp4']
    if videos and images:
        raise ValueError(
            f'{folder}: holds {len(videos)} videos ({videos[0]}, ...) and {len(images)} images '
            f'({min(images, key=natural_key)}, ...), expected videos alone or the frames of one; '
            f'name the videos by a pattern, such as "{os.path.join(folder, "*")}'
            f'{os.path.splitext(videos[0])[1]}"'
        )
    others = sorted(name for name in names if name.lower().endswith(_OTHER_VIDEO_SUFFIXES))
    if videos and others:
        warnings.warn(
            f'{folder}: {len(others)} files that may be videos are left out (first: {others[0]}); '
            'name them one by one to read them, too.',
            stacklevel=3,
        )
    return [os.path.join(folder, name) for name in videos] or [folder]
