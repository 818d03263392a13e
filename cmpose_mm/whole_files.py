"""Files that are there wholly or not at all, also after a kill."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: str | Path, content: bytes) -> None:
    """Writes a file beside its place and moves it there; missing folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes(content)
    partial.replace(path)
