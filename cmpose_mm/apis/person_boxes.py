"""Where the boxes of persons come from: a detector, a file, or the whole frame.

A *box source* is any callable ``source(frame) -> (boxes, scores)`` with a `VideoFrame`, boxes
(P, 4) x1, y1, x2, y2 in pixels of the image and scores (P,).
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from cmpose_mm.compat import import_mmdet
from cmpose_mm.pose_formats.pose_csv import check_table, table_rows
from cmpose_mm.pose_formats.pose_video import MAX_COORDINATE, MAX_FRAMES, numbers_of_video_frames
from cmpose_mm.posetrack.annotations import Video, empty_frame, read_videos
from cmpose_mm.posetrack.detections import read_detections
from cmpose_mm.posetrack.json_files import read_json
from cmpose_mm.posetrack.persons import clip_box, person_boxes
from cmpose_mm.posetrack.values import as_int
from cmpose_mm.posetrack.videos import AnnotationError

from .loading import CONFIG_SUFFIXES, find_checkpoint, find_config, load_weights, read_checkpoint
from .model_zoo import find_model
from .video_io import FrameReader, VideoFrame

CSV_COLUMNS = ('frame', 'x1', 'y1', 'x2', 'y2')


def whole_frame(frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
    """One box, the frame's: for a video of one person who fills it."""
    height, width = frame.image.shape[:2]
    return np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)


class PersonDetector:
    """Box source: any detector of MMDetection.

    Kept are boxes of the class ``person``, or of the only class of a detector that has just one.

    Args:
        config: MMDetection config, see `find_config`; or the name of one of MMDetection's models,
            such as ``'rtmdet-m'``, see `find_model`.
        checkpoint: see `find_checkpoint`.
        device: for example ``'cuda:0'``.
        score_thr: boxes that score less are dropped.
        download: see `find_checkpoint`.

    Raises:
        FileNotFoundError: if config or checkpoint are missing.
        ValueError: if the checkpoint doesn't fit, or the detector knows no persons.
    """

    def __init__(
        self,
        config: str | Path,
        checkpoint: str | Path | None = None,
        device: str = 'cpu',
        score_thr: float = 0.3,
        download: bool = False,
    ) -> None:
        import_mmdet()
        from mmdet.apis import inference_detector, init_detector
        from mmdet.utils import get_test_pipeline_cfg

        if os.path.isfile(config) or str(config).endswith(CONFIG_SUFFIXES):
            path = find_config(config)
        else:
            path = find_model(str(config), 'mmdet').config
        self.name = Path(path).stem
        checkpoint = find_checkpoint(checkpoint, path, download)
        config = Config.fromfile(path)
        with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmdet')):
            self.model = init_detector(config, None, device='cpu')
            pipeline = get_test_pipeline_cfg(config.copy())
            pipeline[0].type = 'mmdet.LoadImageFromNDArray'
            self.pipeline = Compose(pipeline)
        content = read_checkpoint(checkpoint)
        load_weights(self.model, content, f'{checkpoint} does not fit {path}')
        meta = {k.lower(): v for k, v in content.get('meta', {}).items()}
        meta = {k.lower(): v for k, v in meta.get('dataset_meta', meta).items()}
        classes = meta.get('classes', self.model.dataset_meta['classes'])
        classes = [classes] if isinstance(classes, str) else list(classes)
        if 'person' not in classes and len(classes) > 1:
            raise ValueError(
                f'{checkpoint}: expected a detector with the class "person", found '
                f'{", ".join(map(str, classes[:5]))} and others'
            )
        self.label = classes.index('person') if 'person' in classes else 0
        self.model.to(device).eval()
        self.score_thr = score_thr
        self._infer = inference_detector

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Persons of one frame, best first."""
        found = self._infer(self.model, frame.image, test_pipeline=self.pipeline)
        found = found.pred_instances
        found = found[(found.labels == self.label) & (found.scores >= self.score_thr)]
        order = torch.argsort(found.scores, descending=True, stable=True)
        return found.bboxes[order].cpu().numpy(), found.scores[order].cpu().numpy()


class FileBoxes:
    """Box source: boxes by frame, from a file or from the caller.

    Args:
        boxes: boxes (P, 4) and scores (P,) by the frame's number; other frames have no persons.
        inside: cut the boxes to the image, as `PoseTrackVideoDataset` does with labels.
        sizes: (width, height) of the image by the frame's number, where a file tells it.
        path: of the file, for messages.
    """

    def __init__(
        self,
        boxes: dict[int, tuple[np.ndarray, np.ndarray]],
        inside: bool = False,
        sizes: dict[int, tuple[int, int]] | None = None,
        path: str | Path = '',
    ) -> None:
        self.boxes, self.inside, self.sizes, self.path = boxes, inside, sizes or {}, path

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Persons of one frame, in the order of the file.

        Raises:
            ValueError: if the boxes are of an image of another size.
        """
        size = frame.image.shape[1::-1]
        told = self.sizes.get(frame.number, size)
        if told != size:
            raise ValueError(
                f'{self.path}: "width" and "height" of the image of frame {frame.number} are '
                f'{told[0]} and {told[1]}, but the frame has {size[0]} x {size[1]} pixels; '
                'expected boxes of this video'
            )
        boxes, scores = self.boxes.get(frame.number, (np.zeros((0, 4)), np.zeros(0)))
        if self.inside:
            boxes = clip_box(boxes, *frame.image.shape[1::-1])
        return np.asarray(boxes, np.float32), np.asarray(scores, np.float32)


