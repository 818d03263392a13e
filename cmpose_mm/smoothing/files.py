"""Smoothing of prediction files in PoseTrack18's form, with any joints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import numpy as np

from cmpose_mm.pose_formats.pose_video import check_predictions
from cmpose_mm.posetrack.annotations import MISSING_SCORE, AnnotationError
from cmpose_mm.posetrack.file_names import is_hidden, numbers_in_names, split_name
from cmpose_mm.posetrack.json_files import json_bytes, read_json
from cmpose_mm.whole_files import write_whole

from .series import even_points, fill_gaps, fitting_window, pieces, smooth_series, window_in_frames

_MAX_FRAMES = 2.0**53
"""Of a window or a gap; numbers of frames are exact up to here."""

_GAP_TOLERANCE = 0.05
"""Frames: 0.2 s are 6 frames also at 29.97 frames a second."""
_MAX_ORDER = 8
"""Of a polynomial; SciPy's fit of higher ones is off by pixels."""


@dataclass
class Smoothed:
    """What was done.

    Attributes:
        tracks: that were smoothed.
        joints_filled: joints that were interpolated, in persons that are there or were added.
        persons_added: persons in frames in which their track was not seen.
        persons_without_track: who have no track id, or a negative one, and stay as they are.
        tracks_kept: that stay as they are but for filled gaps, since no joint of theirs is there
            for long enough without a gap.
        windows: odd numbers of frames that polynomials were fitted to, one or more a file; runs
            that are shorter get smaller ones; 1 is no smoothing.
        steps: where a frame rate was given, how far the numbers of neighboring images usually are
            apart, one for each video; 1 if every frame is there.
    """

    tracks: int = 0
    joints_filled: int = 0
    persons_added: int = 0
    persons_without_track: int = 0
    tracks_kept: int = 0
    windows: set[int] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)

    def add(self, other: Smoothed) -> None:
        """Adds what was done elsewhere."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, mine | value if isinstance(mine, set) else mine + value)

    def __str__(self) -> str:
        windows = ' or '.join(map(str, sorted(self.windows - {1})))
        parts = [f'{self.tracks} tracks']
        parts += [f'window of {windows} frames'] if windows else []
        if self.tracks == self.tracks_kept:
            parts.append('nothing smoothed')
        if self.tracks_kept and windows:
            parts.append(f'{self.tracks_kept} tracks too short to be smoothed')
        parts += [
            f'{self.joints_filled} joints filled',
            f'{self.persons_added} persons added',
            f'{self.persons_without_track} persons without a track id',
        ]
        if self.steps - {1}:
            steps = ' or '.join(map(str, sorted(self.steps)))
            parts.append(f'images {steps} frames apart, by "frame_number" or name')
        return ', '.join(parts)


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
    files = [predictions]
    if is_folder:
        files = sorted(
            file
            for file in predictions.iterdir()
            if file.suffix.lower() == '.json' and not is_hidden(file.name) and not file.is_dir()
        )
    if not files:
        raise AnnotationError(f'{predictions}: has no .json file; expected predictions to smooth.')
    done = Smoothed()
    contents: dict[Path, bytes] = {}
    for file in progress(files):
        content = read_json(file)
        try:
            smoothed, of_file = smooth_predictions(content, **options)
        except ValueError as error:
            raise AnnotationError(f'{file}: {error}') from error
        done.add(of_file)
        contents[out / file.name if is_folder else out] = json_bytes(smoothed)
    for target, smoothed in contents.items():  # nothing, if a file is wrong
        write_whole(target, smoothed)
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

    Images of one folder are a video, in the order of the file. A joint is absent from a frame if
    x = y = v = 0, or if its person is. A gap is the time by which two frames with a joint are
    further apart than frames usually are (the median, of an even number the lower one), whether the
    file lists images between them or not. Nothing is smoothed across gaps that are too long to
    fill. What is filled in lies on a straight line between both sides, coordinates, scores and box
    alike; a person that is added has ``"filled": true``. Boxes and scores of other persons stay.

    Args:
        content: of a file: ``images``, and ``annotations`` with ``keypoints`` (x, y, v of any
            number of joints) and ``track_id``, and perhaps ``scores``, ``score`` and ``bbox``.
        frame_rate: frames a second; given, ``time`` of the images does not count. They are then
            ``frame_number`` frames apart, or by the numbers in their names, or one frame each.
        window: of the polynomials in seconds; 0 smooths nothing. See `window_in_frames`.
        order: of the polynomials, up to 8.
        max_gap: longest gap to fill, in seconds; 0 fills none.

    Returns:
        Another content and what was done. What is given stays as it is.

    Raises:
        ValueError: one sentence about an option or entry that is missing or wrong, or if the frame
            rate is neither given nor told by the images.
    """
    for name, value in (('window', window), ('max_gap', max_gap), ('order', order)):
        if not 0 <= value < inf:
            raise ValueError(f'{name} is {value}, expected 0 or more.')
    if order > _MAX_ORDER:
        raise ValueError(f'order is {order}, expected at most {_MAX_ORDER}.')
    if frame_rate is not None and not 0 < frame_rate < inf:
        raise ValueError(f'frame_rate is {frame_rate}, expected a number above 0.')
    check_predictions(content)
    places: dict[int, tuple[str, int]] = {}
    videos: dict[str, list[dict]] = defaultdict(list)
    for image in content['images']:
        video = split_name(str(image.get('file_name', '')))[0]
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
    tracked = dict.fromkeys(video for video, _ in tracks)
    times_of = {video: _times(videos[video], frame_rate) for video in tracked}
    for (video, _), members in tracks.items():
        images = videos[video]
        times, rate = times_of[video]
        if frame_rate is not None and len(images) > 1:
            done.steps.add(round(frame_rate / rate))
        for name, value in (('window', window), ('max_gap', max_gap)):
            if not value * rate <= _MAX_FRAMES:
                raise ValueError(
                    f'{name} is {value:g} s, expected at most {_MAX_FRAMES / rate:g} s at {rate:g} '
                    'frames a second.'
                )
        added = _smooth_track(
            [image['id'] for image in images],
            times,
            {place: annotations[index] for place, index in members.items()},
            window_in_frames(window, rate, order),
            order,
            int(max_gap * rate + _GAP_TOLERANCE),
            done,
        )
        for annotation in added:
            annotation['id'], next_id = next_id, next_id + 1
        annotations += added
        done.tracks += 1
        done.persons_added += len(added)
    return {**content, 'annotations': annotations}, done


