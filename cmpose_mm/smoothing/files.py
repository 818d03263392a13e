"""Smoothing of prediction files in PoseTrack18's form, with any joints."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson

from cmpose_mm.pose_formats.pose_video import check_predictions, median_frame_rate
from cmpose_mm.posetrack.annotations import AnnotationError
from cmpose_mm.posetrack.json_files import read_json
from cmpose_mm.whole_files import write_whole

from .series import fill_gaps, smooth_series, window_in_frames


@dataclass
class Smoothed:
    """What was done.

    Attributes:
        tracks: that were smoothed.
        joints_filled: joints that were interpolated, in persons that are there or were added.
        persons_added: persons in frames in which their track was not seen.
        persons_without_track: who have no track id, or a negative one, and stay as they are.
    """

    tracks: int = 0
    joints_filled: int = 0
    persons_added: int = 0
    persons_without_track: int = 0


def smooth_files(
    predictions: str | Path,
    out: str | Path,
    *,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
    **options: float | None,
) -> Smoothed:
    """Smooths a file, or all ``.json`` files of a folder.

    Args:
        predictions: file or folder, see `smooth_predictions`.
        out: file or folder to write; existing files of the same names are replaced.
        progress: wraps the files, for example `tqdm.tqdm`.
        **options: of `smooth_predictions`.

    Returns:
        What was done, in all files together.

    Raises:
        AnnotationError: one sentence about what is wrong with a file, or if ``out`` is
            ``predictions``.
    """
    predictions, out = Path(predictions), Path(out)
    if not predictions.exists():
        raise AnnotationError(f'{predictions}: not found; expected predictions to smooth.')
    if predictions.resolve() == out.resolve():
        raise AnnotationError(f'{out}: holds the predictions; expected another place to write to.')
    is_folder = predictions.is_dir()
    files = sorted(predictions.glob('*.json')) if is_folder else [predictions]
    if not files:
        raise AnnotationError(f'{predictions}: has no .json file; expected predictions to smooth.')
    done = Smoothed()
    for file in progress(files):
        content = read_json(file)
        try:
            smoothed, of_file = smooth_predictions(content, **options)
        except ValueError as error:
            raise AnnotationError(f'{file}: {error}') from error
        for name, number in asdict(of_file).items():
            setattr(done, name, getattr(done, name) + number)
        target = out / file.name if is_folder else out
        write_whole(target, orjson.dumps(smoothed))
    return done


def smooth_predictions(
    content: dict,
    *,
    frame_rate: float | None = None,
    window: float = 0.25,
    order: int = 2,
    max_gap: float = 0.2,
) -> tuple[dict, Smoothed]:
    """Fills short gaps in tracks and smooths their joints, see `series`.

    Each image that a video lists is one step in time, in the order of the file; images of one
    folder are a video. A joint is absent from a frame if x = y = v = 0, or if its person is. What
    is filled in lies on a straight line between both sides, coordinates, scores and box alike; a
    person that is added has ``"filled": true``. Boxes and scores of other persons stay.

    Args:
        content: of a file: ``images``, and ``annotations`` with ``keypoints`` (x, y, v of any
            number of joints) and ``track_id``, and perhaps ``scores``, ``score`` and ``bbox``.
        frame_rate: frames a second, by default from ``time`` of the images.
        window: of the polynomials in seconds.
        order: of the polynomials.
        max_gap: longest gap to fill, in seconds; 0 fills none.

    Returns:
        Another content and what was done. What is given stays as it is.

    Raises:
        ValueError: one sentence about an entry that is missing or wrong, or if the frame rate is
            neither given nor told by the images.
    """
    check_predictions(content)
    places: dict[int, tuple[str, int]] = {}
    videos: dict[str, list[dict]] = defaultdict(list)
    for image in content['images']:
        video = posixpath.dirname(str(image.get('file_name', '')))
        places[image['id']] = video, len(videos[video])
        videos[video].append(image)
    tracks: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    annotations = [dict(annotation) for annotation in content['annotations']]
    done = Smoothed()
    for index, annotation in enumerate(annotations):
        track = annotation.get('track_id', -1)
        video, place = places[annotation['image_id']]
        if track is None or track < 0:
            done.persons_without_track += 1
        elif tracks[video, track].setdefault(place, index) != index:
            raise ValueError(
                f'annotation {index}: "track_id" {track} is there twice in image '
                f'{annotation["image_id"]}, expected each track once.'
            )
    next_id = max((a['id'] for a in annotations if isinstance(a.get('id'), int)), default=-1) + 1
    for (video, _), members in tracks.items():
        images = videos[video]
        rate = frame_rate or _frame_rate(images)
        added = _smooth_track(
            [images[place]['id'] for place in range(len(images))],
            {place: annotations[index] for place, index in members.items()},
            window_in_frames(window, rate),
            order,
            round(max_gap * rate),
            done,
        )
        for annotation in added:
            annotation['id'], next_id = next_id, next_id + 1
        annotations += added
        done.tracks += 1
        done.persons_added += len(added)
    return {**content, 'annotations': annotations}, done


def _frame_rate(images: list[dict]) -> float:
    """Frames a second, by the images' times."""
    if len(images) == 1:
        return 1.0  # nothing depends on it
    rate = median_frame_rate([image.get('time') for image in images])
    if rate is None:
        raise ValueError('the images have no "time" in seconds; expected a frame rate to be given.')
    return rate