def boxes_by_frame(boxes: dict[int, tuple[np.ndarray, np.ndarray]]) -> FileBoxes:
    """A box source of what the caller gives; ValueError if it has another structure."""
    for frame, persons in boxes.items():
        if not isinstance(frame, (int, np.integer)):
            raise ValueError(f'boxes has the key {frame!r}, expected the number of a frame')
        if not isinstance(persons, (tuple, list)) or len(persons) != 2:
            raise ValueError(
                f'boxes[{frame}] is a {type(persons).__name__}, expected a pair of boxes (P, 4) '
                'and scores (P,)'
            )
    return FileBoxes(boxes)


def read_boxes(path: str | Path, frames: FrameReader) -> FileBoxes:
    """Boxes of a video's persons from a file.

    The formats, told apart by the content:

    * CSV with a header and the columns ``frame, x1, y1, x2, y2`` and, optionally, ``score``; other
      columns are ignored. ``frame`` counts from 0;
    * PoseTrack labels or predictions, also with other joints, as `PoseTrackWriter` writes them. A
      person without ``bbox`` gets the extent of the joints times 1.3. For a folder of images the
      frames are found by the names of their files, for other videos by the frame number (see
      `read_videos`), from 0;
    * the three formats of `cmpose_mm.posetrack.detections`. Where a record has an ``image_id`` and
      no name, it is PoseTrack18's (1, six digits of the video, four of the frame) or the frame's
      number from 0.

    Boxes that can't be used are left out, and a warning is logged that counts them; that none can
    be used is an error. Text may be UTF-8 or UTF-16.

    Args:
        path: the file. It may have boxes of other videos too.
        frames: the opened video.

    Raises:
        OSError: if the file can't be read.
        ValueError: if it has another structure, or no box in it belongs to this video.
    """
    path = Path(path)
    problems: list[str] = []
    if path.suffix.lower() == '.csv':
        boxes = FileBoxes(_read_csv(path))
    else:
        boxes = _read_json(path, frames, problems)
    for problem in problems:
        print_log(f'{frames.name}: {problem}', 'current', logging.WARNING)
    if not any(len(persons) for persons, _ in boxes.boxes.values()):
        raise ValueError(f'{path}: has no boxes, expected those of persons in {frames.name}')
    return boxes


