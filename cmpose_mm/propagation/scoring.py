"""How good propagated poses are, against labels that the propagator did not see.

Two protocols: `score_hidden` hides labels and scores the frames where they are hidden;
`score_posewarper` repeats that of PoseWarper's label propagation.

Shapes: G labeled persons, J = 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from cmpose_mm.evaluation import (
    PCK_NORMS,
    RULES,
    ApResult,
    Rules,
    ScoredSet,
    average_precision,
    correct_keypoints,
    select_scored,
)
from cmpose_mm.evaluation.pck import found_joints
from cmpose_mm.evaluation.report import ap_to_dict, pck_to_dict
from cmpose_mm.evaluation.scored_frames import ScoredVideo, check_labeled
from cmpose_mm.posetrack.annotations import AnnotationError, Frame, Video, check_images
from cmpose_mm.posetrack.frames import FrameTable
from cmpose_mm.posetrack.joints import JOINT_NAMES

from .label_files import PseudoLabel
from .propagators import Propagator
from .queries import Label, Plan, Query, plan_queries
from .sparsify import is_labeled, labeled_positions, sparsify_video

THRESHOLDS = {'box': (0.2, 0.1, 0.05), 'head': (0.5, 0.2, 0.1)}
"""Norm of PCK -> shares of it. Where no label has a box, as in PoseTrack17, it is the head size."""
NECKS = 'predicted', 'shoulders'
"""Ways to place the neck, see `score_posewarper`."""
FINE = {'box': 0.1, 'head': 0.5}
"""The thresholds of the tables by distance, displacement, visibility and joint."""
DISPLACEMENTS = (0.25, 0.5, 1.0, 2.0)
"""Bounds, in head sizes, of the classes of how far a joint has moved from its nearest label."""
REACH, PERIOD = 3, 7
"""Of PoseWarper's protocol: frames that a label serves on either side, and those between labels."""
Progress = Callable[[list[Video]], Iterable[Video]]


@dataclass
class Breakdown:
    """Joints that count and joints that are found (PCK at the threshold `FINE`), by class.

    Attributes:
        joints, found: class -> number.
    """

    joints: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, counted: np.ndarray, found: np.ndarray) -> None:
        """Adds joints of a class: bool arrays of one shape."""
        self.joints[name] = self.joints.get(name, 0) + int(counted.sum())
        self.found[name] = self.found.get(name, 0) + int((found & counted).sum())

    def percent(self) -> dict[str, float]:
        """Class -> found joints in percent; NaN where none counts."""
        return {
            name: 100 * self.found[name] / count if count else float('nan')
            for name, count in self.joints.items()
        }


@dataclass
class PropagationScores:
    """Scores of one propagator.

    Attributes:
        result: AP as `evaluate_files` gives it, PCK in detail under ``pck``, and over all joints
            under the names of `measures`.
        norm: of PCK, see `THRESHOLDS`.
        breakdowns: ``distance`` (frames to the nearest label), ``displacement``, ``visibility``,
            ``joint`` -> joints by class.
        ap_by_distance: frames to the nearest label -> AP over these frames.
        plan: what was asked for.
        persons: scored, and those among them without a pose.
        persons_without_size: those among them that PCK leaves out, as they lack its norm.
    """

    result: dict
    norm: str = 'box'
    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    ap_by_distance: dict[int, float] = field(default_factory=dict)
    plan: Plan = field(default_factory=Plan)
    persons: tuple[int, int] = (0, 0)
    persons_without_size: int = 0

    @property
    def measures(self) -> list[str]:
        """Names of PCK at all thresholds."""
        return [f'{PCK_NORMS[self.norm]}@{threshold:g}' for threshold in THRESHOLDS[self.norm]]

    @property
    def fine(self) -> str:
        """Name of the measure of the breakdowns."""
        return f'{PCK_NORMS[self.norm]}@{FINE[self.norm]:g}'

    def to_dict(self) -> dict:
        """All of it, for JSON."""
        counts = {k: v for k, v in vars(self.plan).items() if k != 'queries'}
        return {
            **self.result,
            'by': {
                name: {'percent': each.percent(), 'joints': each.joints, 'found': each.found}
                for name, each in self.breakdowns.items()
            },
            'ap_by_distance': {str(key): value for key, value in self.ap_by_distance.items()},
            'asked': counts,
            'persons': {
                'scored': self.persons[0],
                'without_pose': self.persons[1],
                'without_size': self.persons_without_size,
            },
        }


# ---- labels in every k-th frame ----------------------------------------------------------------


