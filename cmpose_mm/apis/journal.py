"""The results of a long job so far, so that a job that was killed goes on where it stopped.

The file is text: a line that says what the job is, then one line a batch of frames. A line that a
kill cut off does not count. Arrays are stored bit by bit.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from cmpose_mm.posetrack.json_files import utf8

_VERSION = 1


def journal_path(output: str | Path) -> Path:
    """Where the journal of an output is that is not complete: a hidden file beside it."""
    path = Path(output)
    return path.with_name(f'.{path.name}.journal')


class Journal:
    """Stores frames as they are done, and gives those of an earlier run back, in order.

    Memory does not grow with the job: of the earlier run, only frames that were asked for and not
    yet forgotten are held.

    Args:
        path: of the file.
        settings: all that the results depend on, as JSON has it.
        resume: go on with the file that is there, if one is, be it under one of the other names.
        other_names: of the same file. Each output of a job has one, so that a later job which
            writes only some of them finds it.

    Attributes:
        num_stored: frames of the earlier run; they are the first of the job.

    Raises:
        OSError: if the file can not be written.
        ValueError: if the file to go on with is of a job with other settings, or is no journal.
    """

    def __init__(
        self,
        path: str | Path,
        settings: dict[str, Any],
        resume: bool = False,
        other_names: Iterable[str | Path] = (),
    ) -> None:
        self.path, self.other_names = Path(path), [Path(name) for name in other_names]
        self.num_stored = self._num_read = 0
        self._stored: dict[int, dict] = {}
        settings = _in_utf8(settings)
        header = orjson.dumps(dict(version=_VERSION, settings=settings)) + b'\n'
        self.path.parent.mkdir(parents=True, exist_ok=True)
        found = [name for name in (self.path, *self.other_names) if resume and name.exists()]
        if found:
            self._old = open(found[0], 'rb')
            try:
                end = self._check(found[0], orjson.loads(header))
            except ValueError:
                self._old.close()
                raise
            if found[0] != self.path:
                _link(found[0], self.path)
            self._new = open(self.path, 'r+b')
            self._new.truncate(end)
            self._new.seek(end)
        else:
            self.path.unlink(missing_ok=True)  # it may be that of another output, too
            self._new = open(self.path, 'wb')
            self._new.write(header)
            self._new.flush()
            self._old = open(self.path, 'rb')
            self._old.seek(len(header))
        for name in self.other_names:
            _link(self.path, name)

    def _check(self, path: Path, expected: dict) -> int:
        """Where the last whole line ends; the file is then read on from its second line."""
        problem = f'{path}: cannot be resumed, '
        line = self._old.readline()
        try:
            found = orjson.loads(line)
            version, settings = found['version'], found['settings']
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f'{problem}it is no journal; delete it to start anew') from None
        if version != expected['version']:
            raise ValueError(f'{problem}it is of another version; delete it to start anew')
        for name, value in expected['settings'].items():
            if settings.get(name) != value:
                raise ValueError(
                    f'{problem}{name} was {settings.get(name)} and is {value}; expected the same, '
                    'or a new start without --resume'
                )
        start = end = self._old.tell()
        for line in self._old:
            try:
                self.num_stored += len(orjson.loads(line)) if line.endswith(b'\n') else 0
            except orjson.JSONDecodeError:
                break
            if not line.endswith(b'\n'):
                break
            end += len(line)
        self._old.seek(start)
        return end

    def record(self, number: int) -> dict | None:
        """What is stored of a frame; None if it has to be computed. Frames are asked in order."""
        while number not in self._stored and self._num_read < self.num_stored:
            for record in orjson.loads(self._old.readline()):
                self._stored[record['number']] = record
                self._num_read += 1
        return self._stored.get(number)

    def forget(self, number: int) -> None:
        """Frees the memory of a stored frame."""
        self._stored.pop(number, None)

    def add(self, records: list[dict]) -> None:
        """Stores a batch: all of it, or, after a kill, nothing."""
        self._new.write(orjson.dumps(records) + b'\n')
        self._new.flush()

    def close(self) -> None:
        """Closes the file."""
        self._old.close()
        self._new.close()

    def remove(self) -> None:
        """Closes and removes the file: the job is done."""
        self.close()
        for name in (self.path, *self.other_names):
            name.unlink(missing_ok=True)


def _in_utf8(value: Any) -> Any:
    """A setting whose texts can be written."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {_in_utf8(key): _in_utf8(child) for key, child in value.items()}
    return [_in_utf8(child) for child in value] if isinstance(value, (list, tuple)) else value


def _link(path: Path, name: Path) -> None:
    """Gives a file a second name."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:  # another or a simple file system: what is stored so far must do
        shutil.copyfile(path, name)


def to_record(number: int, sample: PoseDataSample, notes: dict) -> dict:
    """A frame's poses as JSON has them; `notes` are kept beside them."""
    info = {name: sample.metainfo[name] for name in ('input_size',) if name in sample.metainfo}
    fields = {}
    for name, value in sample.pred_instances.items():
        array = np.ascontiguousarray(value)
        content = base64.b64encode(array.tobytes()).decode()
        fields[name] = [array.dtype.str, list(array.shape), content]
    info = {name: np.asarray(value).tolist() for name, value in info.items()}
    return dict(number=number, info=info, fields=fields, notes=notes)


def record_boxes(record: dict) -> tuple[np.ndarray, np.ndarray]:
    """The boxes (P, 4) and scores (P,) of a stored frame."""
    return _array(record['fields']['bboxes']), _array(record['fields']['bbox_scores'])


def from_record(record: dict, metainfo: dict) -> PoseDataSample:
    """The poses of a stored frame."""
    fields = {name: _array(value) for name, value in record['fields'].items()}
    return PoseDataSample(
        metainfo={**metainfo, **record['info']}, pred_instances=InstanceData(**fields)
    )


def _array(stored: list) -> np.ndarray:
    dtype, shape, content = stored
    values = np.frombuffer(base64.b64decode(content), np.dtype(dtype))
    return values.reshape(shape).copy()
