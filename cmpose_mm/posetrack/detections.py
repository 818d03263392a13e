"""Person detections in the three formats that go around for PoseTrack.

- a COCO list: ``{image_id, category_id, bbox (x, y, w, h), score}`` (MMPose);
- the same list whose records also name the frame, ``image_name`` (DCPose's precomputed boxes): the
  name decides, because PoseTrack17's labels have no image ids that two readers would agree on;
- a dict video -> frame -> rows ``[x1, y1, x2, y2, score]`` (PoseTrack21), where frame ``'1'`` is
  the first frame of the video in the label file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import numpy as np

from .file_names import split_name, video_and_file
from .json_files import read_json
from .values import as_int

PERSON_CATEGORY = 1
LABEL_SUFFIXES = ('.json', '.mat')
"""Of the label files by whose names some detection files call the videos."""
LARGEST = 1e9  # pixels; more is no coordinate


def read_detections(
    path: str, videos: list, *, problems: list[str] | None = None
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Reads person boxes and sorts them by the frames of ``videos``.

    Args:
        path: JSON file in one of the three formats; the content tells which.
        videos: the videos of the label file, from `read_videos`.
        problems: where given, what can't be used is dropped and one sentence per kind of problem,
            with its count and first case, is appended. By default the first problem raises.

    Returns:
        Image id -> boxes (M, 4) float64, x1 y1 x2 y2 in pixels of the image, and scores (M,)
        float64, in the order of the file. Frames without a detection are absent.

    Raises:
        ValueError: if the file is no JSON, has another structure, none of its boxes belongs to a
            frame of ``videos``, or (without ``problems``) one of them can't be used. Also if it
            has an unknown image id where the labels have no ids of their own: the ids that they
            got count their videos, so those of the file are of other labels, and would be of other
            images.
    """
    content = read_json(path)
    if isinstance(content, dict):
        rows = _rows_by_video(content, videos)
    elif isinstance(content, list):
        rows = _rows_of_list(path, content, videos)
    else:
        raise ValueError(
            f'{path}: expected a list of detections or a dict by video, '
            f'found {type(content).__name__}'
        )

    found: dict[int, list[list[float]]] = {}
    dropped, first = Counter(), {}
    for where, image_id, box_and_score, problem in rows:
        if problem is None:
            found.setdefault(image_id, []).append(box_and_score)
            continue
        if problems is None:
            raise ValueError(f'{path}: {where}: {problem}')
        dropped[problem] += 1
        first.setdefault(problem, where)
    if problems is not None:
        for problem, count in dropped.items():
            problems.append(
                f'{path}: {count} detections dropped: {problem} (first: {first[problem]})'
            )
    if dropped and not found:
        problem, count = dropped.most_common(1)[0]
        raise ValueError(
            f'{path}: no detection can be used; {count} of {sum(dropped.values())}: {problem} '
            f'(first: {first[problem]})'
        )
    arrays = {image_id: np.array(boxes, np.float64) for image_id, boxes in found.items()}
    return {image_id: (array[:, :4], array[:, 4]) for image_id, array in arrays.items()}


# The two row readers below yield (where, image id, [x1, y1, x2, y2, score], problem or None).


def _rows_of_list(path: str, records: list, videos: list) -> Iterator[tuple]:
    """Rows of a COCO list, with or without image names."""
    known_ids = {frame.image_id for video in videos for frame in video.frames}
    made_up = any(not video.has_image_ids for video in videos)
    ids_by_name: dict[str, int | None] = {}
    for video in videos:
        for frame in video.frames:
            name = video_and_file(frame.file_name)
            # Two frames of one name: neither can be meant.
            ids_by_name[name] = None if name in ids_by_name else frame.image_id

    for index, record in enumerate(records):
        where = f'detection {index}'
        if not isinstance(record, dict):
            yield where, None, None, 'not a dict'
            continue
        if record.get('category_id', PERSON_CATEGORY) != PERSON_CATEGORY:
            yield where, None, None, f'category_id is not {PERSON_CATEGORY} (person)'
            continue
        if isinstance(record.get('image_name'), str):
            where += f', image_name {record["image_name"]}'
            image_id = ids_by_name.get(video_and_file(record['image_name']))
        else:
            where += f', image_id {record.get("image_id")}'
            image_id = as_int(record.get('image_id'))
            if made_up and image_id is not None and image_id not in known_ids:
                raise ValueError(
                    f'{path}: {where} is not in the label file, whose images have no ids of their '
                    'own: those of the detections count the videos of other labels; expected '
                    'detections that were made with these labels, or that have image_name'
                )
            image_id = image_id if image_id in known_ids else None
        if image_id is None:
            yield where, None, None, 'its image is not in the label file'
            continue
        box, score = record.get('bbox'), record.get('score')
        if not (_are_numbers(box, 4) and _are_numbers([score], 1)):
            yield where, None, None, 'bbox (4 numbers) or score (a number) is missing or not finite'
            continue
        x, y, w, h = box
        yield _checked(where, image_id, [x, y, x + w, y + h, score])


def _rows_by_video(by_video: dict, videos: list) -> Iterator[tuple]:
    """Rows of PoseTrack21's dict."""
    known: dict[str, object] = {}
    for video in videos:
        if video.frames:
            folder = split_name(split_name(video.frames[0].file_name)[0])[1]
            # Two videos whose folders have one name: neither can be meant.
            known[folder] = None if folder in known else video
    known.update({video.name: video for video in videos})

    for name, by_frame in by_video.items():
        stem, suffix = os.path.splitext(name)
        video = known.get(stem if name not in known and suffix in LABEL_SUFFIXES else name)
        if not isinstance(by_frame, dict):
            yield f'video {name}', None, None, 'not a dict by frame'
            continue
        for number, rows in by_frame.items():
            rows = rows if isinstance(rows, list) else [rows]
            # Detectors with classes write one more list around the rows: [[row, row, ...]].
            if len(rows) == 1 and isinstance(rows[0], list) and not _are_numbers(rows[0], 5):
                rows = rows[0]
            for row in rows:
                where = f'video {name}, frame {number}'
                position = int(number) - 1 if number.isdecimal() else -1
                if video is None or not 0 <= position < len(video.frames):
                    yield where, None, None, 'its image is not in the label file'
                elif not _are_numbers(row, 5):
                    yield where, None, None, 'not five finite numbers x1, y1, x2, y2, score'
                else:
                    yield _checked(where, video.frames[position].image_id, row)


def _checked(where: str, image_id: int, row: list) -> tuple:
    """The row, with a problem if its box has no area."""
    x1, y1, x2, y2, _ = row
    empty = x2 <= x1 or y2 <= y1
    return where, image_id, row, 'box of zero or negative size' if empty else None


def _are_numbers(values, count: int) -> bool:
    """Whether ``values`` is a list of ``count`` numbers without bool, NaN, infinity or giants."""
    return (
        isinstance(values, (list, tuple))
        and len(values) == count
        and all(type(v) in (int, float) and abs(v) < LARGEST for v in values)
    )
