"""The one way in which JSON files from outside are read: labels, predictions, detections.

And how what they hold is written again.
"""

from __future__ import annotations

import json
from pathlib import Path

import orjson

from .videos import AnnotationError


def utf8(name: str) -> str:
    """A name as files in UTF-8 can have it: bytes of a file's name that are none are escaped."""
    return name.encode('utf-8', 'backslashreplace').decode()


def json_bytes(content: object, indent: bool = False) -> bytes:
    """A file's content as JSON in UTF-8; what strings can not have there is escaped as JSON does.

    Such names of images come from files that Python wrote. Numbers that are not finite are null.
    """
    option = orjson.OPT_INDENT_2 if indent else None
    try:
        return orjson.dumps(content, option=option)
    except orjson.JSONEncodeError:  # several times as fast as the writer below
        finite = json.loads(json.dumps(content), parse_constant=lambda _: None)
        return json.dumps(finite, indent=2 if indent else None).encode()


def read_json(path: str | Path) -> object:
    """The content of a JSON file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    ``NaN`` and ``Infinity``, which Python's writer makes and JSON does not know, are read as
    numbers: it is up to the caller to say which field has one.

    Raises:
        AnnotationError: if the file is a table, empty or no JSON.
        OSError: if it can't be read.
    """
    content = Path(path).read_bytes()
    if Path(path).suffix.lower() == '.csv':
        raise AnnotationError(f'{path}: is a table; expected JSON (`cmpose infer --out-json`).')
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass  # it is several times as fast as the reader below, but knows plain UTF-8 only
    try:
        text = content.decode(json.detect_encoding(content))
        if text.strip():
            return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f'{path}: not valid JSON ({error}).') from error
    raise AnnotationError(f'{path}: is empty; expected JSON.')
