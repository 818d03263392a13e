"""Files that are there wholly or not at all, also after a kill, and none of an earlier run."""

from __future__ import annotations

import errno
import hashlib
import re
import warnings
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def write_whole(path: str | Path, content: bytes) -> None:
    """Writes a file beside its place and moves it there; missing folders are made.

    What is no file on a disk, such as a pipe or ``/dev/stdout``, is written to as it is. Where a
    link is, a file takes its place; what the link leads to stays.

    Raises:
        OSError: if a folder is where the file should be, or a file where its folder should be.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path}: is a folder, expected a file to write')
    # /dev/stdout may lead to a file, and must not be replaced by one
    if path.exists() and (not path.is_file() or str(path.parent) in ('/dev', '/dev/fd')):
        path.write_bytes(content)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotADirectoryError(
            f'{path}: can not be written, {path.parent} is no folder'
        ) from None
    beside = path.with_name(f'.{path.name}.partial')
    beside.write_bytes(content)
    beside.replace(path)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(partial(file.read, 2**20), b''):
            digest.update(block)
    return digest.hexdigest()


def folder_sha256(folder: str | Path) -> str:
    """Checksum over the names and bytes of all files in a folder, sorted by name."""
    folder = Path(folder)
    total = hashlib.sha256()
    for name in sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()):
        total.update(name.encode() + b'\0' + hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


def remove_old(folder: str | Path, pattern: str, kept: Collection[str]) -> list[str]:
    """Removes a writer's files that an earlier run left in its folder.

    Args:
        folder: that was written to; it may not exist.
        pattern: regular expression of the whole names of the writer's files.
        kept: names of those that stay, such as those just written.

    Returns:
        Names of the removed files, sorted. Folders are not removed.
    """
    folder = Path(folder)
    old = sorted(
        file.name
        for file in (folder.iterdir() if folder.is_dir() else ())
        if re.fullmatch(pattern, file.name) and file.name not in kept and not file.is_dir()
    )
    for name in old:
        (folder / name).unlink(missing_ok=True)
    return old


def warn_of_removed(folder: str | Path, removed: list[str]) -> None:
    """Warns of what `remove_old` removed, if it did."""
    if removed:
        warnings.warn(
            f'{folder}: removed {len(removed)} files of an earlier run, such as {removed[0]}.',
            stacklevel=3,
        )


def lock(file: IO) -> bool:
    """Locks a file for this process and those that inherit it; False if others hold the lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    return True  # also on file systems that have no locks