def score_hidden(
    videos: list[Video],
    propagator: Propagator,
    every: int,
    *,
    rules: Rules = RULES['18'],
    image_root: str | None = None,
    progress: Progress = iter,
) -> PropagationScores:
    """Hides all labels but every k-th, propagates these, and scores the frames that were hidden.

    Nothing is filtered by score. AP and PCK are those of `cmpose_mm.evaluation`, over the hidden
    frames alone. A joint's displacement is its distance from where it is in the nearest label of
    its track, in head sizes; joints that are not labeled there have none.

    Args:
        videos: labeled, with head boxes and track ids.
        propagator: to score.
        every: k, see `sparsify_video`.
        rules: of the release.
        image_root: folder that the labels' file names start from; see `propagate_labels`.
        progress: wraps the videos.

    Raises:
        AnnotationError: if no labeled frame is hidden, nobody is labeled in those that are or
            can be followed to one, an image is there twice, or labels lack what is needed.
    """
    check_labeled(videos)
    check_images(videos)
    table = None if image_root is None else FrameTable(image_root)
    on_disk = None if table is None else (lambda frame: table.exists(frame.file_name))
    hidden, predicted, plan = [], [], Plan()
    sparse_videos, nearest, num_asked = {}, {}, 0
    for video in progress(videos):
        sparse = sparsify_video(video, every)
        kept = labeled_positions(sparse)
        frames = {
            place: frame
            for place, frame in enumerate(video.frames)
            if is_labeled(frame) and place not in kept
        }
        if not frames:
            continue
        asked = plan_queries(sparse, every, on_disk)
        names = {frame.file_name for frame in frames.values()}
        queries = [query for query in asked.queries if query.frame.file_name in names]
        poses, num_asked = _ask(propagator, queries), num_asked + len(queries)
        plan += replace(asked, queries=[])
        hidden.append(replace(video, frames=list(frames.values())))
        predicted.append(_predicted(hidden[-1], poses))
        sparse_videos[video.name] = sparse
        nearest[video.name] = {
            video.frames[place].number: min(kept, key=lambda k: (abs(k - place), k)) - place
            for place in frames
        }
    if not hidden:
        raise AnnotationError(
            f'{videos[0].source}: no labeled frame of the {len(videos)} videos is hidden where '
            f'labels are to be {every} frames apart; expected labels that are closer.'
        )
    if not any(len(frame.keypoints) for video in hidden for frame in video.frames):
        raise AnnotationError(
            f'{videos[0].source}: nobody is labeled in the hidden frames of the {len(videos)} '
            'videos; expected labels to score by.'
        )
    if not num_asked:
        raise AnnotationError(
            f'{videos[0].source}: nobody can be followed from the labels that stay to the hidden '
            f'frames ({plan.without_track} persons without a track id, {plan.shared_track} that '
            f'share one, {plan.frames_not_on_disk} frames that are not on disk); expected track '
            'ids and frames.'
        )
    scored = select_scored(hidden, predicted, rules=rules)
    scores = _scores(scored, rules)
    scores.plan = plan
    for name in ('distance', 'displacement', 'visibility', 'joint'):
        scores.breakdowns[name] = Breakdown()
    for video in scored.videos:
        _break_down(scores, video, sparse_videos[video.name], nearest[video.name])
    for distance in sorted({abs(d) for each in nearest.values() for d in each.values()}):
        part = [_at_distance(video, nearest[video.name], distance) for video in hidden]
        answers = [_at_distance(video, nearest[video.name], distance) for video in predicted]
        chosen = select_scored(part, answers, rules=rules)
        if chosen.num_persons:
            scores.ap_by_distance[distance] = _precision(chosen, rules).summary()['Total']
    return scores


def _at_distance(video: Video, nearest: dict[int, int], distance: int) -> Video:
    frames = [frame for frame in video.frames if abs(nearest[frame.number]) == distance]
    return replace(video, frames=frames)


