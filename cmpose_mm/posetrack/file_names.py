"""What the names of label files and frames tell."""

from __future__ import annotations

import posixpath
import re


def is_hidden(name: str) -> bool:
    """Whether a file is not meant to be read: its name starts with a dot.

    Archives made on a Mac leave a ``._NAME`` (AppleDouble) beside each file NAME.
    """
    return name.startswith('.')


def split_name(file_name: str) -> tuple[str, str]:
    """Folder and name of a file as a label file writes it, on whichever system."""
    return posixpath.split(file_name.replace('\\', '/'))


def video_and_file(name: str) -> str:
    """The last two components of a frame's path: what all layouts of PoseTrack have in common."""
    return '/'.join(name.replace('\\', '/').split('/')[-2:])


def same_image(path: str, file_name: str) -> bool:
    """Whether a file is the image that a label file names, by as much as both tell of its place."""
    path, file_name = (video_and_file(name) for name in (path, file_name))
    return path == file_name or path.endswith('/' + file_name)


def natural_key(name: str) -> tuple[list, str]:
    """Sort key that compares runs of digits as numbers; equal numbers go by the plain name."""
    parts = re.split(r'(\d+)', name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def numbers_in_names(file_names: list[str]) -> list[int] | None:
    """The frame numbers that the names of a video's frames contain.

    A name may have several runs of digits (``frame_000003_cam2.jpg``). The number is the run that
    grows from frame to frame when the names are sorted by `natural_key`. If several do, it is the
    last; but the first where some names have more runs than others (``0012_crop2.jpg``).

    Args:
        file_names: of the frames of one video, in any order.

    Returns:
        A number for each frame, all different; None if no run of digits tells the frames apart.
    """
    stems = [posixpath.splitext(split_name(name)[1])[0] for name in file_names]
    runs = [[int(digits) for digits in re.findall(r'\d+', stem)] for stem in stems]
    order = sorted(range(len(stems)), key=lambda index: natural_key(stems[index]))
    fewest, most = min(map(len, runs), default=0), max(map(len, runs), default=0)
    for place in range(fewest) if fewest < most else reversed(range(most)):
        numbers = [run[place] for run in runs]
        in_order = [numbers[index] for index in order]
        grows = all(a < b for a, b in zip(in_order, in_order[1:]))
        if grows and in_order[-1] < 2**63:
            return numbers
    return None