def _smooth_track(
    image_ids: list[int],
    members: dict[int, dict],
    window: int,
    order: int,
    max_gap: int,
    done: Smoothed,
) -> list[dict]:
    """Changes the annotations of one track, by place in the video; returns those to be added."""
    first, last = min(members), max(members)
    numbers = {len(member['keypoints']) for member in members.values()}
    if len(numbers) > 1 or numbers.pop() % 3:
        raise ValueError(
            f'track {next(iter(members.values()))["track_id"]}: persons have different numbers of '
            '"keypoints", expected x, y and v of the same joints.'
        )
    length = last - first + 1
    joints = len(next(iter(members.values()))['keypoints']) // 3
    values = np.zeros((length, joints, 3))  # x, y, score
    boxes = np.zeros((length, 5))  # and the person's score
    seen = np.zeros((length, joints), bool)
    for place, member in members.items():
        keypoints = np.asarray(member['keypoints'], np.float64).reshape(joints, 3)
        values[place - first, :, :2] = keypoints[:, :2]
        values[place - first, :, 2] = member.get('scores', 0)
        boxes[place - first] = [*member.get('bbox', [0] * 4), member.get('score', 0)]
        seen[place - first] = (keypoints != 0).any(axis=1)
    known = seen.copy()
    for joint in range(joints):
        filled, known[:, joint] = fill_gaps(values[:, joint], seen[:, joint], max_gap)
        smoothed = smooth_series(filled[:, :2], known[:, joint], window, order)
        values[:, joint] = np.concatenate([smoothed, filled[:, 2:]], axis=1)
    there = np.isin(np.arange(length), [place - first for place in members])
    boxes, _ = fill_gaps(boxes, there, max_gap)
    added = []
    for place in range(length):
        if not known[place].any():
            continue
        member = members.get(place + first)
        if member is not None:
            before = member
        else:
            member = {**before, 'image_id': image_ids[place + first], 'filled': True}
            member['keypoints'] = [0.0] * (3 * joints)
            if 'scores' in member:
                member['scores'] = [0.0] * joints
            if 'bbox' in member:
                member['bbox'] = boxes[place, :4].tolist()
            if 'score' in member:
                member['score'] = float(boxes[place, 4])
            added.append(member)
        keypoints = np.array(member['keypoints'], np.float64).reshape(joints, 3)
        now, new = known[place], known[place] & ~seen[place]
        keypoints[now, :2] = values[place, now, :2]
        keypoints[new, 2] = 1
        member['keypoints'] = keypoints.ravel().tolist()
        if 'scores' in member:
            scores = np.array(member['scores'], np.float64)
            scores[new] = values[place, new, 2]
            member['scores'] = scores.tolist()
        done.joints_filled += int(new.sum())
    return added
