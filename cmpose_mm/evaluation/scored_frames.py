"""What PoseTrack's measures look at: which frames, persons and joints of labels and predictions.

Pairs predicted frames with labeled ones, applies the benchmark's rules about frames without
persons, persons without joints, and ignore regions, and pairs predicted with labeled persons. All
measures start from here.

Shapes: P predicted and G labeled persons, J = 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError, Frame, Video, empty_frame
from cmpose_mm.posetrack.predictions import file_stem

from .grouped_pairs import pairs_within
from .polygons import inside_any_polygon

HEAD_SIZE_SCALE = 0.6
MATCH_DISTANCE = 0.5  # in head sizes
_NO_ONE = empty_frame('', -1, 0)


@dataclass(frozen=True)
class Rules:
    """In what the evaluators of the PoseTrack releases differ.

    Attributes:
        labeled_frames: score the frames that are marked as labeled, instead of those that list at
            least one person.
        positive_joints: a joint is present if x > 0 and y > 0, instead of unless x = y = v = 0.
        min_num_gt: smallest divisor of recall.
    """

    labeled_frames: bool = False
    positive_joints: bool = False
    min_num_gt: int = 0

    def present(self, keypoints: np.ndarray) -> np.ndarray:
        """(..., J) bool from keypoints (..., J, 3)."""
        if self.positive_joints:
            return (keypoints[..., 0] > 0) & (keypoints[..., 1] > 0)
        return (keypoints != 0).any(axis=-1)


RULES = {
    '17': Rules(),
    '18': Rules(),
    '21': Rules(labeled_frames=True, positive_joints=True, min_num_gt=1),
}
"""Rules by release of PoseTrack. 17 and 18 share the `poseval` evaluator."""


@dataclass
class ScoredVideo:
    """Persons of one video that are scored; each has at least one present joint.

    Persons are kept flat, frame after frame: G labeled and P predicted ones of F scored frames.

    Attributes:
        name: of the video.
        predictions: file of the predictions.
        frame_numbers: (F,) int64, see `Frame.number`.
        one_sided: (F,) bool, frames in which `poseval` finds no labeled or no predicted person. It
            also counts persons without joints, unless the frame has ignore regions.
        num_gt: (F,) labeled persons of each frame.
        gt_xy: (G, J, 2) pixels of the image.
        gt_boxes: (G, 4) x1, y1, x2, y2 in pixels of the image, cut to it where its size is known;
            NaN without a box.
        gt_present: (G, J) bool, labeled joints outside ignore regions.
        gt_visible: (G, J) bool, those of them that are labeled as visible (v > 0).
        gt_head_sizes: (G,) 0.6 x diagonal of the head box, pixels of the image; NaN without one.
        gt_track_ids: (G,) int64, -1 where missing.
        num_pred: (F,) predicted persons of each frame.
        pred_xy: (P, J, 2) pixels of the image.
        pred_boxes: (P, 4) likewise.
        pred_present: (P, J) bool.
        pred_scores: (P, J).
        pred_track_ids: (P,) int64, -1 where missing.
    """

    name: str
    predictions: str
    frame_numbers: np.ndarray
    one_sided: np.ndarray
    num_gt: np.ndarray
    gt_xy: np.ndarray
    gt_boxes: np.ndarray
    gt_present: np.ndarray
    gt_visible: np.ndarray
    gt_head_sizes: np.ndarray
    gt_track_ids: np.ndarray
    num_pred: np.ndarray
    pred_xy: np.ndarray
    pred_boxes: np.ndarray
    pred_present: np.ndarray
    pred_scores: np.ndarray
    pred_track_ids: np.ndarray

    def frames_and_tracks(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every labeled person, where and who it is.

        Returns:
            (G,) frame number; (G,) track id, -1 for a person that has none or shares it with
            another person of the frame.
        """
        frames = np.repeat(self.frame_numbers, self.num_gt)
        places = np.stack([frames, self.gt_track_ids], axis=1)
        _, place, count = np.unique(places, axis=0, return_inverse=True, return_counts=True)
        return frames, np.where(count[place.reshape(-1)] == 1, self.gt_track_ids, -1)

    def same_track(self, ahead: int) -> tuple[np.ndarray, np.ndarray]:
        """Labeled persons whose track is labeled in another frame, too.

        Args:
            ahead: frame numbers from the one frame to the other; below 0 for an earlier one.

        Returns:
            Two (N,) index arrays into the labeled persons: those of the one frame, and the same
            persons in the other. Who has no track id, see `frames_and_tracks`, is in neither.
        """
        persons, frames, places, last = self._places_in_tracks
        if abs(ahead) > last:
            return persons[:0], persons[:0]
        inside = (frames + ahead >= 0) & (frames + ahead <= last)
        wanted = places[inside] + ahead
        found = np.minimum(np.searchsorted(places, wanted), len(places) - 1)
        there = places[found] == wanted
        return persons[inside][there], persons[found[there]]

    @cached_property
    def _places_in_tracks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Of the n persons with a track id, by track and frame: (n,) who they are, (n,) how many
        frame numbers after the first, and (n,) one number for track and frame; the last frame."""
        frames, tracks = self.frames_and_tracks()
        persons = np.flatnonzero(tracks >= 0)
        if not len(persons):
            return persons, persons, persons, -1
        persons = persons[np.lexsort((frames[persons], tracks[persons]))]
        frames = frames[persons] - frames[persons].min()
        last = int(frames.max())
        track = np.unique(tracks[persons], return_inverse=True)[1].reshape(-1)
        return persons, frames, track * (last + 1) + frames, last

    def distances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances of every predicted to every labeled person of the same frame.

        Returns:
            (N,) predicted and (N,) labeled persons of the pairs, by frame, predicted and labeled
            person, and (N, J) distances in head sizes, infinite unless both joints are present.
        """
        pred, gt = pairs_within(self.num_pred, self.num_gt)
        x, y = np.moveaxis(self.pred_xy[pred] - self.gt_xy[gt], -1, 0)
        with np.errstate(divide='ignore', invalid='ignore'):  # a head box may have no extent
            distances = np.sqrt(x * x + y * y) / self.gt_head_sizes[gt, None]
        both = self.pred_present[pred] & self.gt_present[gt]
        distances[~both | np.isnan(distances)] = np.inf
        return pred, gt, distances

    @cached_property
    def partners(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pairs of persons that `assign_persons` makes by the joints that match.

        Returns:
            (n,) predicted and (n,) labeled persons of the pairs, and (n, J) bool: the joint is
            present on both sides and at most `MATCH_DISTANCE` apart.
        """
        pred, gt, distances = self.distances()
        match = distances <= MATCH_DISTANCE
        made = assign_persons(pred, gt, match.sum(axis=1) / self.gt_present.sum(axis=1)[gt])
        return pred[made], gt[made], match[made]


def assign_persons(pred: np.ndarray, gt: np.ndarray, pck: np.ndarray) -> np.ndarray:
    """Pairs predicted with labeled persons.

    Every predicted person keeps the labeled one of which it gets the largest share of joints
    right; of those that keep it, every labeled person takes the one with the largest share, if
    that is above zero. Ties go to the first. There is no second round.

    Args:
        pred: (N,) predicted persons of the candidate pairs.
        gt: (N,) their labeled persons.
        pck: (N,) share of the labeled joints that the predicted person gets right.

    Returns:
        Indices into the N candidates of the pairs that are made.
    """
    # the first of each person in this order is its best candidate
    order = np.lexsort((gt, -pck, pred))
    kept = order[np.unique(pred[order], return_index=True)[1]]
    kept = kept[pck[kept] > 0]
    order = kept[np.lexsort((pred[kept], -pck[kept], gt[kept]))]
    return order[np.unique(gt[order], return_index=True)[1]]


@dataclass
class ScoredSet:
    """All that is scored, and what is not.

    Attributes:
        videos: in the order of the ground truth.
        left_out: names of ground-truth videos that are not scored.
        num_missing_frames: scored frames that the predictions do not list; all their joints count
            as missed.
    """

    videos: list[ScoredVideo]
    left_out: list[str] = field(default_factory=list)
    num_missing_frames: int = 0

    @property
    def num_frames(self) -> int:
        return sum(len(video.num_gt) for video in self.videos)

    @property
    def num_persons(self) -> int:
        return sum(len(video.gt_xy) for video in self.videos)


def select_scored(
    ground_truth: list[Video],
    predictions: list[Video],
    *,
    rules: Rules = RULES['18'],
    allow_missing: bool = False,
    videos: list[str] | None = None,
    need_head_boxes: bool = True,
) -> ScoredSet:
    """Pairs predictions with ground truth and keeps what is scored.

    Videos are paired by name, or else by image ids; the frames of a video by image id, or by the
    names of the images if either side is an annolist, which has no ids.

    Args:
        ground_truth: labeled videos.
        predictions: predicted videos.
        rules: of the release.
        allow_missing: leave out ground-truth videos without predictions, and take frames that a
            predicted video does not list as frames without predictions. Both are errors otherwise.
        videos: names of the ground-truth videos to score; predictions for others are not used.
        need_head_boxes: a labeled person without a head box is an error.

    Returns:
        The scored frames of the videos that are scored.

    Raises:
        AnnotationError: one sentence for every predicted video or image that the ground truth does
            not have, missing video or frame, head box that is needed and missing, and for ground
            truth with pseudo-labels, see `Frame.pseudo`.
    """
    problems: list[str] = []
    partners = _pair_videos(ground_truth, predictions, problems)
    if videos is not None:
        known = {video.name for video in ground_truth}
        problems += [
            f'Video {name!r} is to be scored but is not among the {len(known)} of the ground truth.'
            for name in videos
            if name not in known
        ]
    scored = ScoredSet([])
    owners = _owners(ground_truth)
    for video in ground_truth:
        predicted = partners.get(video.name)
        if videos is not None and video.name not in videos:
            scored.left_out.append(video.name)
            continue
        if video.num_pseudo:
            problems.append(_no_ground_truth(video))
            continue
        if predicted is None:
            scored.left_out.append(video.name)
            if not allow_missing:
                problems.append(f'{video.source}: video {video.name!r} has no predictions.')
            continue
        frames = []
        for gt, pred in _pair_frames(video, predicted, owners, problems):
            if not (gt.is_labeled if rules.labeled_frames else len(gt.keypoints)):
                continue
            if pred is None:
                scored.num_missing_frames += 1
                if not allow_missing:
                    problems.append(
                        f'{predicted.source}: does not list frame {gt.file_name} of video '
                        f'{video.name!r}.'
                    )
                pred = _NO_ONE
            frames.append((gt, pred))
        headless = problems if need_head_boxes else []
        scored.videos.append(_clean_video(video, predicted, frames, rules, headless))
    if problems:
        raise AnnotationError(problems)
    return scored


def check_labeled(videos: list[Video]) -> None:
    """Raises AnnotationError if persons of these videos are pseudo-labels, see `Frame.pseudo`."""
    problems = [_no_ground_truth(video) for video in videos if video.num_pseudo]
    if problems:
        raise AnnotationError(problems)


def _no_ground_truth(video: Video) -> str:
    persons = sum(len(frame.keypoints) for frame in video.frames)
    return (
        f'{video.source}: {video.num_pseudo} of {persons} persons of video {video.name!r} are '
        'pseudo-labels ("pseudo": true), expected ground truth that people labeled.'
    )


def _pair_videos(
    ground_truth: list[Video], predictions: list[Video], problems: list[str]
) -> dict[str, Video]:
    """Predicted video by name of its ground-truth video."""
    names = {video.name for video in ground_truth}
    names_of_image: dict[int, list[str]] = defaultdict(list)
    for video in ground_truth:
        if video.has_image_ids:
            for frame in video.frames:
                names_of_image[frame.image_id].append(video.name)
    partners: dict[str, Video] = {}
    of_file = {file_stem(video): video.name for video in ground_truth}  # as they are written
    of_file.update({name: name for name in names})
    for predicted in predictions:
        name = of_file.get(predicted.name, predicted.name)
        if name not in names and predicted.has_image_ids:
            found = {frame.image_id: names_of_image[frame.image_id] for frame in predicted.frames}
            several = next((i for i, named in found.items() if len(named) > 1), None)
            if several is not None:
                problems.append(
                    f'{predicted.source}: image id {several} is in {len(found[several])} videos of '
                    f'the ground truth ({", ".join(found[several][:2])}), so it does not tell '
                    'which was predicted; expected the file to be named like the video.'
                )
                continue
            name = next(iter(found[predicted.frames[0].image_id]), name)
        if name not in names:
            problems.append(
                f'{predicted.source}: predictions for video {predicted.name!r}, which the ground '
                'truth does not have.'
            )
        elif name in partners:
            problems.append(
                f'{predicted.source}: predictions for video {name!r} are also in '
                f'{partners[name].source}.'
            )
        else:
            partners[name] = predicted
    return partners


def _owners(ground_truth: list[Video]) -> dict[str, str]:
    """Video by folder of its images; without folders that several videos share."""
    owners: dict[str, set[str]] = defaultdict(set)
    for video in ground_truth:
        for folder in {_folder(frame) for frame in video.frames}:
            owners[folder].add(video.name)
    return {folder: min(names) for folder, names in owners.items() if len(names) == 1}


def _pair_frames(
    video: Video, predicted: Video, owners: dict[str, str], problems: list[str]
) -> list[tuple[Frame, Frame | None]]:
    """Every ground-truth frame of a video with its predicted frame, None if it is not listed."""
    key_of = _frame_key(video, predicted)
    if key_of is None:
        problems.append(_unmatched_names(video, predicted))
        return []
    if key_of in (_base_name, _stem):
        for frame in predicted.frames:
            if owners.get(_folder(frame), video.name) != video.name:
                problems.append(
                    f'{predicted.source}: has the image {frame.file_name} of video '
                    f'{owners[_folder(frame)]!r}, expected those of video {video.name!r}, after '
                    'which the file is named.'
                )
                return []
    by_key = {key_of(frame): frame for frame in predicted.frames}
    for key in by_key.keys() - {key_of(frame) for frame in video.frames}:
        problems.append(
            f'{predicted.source}: image id {key} ({by_key[key].file_name}) is not in the '
            f'ground truth of video {video.name!r}.'
        )
    return [(frame, by_key.get(key_of(frame))) for frame in video.frames]


def _frame_key(video: Video, predicted: Video) -> Callable[[Frame], Hashable] | None:
    """What a frame is recognized by on both sides: an id, or as much of the name as they share."""
    if video.has_image_ids and predicted.has_image_ids:
        return lambda frame: frame.image_id
    for key_of in (_path, _base_name, _stem):
        labeled, listed = ([key_of(f) for f in v.frames] for v in (video, predicted))
        unique = len(set(labeled)) == len(labeled) and len(set(listed)) == len(listed)
        if unique and set(listed) <= set(labeled):
            return key_of
    return None


def _path(frame: Frame) -> str:
    return frame.file_name.replace('\\', '/')


def _folder(frame: Frame) -> str:
    return posixpath.dirname(_path(frame))


def _base_name(frame: Frame) -> str:
    return posixpath.basename(_path(frame))


def _stem(frame: Frame) -> str:
    return posixpath.splitext(_base_name(frame))[0]


def _unmatched_names(video: Video, predicted: Video) -> str:
    """Why the frames of an annolist can't be paired by name."""
    for side in (video, predicted):
        count = Counter(map(_base_name, side.frames))
        name, times = count.most_common(1)[0]
        if times > 1:
            return (
                f'{side.source}: {times} frames of video {video.name!r} are named {name}, expected '
                'each name once, as the frames of an annolist are paired by name.'
            )
    known = set(map(_base_name, video.frames))
    unknown = [f.file_name for f in predicted.frames if _base_name(f) not in known]
    return (
        f'{predicted.source}: {len(unknown)} frames such as {unknown[0]} are not in the ground '
        f'truth of video {video.name!r}, expected names such as {video.frames[0].file_name}, as '
        'the frames of an annolist are paired by name.'
    )


def _clean_video(
    video: Video,
    predictions: Video,
    frames: list[tuple[Frame, Frame]],
    rules: Rules,
    problems: list[str],
) -> ScoredVideo:
    """Drops joints inside ignore regions, then persons without joints."""
    labeled, predicted = [gt for gt, _ in frames], [pred for _, pred in frames]
    gt, gt_frame, gt_keypoints, gt_present = _kept_persons(labeled, labeled, rules)
    pred, pred_frame, pred_keypoints, pred_present = _kept_persons(predicted, labeled, rules)

    head_boxes = _stack(labeled, 'head_boxes')[gt]
    for index in np.flatnonzero(np.isnan(head_boxes).any(axis=1)):
        frame = labeled[gt_frame[index]]
        person = gt[index] - sum(len(f.keypoints) for f in labeled[: gt_frame[index]])
        problems.append(
            f'{video.source}: person {person} of {frame.file_name}, annotation id '
            f'{frame.ids[person]}, has no head box ("bbox_head", in an annolist x1, y1, x2, y2), '
            'expected one to measure by.'
        )
    # poseval takes differences of corners, which rounding may set apart from width and height
    corner = head_boxes[:, :2]
    width, height = ((corner + head_boxes[:, 2:]) - corner).T
    num_gt, num_pred = (np.bincount(f, minlength=len(frames)) for f in (gt_frame, pred_frame))
    ignores = np.array([len(frame.ignore_regions) > 0 for frame in labeled], dtype=bool)
    seen_gt = np.where(ignores, num_gt, _num_listed(labeled))
    seen_pred = np.where(ignores, num_pred, _num_listed(predicted))
    return ScoredVideo(
        name=video.name,
        predictions=predictions.source,
        frame_numbers=np.array([frame.number for frame in labeled], dtype=np.int64),
        one_sided=(seen_gt == 0) | (seen_pred == 0),
        num_gt=num_gt,
        gt_xy=gt_keypoints[..., :2],
        gt_boxes=_corners(labeled)[gt],
        gt_present=gt_present,
        gt_visible=gt_present & (gt_keypoints[..., 2] > 0),
        gt_head_sizes=HEAD_SIZE_SCALE * np.sqrt(width * width + height * height),
        gt_track_ids=_stack(labeled, 'track_ids')[gt],
        num_pred=num_pred,
        pred_xy=pred_keypoints[..., :2],
        pred_boxes=_corners(predicted)[pred],
        pred_present=pred_present,
        pred_scores=_stack(predicted, 'scores')[pred],
        pred_track_ids=_stack(predicted, 'track_ids')[pred],
    )


def _kept_persons(
    frames: list[Frame], labeled: list[Frame], rules: Rules
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Persons with joints outside the ignore regions of the labeled frames.

    Returns:
        (n,) places among all persons, (n,) frames, (n, J, 3) keypoints, (n, J) present joints.
    """
    keypoints = _stack(frames, 'keypoints')
    frame_of = np.repeat(np.arange(len(frames)), [len(frame.keypoints) for frame in frames])
    present = rules.present(keypoints)
    num_points = np.bincount(frame_of[np.nonzero(present)[0]], minlength=len(frames))
    present[present] = ~inside_any_polygon(
        keypoints[present][:, :2],
        num_points,
        [region for frame in labeled for region in frame.ignore_regions],
        np.array([len(frame.ignore_regions) for frame in labeled], dtype=int),
    )
    kept = np.flatnonzero(present.any(axis=1))
    return kept, frame_of[kept], keypoints[kept], present[kept]


def _corners(frames: list[Frame]) -> np.ndarray:
    """(n, 4) boxes x1, y1, x2, y2 of all persons, cut to the image where its size is known."""
    boxes = _stack(frames, 'boxes')
    known = [(f.width, f.height) if f.width and f.height else (np.inf, np.inf) for f in frames]
    persons = [len(frame.keypoints) for frame in frames]
    sizes = np.repeat(np.array(known, dtype=float).reshape(-1, 2), persons, axis=0)
    high = np.tile(sizes - 1, 2)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return np.clip(corners, np.where(np.isinf(high), -np.inf, 0), high)


def _num_listed(frames: list[Frame]) -> np.ndarray:
    """(F,) persons of each frame, also those whose list of points is empty."""
    return np.array([len(f.keypoints) - f.num_without_points for f in frames], dtype=int)


def _stack(frames: list[Frame], name: str) -> np.ndarray:
    return np.concatenate([getattr(frame, name) for frame in [_NO_ONE, *frames]])