def _read_json(path: Path, frames: FrameReader, problems: list[str]) -> FileBoxes:
    """Boxes of all formats but CSV."""
    try:
        content = {'annolist': ()} if path.suffix.lower() == '.mat' else read_json(path)
    except AnnotationError as error:
        raise ValueError(
            f'{error} Expected boxes in a CSV (its name ends in .csv) with the columns '
            f'{", ".join(CSV_COLUMNS)}, or PoseTrack JSON or detections (docs/inference.md).'
        ) from None
    if isinstance(content, dict) and ('images' in content or 'annolist' in content):
        boxes, sizes = _read_posetrack(path, content, frames, problems)
        return FileBoxes(boxes, inside=True, sizes=sizes, path=path)
    video = _numbered_frames(path, content, frames)
    found = read_detections(str(path), [video], problems=problems)
    numbers = {frame.image_id: frame.number for frame in video.frames}
    return FileBoxes({numbers[image_id]: persons for image_id, persons in found.items()})


def _read_csv(path: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Boxes and scores by frame."""
    content = path.read_bytes()
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: expected text in UTF-8 or UTF-16 ({error})') from None
    columns, table = table_rows(path, io.StringIO(text, newline=''), skip_spaces=True)
    missing = [name for name in CSV_COLUMNS if name not in columns]
    if missing:
        raise ValueError(
            f'{path}: expected a header with the columns {", ".join(CSV_COLUMNS)}, '
            f'found {", ".join(columns) or "an empty file"}'
        )
    check_table(path, columns, table, (*CSV_COLUMNS, 'score'))
    rows: dict[int, list] = {}
    for line, row in table:
        if row['frame'] and not any(row[name] for name in CSV_COLUMNS[1:]):
            continue  # a frame without persons, as `CsvWriter` writes it
        texts = {name: row[name] for name in CSV_COLUMNS}
        texts['score'] = row.get('score') or '1'
        numbers = {name: _number(text) for name, text in texts.items()}
        frame = as_int(numbers['frame'])
        limits = dict.fromkeys(texts, MAX_COORDINATE) | dict(frame=MAX_FRAMES)
        wrong = [name for name, limit in limits.items() if not abs(numbers[name]) < limit]
        if wrong or frame is None or frame < 0:
            name = wrong[0] if wrong else 'frame'
            expected = 'a whole number from 0' if name == 'frame' else 'a finite number'
            if abs(numbers[name]) >= limits[name]:
                expected += f' below {limits[name]:,.0f}'
            raise ValueError(
                f'{path}: line {line}: {name}: expected {expected}, found {texts[name]}'
            )
        rows.setdefault(frame, []).append([*numbers.values()][1:])
    arrays = {number: np.array(values) for number, values in rows.items()}
    return {number: (array[:, :4], array[:, 4]) for number, array in arrays.items()}


def _number(text: str | None) -> float:
    """The number that a cell of a table holds; nan if it holds none."""
    try:
        return float(text or 'nan')
    except ValueError:
        return np.nan


def _read_posetrack(
    path: Path, content: dict, frames: FrameReader, problems: list[str]
) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], dict[int, tuple[int, int]]]:
    """Boxes and scores by frame, of PoseTrack labels or predictions, and sizes of the images.

    Images of a folder are found by their names, frames of a video by their numbers; predictions
    made from the one may be used with the other.
    """
    videos = read_videos(path, other_joints=True)
    if len(videos) > 1:
        videos = [v for v in videos if frames.name in (v.name, _folder(v))]
    if len(videos) != 1:
        raise ValueError(f'{path}: expected one video, or one of the name {frames.name!r}')
    (video,) = videos
    numbers = _numbers_by_file(frames)
    first = 0 if video.has_image_ids else 1  # PoseTrack17 counts from 1
    listed = content.get('images', [])
    images = {image['id']: image for image in listed}
    of_video = dict(zip(images, numbers_of_video_frames(listed)))
    found, sizes = {}, {}
    strangers: list[str] = []
    num_without_box = 0
    for frame in video.frames:
        image = images.get(frame.image_id, {})
        number = of_video.get(frame.image_id)
        if number is None and numbers is not None:
            number = numbers.get(_file(frame.file_name))
        elif number is None:
            position = as_int(image.get('frame_number'))
            number = frame.number - first if position is None else position
        boxes = person_boxes(frame.boxes, frame.keypoints)
        if len(boxes) and number is None:
            strangers.append(frame.file_name)
        elif len(boxes):
            has_box = np.isfinite(boxes).all(axis=1)
            num_without_box += np.count_nonzero(~has_box)
            found[number] = boxes[has_box], np.ones(np.count_nonzero(has_box))
            if frame.width and frame.height:
                sizes[number] = frame.width, frame.height
    if not found:
        raise ValueError(f'{path}: none of its frames with persons belongs to {frames.name}')
    if strangers:
        problems.append(
            f'{path}: the persons of {len(strangers)} frames are left out, whose images are not in '
            f'the folder (first: {strangers[0]})'
        )
    if num_without_box:
        problems.append(
            f'{path}: {num_without_box} persons are left out, who have no box and no joint'
        )
    return found, sizes


def _numbered_frames(path: Path, content: object, frames: FrameReader) -> Video:
    """A label-like list of the video's frames, for readers of boxes to find them in.

    The frames of a folder are known. Of another video, whose length may not be known before its
    end, they are those that `content`, a file of detections, speaks of.
    """
    names = _numbers_by_file(frames)
    if names is None:
        names = _numbers_in_detections(path, content, frames.name)
    blank = empty_frame('', -1, 0)
    first_id = _first_id(frames.name, content)
    numbered = []
    for name, number in names.items():
        in_name = _number_in(name)
        image_id = number if first_id is None or in_name is None else first_id + in_name
        file_name = f'{frames.name}/{name}'
        numbered.append(replace(blank, file_name=file_name, image_id=image_id, number=number))
    return Video(frames.name, numbered, '')


def _numbers_in_detections(path: Path, content: object, video: str) -> dict[str, int]:
    """Names of frames, and their numbers from 0, that a file of detections speaks of."""
    numbers: set[int] = set()
    names: dict[str, int] = {}
    if isinstance(content, dict):  # by video, then by the frame's place from 1
        places = [n for frames in content.values() if isinstance(frames, dict) for n in frames]
        last = max((int(n) for n in places if n.isdecimal()), default=0)
        if last > MAX_FRAMES:
            raise ValueError(f'{path}: has frame {last}, expected numbers up to {MAX_FRAMES:,}')
        numbers.update(range(last))
    first_id, num_ids = _first_id(video, content), 10**4
    if first_id is None:
        first_id, num_ids = 0, 10**10
    for record in content if isinstance(content, list) else ():
        if not isinstance(record, dict):
            continue
        name, image_id = record.get('image_name'), as_int(record.get('image_id'))
        if isinstance(name, str) and _number_in(name) is not None:
            names[_file(name)] = _number_in(name)
        elif image_id is not None and 0 <= image_id - first_id < num_ids:
            numbers.add(image_id - first_id)
    return {**{f'{number:06d}.jpg': number for number in sorted(numbers)}, **names}


def _number_in(name: str) -> int | None:
    """The digits that end a file's stem."""
    digits = re.search(r'(\d+)\.\w+$', name)
    return int(digits[1]) if digits else None


def _first_id(video: str, content: object) -> int | None:
    """PoseTrack18's image id of a video's frame 0.

    None for a video that is not named like them, or if `content`, a file of detections, has ids,
    but none of that video: they are numbers of frames then.
    """
    folder = re.match(r'\d{6}(?!\d)', video)
    if folder is None:
        return None
    first = 10**10 + int(folder.group()) * 10**4
    records = content if isinstance(content, list) else ()
    ids = [as_int(record.get('image_id')) for record in records if isinstance(record, dict)]
    ids = [image_id for image_id in ids if image_id is not None]
    is_of_video = any(first <= image_id < first + 10**4 for image_id in ids)
    return first if is_of_video or not ids else None


def _numbers_by_file(frames: FrameReader) -> dict[str, int] | None:
    """Numbers of a folder's frames by the names of their files; None for other videos."""
    if frames.paths is None:
        return None
    return {_file(path): number for number, path in enumerate(frames.paths)}


def _file(name: str) -> str:
    return name.replace('\\', '/').rsplit('/', 1)[-1]


def _folder(video: Video) -> str:
    return Path(video.frames[0].file_name.replace('\\', '/')).parent.name
