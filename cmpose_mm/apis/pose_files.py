"""Files of poses that grow with a video: PoseTrack18's JSON, and a flat table.

Both take any joint set, and name its joints in the file. P: persons of a frame, K: joints.

Both writers are context managers. Left by an exception or Ctrl-C they close a file that holds all
frames that were written, none of them by half.
"""

from __future__ import annotations

import csv
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import orjson

from cmpose_mm.joint_sets import POSETRACK, JointSet
from cmpose_mm.posetrack.annotations import empty_frame
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.posetrack.json_files import utf8
from cmpose_mm.posetrack.predictions import PERSON_CATEGORY, frame_annotations

from .video_io import VideoFrame

if TYPE_CHECKING:
    from .video_inferencer import FramePoses

_COPIED_AT_ONCE = 1 << 20  # bytes


@dataclass
class _Persons:
    """The P persons of a frame, float64: boxes are (P, 4) xyxy, all in pixels of the image."""

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    track_ids: np.ndarray


def _persons(result: FramePoses, joint_set: JointSet) -> _Persons:
    """The persons of a frame, checked to have these joints."""
    found = getattr(result.data_sample, 'metainfo', {}).get('joint_set', POSETRACK)
    if found.joints != joint_set.joints:
        raise ValueError(
            f'frame {result.frame.number}: the poses have the {found} ({", ".join(found.joints)}), '
            f"expected the {joint_set}; give the writer the inferencer's `joints`."
        )
    pred = result.data_sample.pred_instances
    count, joints = len(pred.track_ids), len(joint_set)
    shapes = {
        'keypoints': (count, joints, 2),
        'keypoint_scores': (count, joints),
        'bboxes': (count, 4),
        'bbox_scores': (count,),
    }
    arrays = []
    for name, shape in shapes.items():
        array = np.asarray(pred[name], np.float64)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(
                f'frame {result.frame.number}: "{name}" has shape {array.shape} and '
                f'{np.count_nonzero(~np.isfinite(array))} values that are not finite, expected '
                f'{shape} and none.'
            )
        arrays.append(array)
    return _Persons(*arrays, np.asarray(pred.track_ids, np.int64))


def _category(joints: JointSet) -> dict:
    """The entry of `categories` that says what the keypoints of a file are."""
    category = dict(PERSON_CATEGORY)
    if joints.joints != JOINT_NAMES:
        place = {joint: number for number, joint in enumerate(joints.joints, start=1)}
        category['keypoints'] = joints.joints
        category['skeleton'] = [[place[start], place[end]] for start, end in joints.limbs]
        category['joint_set'] = joints.name
    if joints.derived:
        category['derived'] = dict(joints.derived)
    return category


def _lines(entries: list[dict], is_first: bool) -> bytes:
    """Items of a JSON list, one a line, that go on after others unless they are the first."""
    lines = b',\n'.join(orjson.dumps(entry) for entry in entries)
    return lines if is_first or not entries else b',\n' + lines