def _times(images: list[dict], frame_rate: float | None) -> tuple[np.ndarray, float]:
    """Times of a video's images, counted in frames (see `series`), and frames a second."""
    if len(images) == 1:
        return np.zeros(1), frame_rate or 1.0
    if frame_rate is not None:
        times = _numbers(images) / frame_rate
    else:
        times = np.array([image.get('time') for image in images], np.float64)
    without = int(np.isnan(times).sum())
    if without:
        which = 'the images have' if without == len(times) else f'{without} images have'
        raise ValueError(f'{which} no "time" in seconds; expected a frame rate to be given.')
    steps = np.diff(times)
    if (steps <= 0).any():
        late = int(np.argmax(steps <= 0)) + 1
        if frame_rate is not None:
            raise ValueError(
                f'image {late} is frame {times[late] * frame_rate:g} after frame '
                f'{times[late - 1] * frame_rate:g} of the image before, by "frame_number" or name, '
                'expected rising numbers.'
            )
        raise ValueError(
            f'image {late}: "time" is {times[late]:g} s after {times[late - 1]:g} s of the image '
            'before, expected rising times, or a frame rate to be given.'
        )
    # A real step, so at least one is usual: of two in the middle the lower, as frames get lost.
    median = np.sort(steps)[(len(steps) - 1) // 2]
    usual = np.rint(steps / median) == 1
    rate = float(1 / steps[usual].mean())  # the median of times in milliseconds is off by 1 %
    return (times - times[0]) * rate, rate


def _numbers(images: list[dict]) -> np.ndarray:
    """Numbers of a video's images in it, float64."""
    numbers = [image.get('frame_number') for image in images]
    if None in numbers:
        numbers = numbers_in_names([str(image.get('file_name', '')) for image in images])
    return np.arange(len(images), dtype=float) if numbers is None else np.array(numbers, float)


def _smooth_track(
    image_ids: list[int],
    times: np.ndarray,
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
    for member in members.values():
        if len(member.get('scores') or []) not in (0, joints):
            raise ValueError(
                f'track {member["track_id"]}: a person has {len(member["scores"])} "scores", '
                f'expected {joints}, one for each joint.'
            )
    values = np.zeros((length, joints, 3))  # x, y, score
    boxes, person_scores = np.zeros((length, 4)), np.zeros((length, 1))
    seen = np.zeros((length, joints), bool)
    scored = np.zeros((length, joints), bool)
    has_box, has_score = np.zeros((2, length), bool)
    for place, member in members.items():
        keypoints = np.asarray(member['keypoints'], np.float64).reshape(joints, 3)
        values[place - first, :, :2] = keypoints[:, :2]
        values[place - first, :, 2] = member.get('scores') or 0
        if member.get('scores'):
            scored[place - first] = values[place - first, :, 2] != MISSING_SCORE
        boxes[place - first] = member.get('bbox') or [0] * 4
        has_box[place - first] = bool(member.get('bbox'))
        person_scores[place - first] = member.get('score') or 0
        has_score[place - first] = member.get('score') is not None
        seen[place - first] = (keypoints != 0).any(axis=1)
    known, times, fits = seen.copy(), times[first : last + 1], False
    scored &= seen  # of what a file does not have, nothing is filled
    for joint in range(joints):
        filled, known[:, joint] = fill_gaps(values[:, joint, :2], seen[:, joint], max_gap, times)
        scores, scored[:, joint] = fill_gaps(values[:, joint, 2:], scored[:, joint], max_gap, times)
        smoothed = smooth_series(filled, known[:, joint], window, order, times, max_gap)
        values[:, joint] = np.concatenate([smoothed, scores], axis=1)
        fits |= any(
            fitting_window(even_points(times[start:stop]), window, order)
            for start, stop in pieces(known[:, joint], times, max_gap)
        )
    done.windows.add(window)
    done.tracks_kept += not fits
    boxes, has_box = fill_gaps(boxes, has_box, max_gap, times)
    person_scores, has_score = fill_gaps(person_scores, has_score, max_gap, times)
    added = []
    for place in range(length):
        if not known[place].any():
            continue
        member = members.get(place + first)
        if member is not None:
            before = member
        else:
            member = {**before, 'image_id': image_ids[place + first], 'filled': True}
            for name in ('bbox', 'bbox_head', 'head_box', 'scores', 'score'):
                member.pop(name, None)  # of where it was before
            member['keypoints'] = [0.0] * (3 * joints)
            if before.get('scores') and scored[place].any():
                member['scores'] = [0.0] * joints
            if before.get('bbox') and has_box[place]:
                member['bbox'] = boxes[place].tolist()
            if before.get('score') is not None and has_score[place]:
                member['score'] = float(person_scores[place, 0])
            added.append(member)
        keypoints = np.array(member['keypoints'], np.float64).reshape(joints, 3)
        now, new = known[place], known[place] & ~seen[place]
        keypoints[now, :2] = values[place, now, :2]
        keypoints[new, 2] = 1
        done.joints_filled += int(new.sum())
        member['keypoints'] = keypoints.ravel().tolist()
        if member.get('scores'):
            scores = np.array(member['scores'], np.float64)
            new &= scored[place]
            scores[new] = values[place, new, 2]
            member['scores'] = scores.tolist()
    return added