def _break_down(
    scores: PropagationScores, video: ScoredVideo, sparse: Video, nearest: dict[int, int]
) -> None:
    """Adds the joints of one video to the breakdowns."""
    breakdowns = scores.breakdowns
    (found,), counted = found_joints(video, scores.norm, [FINE[scores.norm]])
    numbers, tracks = video.frames_and_tracks()
    distances = np.array([abs(nearest[number]) for number in numbers.tolist()], dtype=int)
    for distance in np.unique(distances).tolist():
        rows = distances == distance
        breakdowns['distance'].add(str(distance), counted[rows], found[rows])
    for name, chosen in (('visible', video.gt_visible), ('occluded', ~video.gt_visible)):
        breakdowns['visibility'].add(name, counted & chosen, found)
    for joint, name in enumerate(JOINT_NAMES):
        breakdowns['joint'].add(name, counted[:, joint], found[:, joint])
    moved = _displacements(video, numbers, tracks, sparse, nearest)
    bounds = (0.0, *DISPLACEMENTS, np.inf)
    for low, high in zip(bounds, bounds[1:]):
        name = f'below {high:g}' if not low else f'{low:g} to {high:g}'
        name = f'{low:g} or more' if np.isinf(high) else name
        chosen = counted & (moved >= low) & (moved < high)
        breakdowns['displacement'].add(name, chosen, found)
    breakdowns['displacement'].add('not in the nearest label', counted & np.isnan(moved), found)


def _displacements(
    video: ScoredVideo,
    numbers: np.ndarray,
    tracks: np.ndarray,
    sparse: Video,
    nearest: dict[int, int],
) -> np.ndarray:
    """(G, J) distance of each joint from its place in the nearest label, in head sizes, or NaN."""
    place_of = {frame.number: place for place, frame in enumerate(sparse.frames)}
    moved = np.full(video.gt_present.shape, np.nan)
    for person, (number, track) in enumerate(zip(numbers.tolist(), tracks.tolist())):
        frame = sparse.frames[place_of[number] + nearest[number]]
        same = np.flatnonzero(frame.track_ids == track)
        size = video.gt_head_sizes[person]
        if track < 0 or len(same) != 1 or not size > 0:
            continue
        label = frame.keypoints[same[0]]
        apart = np.linalg.norm(video.gt_xy[person] - label[:, :2], axis=-1) / size
        moved[person] = np.where((label != 0).any(axis=-1), apart, np.nan)
    return moved


# ---- PoseWarper's protocol ---------------------------------------------------------------------


def run_schedule(length: int) -> list[tuple[int, int]]:
    """For every frame of a run the labeled frame that it gets its pose from.

    The 4th frame is labeled and every 7th after it, and the last if it is more than 3 frames after
    the last of these (*code* of PoseWarper). A frame takes the nearest, the earlier on ties. Of a
    run of 3 frames or less, on which that code fails, the middle is labeled (*chosen*).

    Args:
        length: of the run, at least 1.

    Returns:
        (frame, labeled frame) for all frames, counted from 0. They are at most 3 apart.
    """
    labeled = list(range(REACH, length, PERIOD)) or [(length - 1) // 2]
    if length - 1 - labeled[-1] > REACH:
        labeled.append(length - 1)
    return [(place, min(labeled, key=lambda at: (abs(at - place), at))) for place in range(length)]


def longest_run(video: Video) -> range:
    """Positions of the longest run of consecutive labeled frames; the first of equal ones."""
    best, start = range(0), None
    labels = [is_labeled(frame) for frame in video.frames]
    for place, labeled in enumerate([*labels, False]):
        if labeled and start is None:
            start = place
        if not labeled and start is not None:
            if place - start > len(best):
                best = range(start, place)
            start = None
    return best


def score_posewarper(
    videos: list[Video],
    propagator: Propagator,
    *,
    neck: str = 'predicted',
    rules: Rules = RULES['18'],
    progress: Progress = iter,
) -> PropagationScores:
    """PoseWarper's evaluation of label propagation.

    In every video the longest run of labeled frames counts, with the labels of `run_schedule`. All
    persons of the labeled frame are carried to the frame, with their boxes there, whether they have
    a track id or not; labeled frames are carried to themselves, and count. The score of a joint is
    that of the propagator alone (box score 1), and poseval's AP is taken over the frames of the
    runs.

    Args:
        videos: labeled, with head boxes.
        propagator: to score. `Linear` has but one label here, and equals `Copy`.
        neck: 'shoulders' puts the joint ``head_bottom`` in the middle of the shoulders, with the
            mean of their scores, as PoseWarper's code does, whose *Head* is only comparable so.
        rules: of the release.
        progress: wraps the videos.

    Raises:
        AnnotationError: if no frame is labeled, an image is there twice, or labels lack what is
            needed.
    """
    check_labeled(videos)
    check_images(videos)
    if neck not in NECKS:
        raise ValueError(f'neck is {neck!r}, expected one of {", ".join(NECKS)}')
    runs, predicted, plan = [], [], Plan(videos=len(videos))
    for video in progress(videos):
        run = longest_run(video)
        if not run:
            continue
        schedule = run_schedule(len(run))
        queries = []
        for place, source in schedule:
            target, labeled = video.frames[run[place]], video.frames[run[source]]
            for person, track in enumerate(labeled.track_ids.tolist()):
                label = Label(labeled, person, abs(place - source))
                sides = (label, None) if source <= place else (None, label)
                queries.append(Query(video, target, track, *sides))
        plan.labeled_frames += len({source for _, source in schedule})
        plan.unlabeled_frames += len(run) - len({source for _, source in schedule})
        poses = _ask(propagator, [q for q in queries if q.nearest.present.any()])
        if neck == 'shoulders':
            for pose in poses:
                _put_neck_between_shoulders(pose)
        runs.append(replace(video, frames=[video.frames[place] for place in run]))
        predicted.append(_predicted(runs[-1], poses))
    if not runs:
        source = videos[0].source if videos else 'no videos'
        raise AnnotationError(f'{source}: no labeled frame, expected labels.')
    scores = _scores(select_scored(runs, predicted, rules=rules), rules)
    scores.plan = plan
    return scores


def _put_neck_between_shoulders(pose: PseudoLabel) -> None:
    neck, *shoulders = (
        JOINT_NAMES.index(name) for name in ('head_bottom', 'left_shoulder', 'right_shoulder')
    )
    pose.keypoints[neck] = pose.keypoints[shoulders].mean(axis=0)
    both = (pose.scores[shoulders] > 0).all()
    pose.scores[neck] = pose.scores[shoulders].mean() if both else 0.0


# ---- both --------------------------------------------------------------------------------------


def _ask(propagator: Propagator, queries: list[Query]) -> list[PseudoLabel]:
    """The propagator's answers, nothing filtered."""
    if not queries:
        return []
    keypoints, scores = propagator(queries)
    return [
        PseudoLabel(q.frame, q.track_id, xy.copy(), s.copy(), _xywh(q.box), np.full(4, np.nan))
        for q, xy, s in zip(queries, keypoints, scores)
    ]


def _xywh(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:2], box[2:] - box[:2]])