class PoseTrackWriter:
    """Writes predictions in PoseTrack18's format, which `tools/eval_posetrack.py` reads.

    Each frame is an entry of `images` (with its size, and its `time` in seconds if it has one),
    also without persons, and each person one of `annotations`. `scores` are those of
    the joints times that of the box, by which PoseTrack's average precision ranks them (protocol
    `dcpose`); `score` is that of the box.

    **Joints.** PoseTrack's 15 are written as the 17 keypoints of its files. Other joint sets are
    written as they are: `categories` has their names, in their order, the limbs as `skeleton`, and
    the data set that they belong to as `joint_set`. `derived` there says which joints no model
    predicted, and how they were computed.

    **Image ids.** A video whose name starts as PoseTrack's do, six digits and an underscore
    (`000342_mpii_test`), gets the ids of PoseTrack18 and 21: 1, the six digits, and the frame
    number in four digits, which is that of an image's name (`000012.jpg`) or the frame's position
    in a video file. So the poses of a folder of PoseTrack's frames can be scored as they are.
    In other videos the id is the frame's position. `file_name` is the video's name, a slash, and
    that of the image, or the position in six digits with `.jpg`; `of_video` says that the name is
    such a one, which no image has. `frame_number` is the position.

    **Memory** is that of one frame: `annotations` go to the file as they come, `images`, which
    follow them there, to a temporary file of about 100 bytes a frame, which is appended in the end.
    A process that is killed (kill -9) leaves no readable JSON; `CsvWriter` loses nothing then.

    Args:
        path: of the file; missing folders are made.
        video: the video's name.
        joints: of the poses, `VideoPoseInferencer.joints`.
    """

    def __init__(self, path: str | Path, video: str, joints: JointSet = POSETRACK) -> None:
        self.path = os.fspath(path)
        self.video = video
        self.joints = joints
        number = re.match(r'(\d{6})_', video)
        self._first_id = None if number is None else 10**10 + int(number[1]) * 10**4
        os.makedirs(os.path.dirname(self.path) or '.', exist_ok=True)
        self._file = open(self.path, 'wb')
        self._images = tempfile.TemporaryFile()
        self._file.write(b'{"categories":%s,\n"annotations":[' % orjson.dumps([_category(joints)]))
        self._last_id = -1
        # lengths of both files with all complete frames, and persons in them: set at once, so that
        # Ctrl-C can't leave half a frame
        self._complete = (self._file.tell(), 0, 0)

    def write(self, result: FramePoses) -> None:
        """Adds a frame.

        Raises:
            ValueError: if the poses have other joints, a coordinate or a score is not finite, or an
                image's name gives the frame a PoseTrack id that is not above that of the frame
                before.
        """
        video_frame, persons = result.frame, _persons(result, self.joints)
        frame = empty_frame(*self._name_and_id(video_frame), None)
        if frame.image_id <= self._last_id:
            raise ValueError(
                f'{self.path}: frame {frame.file_name} has the image id {frame.image_id}, expected '
                f'one above {self._last_id} of the frame before.'
            )
        frame.keypoints = np.concatenate(
            [persons.keypoints, np.ones_like(persons.keypoints[..., :1])], axis=-1
        )
        frame.scores = persons.keypoint_scores * persons.box_scores[:, None]
        frame.boxes = persons.boxes.copy()
        frame.boxes[:, 2:] -= frame.boxes[:, :2]
        frame.track_ids = persons.track_ids
        image = {'id': frame.image_id, 'file_name': frame.file_name}
        image['height'], image['width'] = video_frame.image.shape[:2]
        image['frame_number'] = video_frame.number
        if video_frame.path is None:
            image['of_video'] = True
        if video_frame.time is not None:
            image['time'] = video_frame.time

        _, num_image_bytes, num_persons = self._complete
        own_joints = self.joints.joints != JOINT_NAMES
        annotations = frame_annotations(frame, num_persons, own_joints)
        for annotation, score in zip(annotations, persons.box_scores.tolist()):
            annotation['score'] = score
        self._images.write(_lines([image], is_first=num_image_bytes == 0))
        self._file.write(_lines(annotations, is_first=num_persons == 0))
        self._last_id = frame.image_id
        self._complete = (
            self._file.tell(), self._images.tell(), num_persons + len(annotations)
        )  # fmt: skip

    def close(self) -> None:
        """Completes the file. Closing twice is allowed."""
        if self._file.closed:
            return
        length, num_image_bytes, _ = self._complete
        with self._file, self._images:
            self._file.seek(length)
            self._file.truncate()
            self._file.write(b'],\n"images":[')
            self._images.seek(0)
            while num_image_bytes > 0:
                part = self._images.read(min(num_image_bytes, _COPIED_AT_ONCE))
                num_image_bytes -= len(part)
                self._file.write(part)
            self._file.write(b']}\n')

    def __enter__(self) -> PoseTrackWriter:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _name_and_id(self, frame: VideoFrame) -> tuple[str, int]:
        name = f'{frame.number:06d}.jpg' if frame.path is None else os.path.basename(frame.path)
        stem = os.path.splitext(name)[0]
        image_id = frame.number
        if self._first_id is not None and stem.isdecimal():
            image_id = self._first_id + int(stem)
        return utf8(f'{self.video}/{name}'), image_id


def _columns(joints: JointSet) -> tuple[str, ...]:
    """Names of a table's columns."""
    person = ('frame', 'time', 'track_id', 'score', 'x1', 'y1', 'x2', 'y2')
    parts = (f'{joint}_{part}' for joint in joints.joints for part in ('x', 'y', 'score'))
    return (*person, *parts, *(['derived_joints'] if joints.derived else []))


class CsvWriter:
    """Writes a table with one row a person and frame; a frame without persons has one of its own.

    Columns: `frame` (0-based position), `time` (seconds, empty if unknown), `track_id` (-1 if it
    has none), `score` (of the box), `x1`, `y1`, `x2`, `y2` (the box), and for each joint
    `<joint>_x`, `<joint>_y`, `<joint>_score`. Coordinates are in pixels of the image, rounded to a
    hundredth. In the row of a frame without persons all but `frame` and `time` are empty. If joints
    were computed that no model predicted, a last column `derived_joints` names them, joined by
    `+`. A frame is in the file as soon as it is written, also if the process is killed.

    Args:
        path: of the file; missing folders are made.
        joints: of the poses, `VideoPoseInferencer.joints`.

    Attributes:
        columns: names of the columns. `COLUMNS` are those of PoseTrack's 15 joints.
    """

    COLUMNS = _columns(POSETRACK)

    def __init__(self, path: str | Path, joints: JointSet = POSETRACK) -> None:
        self.path = os.fspath(path)
        self.joints, self.columns = joints, _columns(joints)
        os.makedirs(os.path.dirname(self.path) or '.', exist_ok=True)
        self._file = open(self.path, 'w', encoding='utf-8', newline='')
        self._derived = '+'.join(joint for joint, _ in joints.derived)
        csv.writer(self._file, lineterminator='\n').writerow(self.columns)
        self._file.flush()

    def write(self, result: FramePoses) -> None:
        """Adds a frame.

        Raises:
            ValueError: if the poses have other joints, or a coordinate or a score is not finite.
        """
        persons, frame = _persons(result, self.joints), result.frame
        time = '' if frame.time is None else f'{frame.time:.6f}'
        joints = np.concatenate([persons.keypoints, persons.keypoint_scores[..., None]], axis=-1)
        rows = []
        for person, track_id in enumerate(persons.track_ids.tolist()):
            row = [frame.number, time, track_id, f'{persons.box_scores[person]:.5f}']
            row += [f'{value:.2f}' for value in persons.boxes[person]]
            for x, y, score in joints[person]:
                row += [f'{x:.2f}', f'{y:.2f}', f'{score:.5f}']
            row += [self._derived] if self._derived else []
            rows.append(','.join(map(str, row)) + '\n')
        if not rows:
            rows.append(f'{frame.number},{time}' + ',' * (len(self.columns) - 2) + '\n')
        self._file.write(''.join(rows))
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
