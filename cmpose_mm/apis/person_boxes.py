"""Where the boxes of persons come from: a detector, a file, or the whole frame.

A *box source* is any callable ``source(frame) -> (boxes, scores)`` with a `VideoFrame`, boxes
(P, 4) x1, y1, x2, y2 in pixels of the image and scores (P,).
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import orjson
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from cmpose_mm.compat import import_mmdet
from cmpose_mm.posetrack.annotations import Frame, Video, empty_frame, read_videos
from cmpose_mm.posetrack.detections import read_detections
from cmpose_mm.posetrack.persons import clip_box, person_boxes

from .loading import find_checkpoint, find_config, load_weights, read_checkpoint
from .video_io import FrameReader, VideoFrame

CSV_COLUMNS = ('frame', 'x1', 'y1', 'x2', 'y2')
_SLACK = 100  # frames that a video may have beyond what its header says


def whole_frame(frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
    """One box, the frame's: for a video of one person who fills it."""
    height, width = frame.image.shape[:2]
    return np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32)


class PersonDetector:
    """Box source: any detector of MMDetection.

    Kept are boxes of the class ``person``, or of the only class of a detector that has just one.

    Args:
        config: MMDetection config, see `find_config`.
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
        checkpoint: str | Path | None,
        device: str = 'cpu',
        score_thr: float = 0.3,
        download: bool = False,
    ) -> None:
        import_mmdet()
        from mmdet.apis import inference_detector, init_detector
        from mmdet.utils import get_test_pipeline_cfg

        path = find_config(config)
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
    """

    def __init__(
        self, boxes: dict[int, tuple[np.ndarray, np.ndarray]], inside: bool = False
    ) -> None:
        self.boxes, self.inside = boxes, inside

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Persons of one frame, in the order of the file."""
        boxes, scores = self.boxes.get(frame.number, (np.zeros((0, 4)), np.zeros(0)))
        if self.inside:
            boxes = clip_box(boxes, *frame.image.shape[1::-1])
        return np.asarray(boxes, np.float32), np.asarray(scores, np.float32)


def read_boxes(path: str | Path, frames: FrameReader) -> FileBoxes:
    """Boxes of a video's persons from a file.

    The formats, told apart by the content:

    * CSV with a header and the columns ``frame, x1, y1, x2, y2`` and, optionally, ``score``; other
      columns are ignored. ``frame`` counts from 0;
    * PoseTrack18 labels or predictions. A person without ``bbox`` gets the extent of the joints
      times 1.3. For a folder of images the frames are found by the names of their files, for other
      videos by the number that ends the name in the file, from 0;
    * the three formats of `cmpose_mm.posetrack.detections`. Where a record has an ``image_id`` and
      no name, it is PoseTrack18's (1, six digits of the video, four of the frame) or the frame's
      number from 0.

    Args:
        path: the file. It may have boxes of other videos too.
        frames: the opened video.

    Raises:
        OSError: if the file can't be read.
        ValueError: if it has another structure, or no box in it belongs to this video.
    """
    path = Path(path)
    if path.suffix.lower() == '.csv':
        return FileBoxes(_read_csv(path))
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f'{path}: neither .csv nor readable as JSON ({error})') from None
    if isinstance(content, dict) and ('images' in content or 'annolist' in content):
        return FileBoxes(_read_posetrack(path, frames), inside=True)
    video = _numbered_frames(frames)
    problems: list[str] = []
    found = read_detections(str(path), [video], problems=problems)
    for problem in problems:
        print_log(f'{frames.name}: {problem}', 'current')
    numbers = {frame.image_id: frame.number for frame in video.frames}
    return FileBoxes({numbers[image_id]: boxes for image_id, boxes in found.items()})


def _read_csv(path: Path) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Boxes and scores by frame."""
    rows: dict[int, list] = {}
    with path.open(newline='', encoding='utf-8-sig') as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        missing = [name for name in CSV_COLUMNS if name not in columns]
        if missing:
            raise ValueError(
                f'{path}: expected a header with the columns {", ".join(CSV_COLUMNS)}, '
                f'found {", ".join(columns) or "an empty file"}'
            )
        for row in reader:
            try:
                number = int(row['frame'])
                values = [float(row[name]) for name in CSV_COLUMNS[1:]]
                values.append(float(row.get('score') or 1))
                valid = bool(np.isfinite(values).all())
            except (TypeError, ValueError):
                valid = False
            if not valid or number < 0:
                raise ValueError(
                    f'{path}: line {reader.line_num}: expected a frame from 0 and four finite '
                    f'numbers, found {", ".join(str(row[name]) for name in CSV_COLUMNS)}'
                )
            rows.setdefault(number, []).append(values)
    arrays = {number: np.array(values) for number, values in rows.items()}
    return {number: (array[:, :4], array[:, 4]) for number, array in arrays.items()}


def _read_posetrack(path: Path, frames: FrameReader) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Boxes and scores by frame, of PoseTrack labels or predictions."""
    videos = read_videos(path)
    if len(videos) > 1:
        videos = [v for v in videos if frames.name in (v.name, _folder(v))]
    if len(videos) != 1:
        raise ValueError(f'{path}: expected one video, or one of the name {frames.name!r}')
    numbers = _numbers_by_file(frames)
    found = {}
    for frame in videos[0].frames:
        number = frame.number if numbers is None else numbers.get(_file(frame.file_name))
        if number is not None and len(frame.boxes):
            boxes = person_boxes(frame.boxes, frame.keypoints)
            boxes = boxes[np.isfinite(boxes).all(axis=1)]
            found[number] = boxes, np.ones(len(boxes))
    if not found:
        raise ValueError(f'{path}: none of its frames with persons belongs to {frames.name}')
    return found


def _numbered_frames(frames: FrameReader) -> Video:
    """A label-like list of the video's frames, for readers of boxes to find them in."""
    names = _numbers_by_file(frames)
    if names is None:
        if frames.num_frames is None:
            raise ValueError(
                f'{frames.name}: boxes in this format need a folder or a file, whose number of '
                'frames is known; expected a CSV file'
            )
        names = {f'{n:06d}.jpg': n for n in range(frames.num_frames + _SLACK)}
    return Video(frames.name, [_numbered(frames.name, *item) for item in names.items()], '')


def _numbered(video: str, name: str, position: int) -> Frame:
    """A frame with PoseTrack18's image id, if the names are like PoseTrack18's."""
    folder, digits = re.match(r'\d{6}(?!\d)', video), re.search(r'(\d+)\.\w+$', name)
    image_id = position
    if folder and digits:
        image_id = 10**10 + int(folder.group()) * 10**4 + int(digits.group(1))
    return empty_frame(f'{video}/{name}', image_id, position)


def _numbers_by_file(frames: FrameReader) -> dict[str, int] | None:
    """Numbers of a folder's frames by the names of their files; None for other videos."""
    if frames.paths is None:
        return None
    return {_file(path): number for number, path in enumerate(frames.paths)}


def _file(name: str) -> str:
    return name.replace('\\', '/').rsplit('/', 1)[-1]


def _folder(video: Video) -> str:
    return Path(video.frames[0].file_name.replace('\\', '/')).parent.name