def _predicted(video: Video, poses: list[PseudoLabel]) -> Video:
    """Poses as a predicted video with the frames of a labeled one."""
    by_frame: dict[str, list[PseudoLabel]] = {frame.file_name: [] for frame in video.frames}
    for pose in poses:
        by_frame[pose.frame.file_name].append(pose)
    frames = [_predicted_frame(frame, by_frame[frame.file_name]) for frame in video.frames]
    return replace(video, frames=frames)


def _predicted_frame(frame: Frame, poses: list[PseudoLabel]) -> Frame:
    count = len(poses)
    keypoints = np.zeros((count, len(JOINT_NAMES), 3))
    scores = np.zeros((count, len(JOINT_NAMES)))
    for index, pose in enumerate(poses):
        present = pose.present[:, None]
        keypoints[index] = np.where(present, np.c_[pose.keypoints, np.ones(len(present))], 0)
        scores[index] = pose.scores
    return replace(
        frame,
        ignore_regions=[],
        keypoints=keypoints,
        scores=scores,
        boxes=np.array([pose.box for pose in poses]).reshape(-1, 4),
        head_boxes=np.full((count, 4), np.nan),
        track_ids=np.array([pose.track_id for pose in poses], dtype=np.int64),
        ids=np.full(count, -1),
        num_without_points=0,
        pseudo=None,
    )


def _precision(scored: ScoredSet, rules: Rules) -> ApResult:
    """AP, with NaN for joints that are labeled nowhere.

    `poseval` gives 0 where there is neither label nor prediction: a model always predicts, and then
    it gives NaN, but labels that are carried along lack the joints that nobody labels.
    """
    result = average_precision(scored, rules=rules)
    return replace(result, ap=np.where(result.num_gt > 0, result.ap, np.nan))


def _scores(scored: ScoredSet, rules: Rules) -> PropagationScores:
    has_boxes = any(np.isfinite(video.gt_boxes).all(axis=1).any() for video in scored.videos)
    norm = 'box' if has_boxes else 'head'
    pck = correct_keypoints(scored, norm, THRESHOLDS[norm])
    result = ap_to_dict(_precision(scored, rules))
    result['pck'] = pck_to_dict(pck)
    for name, values in zip(pck.names(), pck.hits.sum(axis=(0, 2)).tolist()):
        joints = int(pck.num_joints.sum())
        result[name] = 100 * values / joints if joints else float('nan')
    persons = pck.num_persons, pck.num_without_prediction
    return PropagationScores(
        result, norm, persons=persons, persons_without_size=pck.num_without_norm
    )
