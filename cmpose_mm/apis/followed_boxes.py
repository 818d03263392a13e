"""Boxes of persons without a detector for every frame: where the last poses were.

Whoever has a pose in one frame is looked for around it in the next. A detector, or the pose model
itself on parts of the frame, is asked only where nobody is followed, and now and then for who is
new.

P: persons of a frame, K: joints. Boxes are x1, y1, x2, y2 in pixels of the image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cmpose_mm.posetrack.persons import clip_box
from cmpose_mm.tracking import BoxSmoother, PoseTracker, box_iou

from .video_io import VideoFrame

Estimate = Callable[[VideoFrame, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Poses in some boxes (P, 4) of one frame: joints (P, K, 2) in pixels of the image, and their
scores (P, K)."""

JOINT_SCORE = 0.05
"""Joints that score less say nothing about where a person is. It is low because unsure joints still
tell how large the person is: without those below 0.2, boxes shrink from frame to frame."""
MIN_JOINTS = 4
"""Fewer joints make no box."""
LOST = 0.1
"""A person whose joints score less in the mean is lost."""
ENLARGE = 1.25
"""A person's box over the extent of the joints, per side. On JHMDB's training labels the box of the
mask is 1.22 times as high and 1.29 times as wide, in the median, without the top of the head among
the joints."""
SURER = 1.1
"""How much surer another pose must be to take the place of the one that is followed."""
SAME_PERSON = 0.5
"""Two boxes that overlap this much are of one person."""


def pose_boxes(
    keypoints: np.ndarray, scores: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that poses fill.

    Args:
        keypoints: (P, K, 2) pixels of the image.
        scores: (P, K) of the joints.
        width, height: of the image.

    Returns:
        (P, 4) the extent of the joints that count, enlarged and inside the image, and (P,) bool:
        whether there is such a box. Where not, its values mean nothing.
    """
    boxes = np.zeros((len(keypoints), 4))
    for box, joints, score in zip(boxes, keypoints, scores):
        counted = joints[score >= JOINT_SCORE]
        if len(counted) >= MIN_JOINTS:
            low, high = counted.min(axis=0), counted.max(axis=0)
            margin = (ENLARGE - 1) / 2 * (high - low)
            box[:] = np.concatenate([low - margin, high + margin])
    boxes = clip_box(boxes, width, height)
    return boxes, (boxes[:, 2:] - boxes[:, :2] >= 2).all(axis=1)


def search_windows(width: int, height: int) -> np.ndarray:
    """(N, 4) parts of an image where one person may be: all of it, and upright parts side by side.

    The upright ones are as high as the image, three quarters as wide, and overlap by half or more.
    """
    part = min(width, 0.75 * height)
    count = max(1, int(np.ceil((width - part) / (part / 2))) + 1) if part < width else 0
    left = np.linspace(0, width - part, count)
    windows = [[0, 0, width, height], *([x, 0, x + part, height] for x in left)]
    return np.array(windows, np.float32)


def refined(
    estimate: Estimate, frame: VideoFrame, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (P, 4) float32 of the poses in some boxes, and how sure the poses are, (P,).

    A pose that makes no box leaves its own.
    """
    height, width = frame.image.shape[:2]
    keypoints, scores = estimate(frame, boxes)
    filled, found = pose_boxes(keypoints, scores, width, height)
    return np.where(found[:, None], filled, boxes).astype(np.float32), scores.mean(axis=1)


class PoseSearch:
    """Box source for one person, found by the pose model itself.

    The model looks into the whole frame, into upright parts of it, and into the boxes of a
    detector. Where the pose is surest, it is refined: twice, the box of the pose takes its place.

    Args:
        estimate: see `Estimate`.
        least: a person is there only if the joints score this much in the mean.
        detect: the detector's box source, or None.
    """

    def __init__(
        self, estimate: Estimate, least: float = 0.0, detect: Callable | None = None
    ) -> None:
        self.estimate, self.least, self.detect = estimate, least, detect

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """One box (1, 4); its score (1,) is the mean of its joints'. None if that is too low."""
        height, width = frame.image.shape[:2]
        windows = search_windows(width, height)
        if self.detect is not None:
            windows = np.concatenate([windows, self.detect(frame)[0]])
        boxes, scores = refined(self.estimate, frame, windows)
        best = [int(scores.argmax())]
        boxes, scores = boxes[best], scores[best]
        boxes, scores = refined(self.estimate, frame, boxes)
        there = scores >= self.least
        return boxes[there], scores[there]


class PoseRefined:
    """Box source: that of a detector, each box replaced by the box of the pose in it.

    Args:
        detect: the detector's box source.
        estimate: see `Estimate`.
        least: boxes that score less are left out.
    """

    def __init__(self, detect: Callable, estimate: Estimate, least: float = 0.0) -> None:
        self.detect, self.estimate, self.least = detect, estimate, least

    def __call__(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) of the poses, and the detector's scores (P,)."""
        boxes, scores = self.detect(frame)
        boxes, scores = boxes[scores >= self.least], scores[scores >= self.least]
        if len(boxes):
            boxes, _ = refined(self.estimate, frame, boxes)
        return boxes, scores


class FollowedPersons:
    """The boxes of one video's persons, frame by frame: `boxes`, then `see` with the poses in them.

    Args:
        find: box source that is asked for new persons.
        every: frames from one question to the next while somebody is followed; None: never then.
        fallback: box source for frames in which `find` finds nobody and nobody is followed, or
            None.
        single: there is one person only. Where `find`, which gives one box at most, and whose
            scores must be the mean of the joints', finds somebody else, the one with the surer pose
            stays.
        tracker: that knows the K joints' sigmas, and gives everybody an id (``min_score`` 0: whom
            to follow is decided by poses, not by the score of a box). None is one for PoseTrack's.
    """

    def __init__(
        self,
        find: Callable,
        every: int | None = None,
        fallback: Callable | None = None,
        single: bool = False,
        tracker: PoseTracker | None = None,
    ) -> None:
        self.find, self.every, self.fallback, self.single = find, every, fallback, single
        self.tracker = tracker or PoseTracker(min_score=0.0)
        self.smoother = BoxSmoother()
        self.followed, self.scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        self.sureness = np.zeros(0)
        self.asked = 0

    def ask_if_due(self, frame: VideoFrame) -> bool:
        """Whether `find` is to be asked in this frame; it counts as asked then."""
        due = self.every is not None and frame.number - self.asked >= self.every
        if len(self.followed) and not due:
            return False
        self.asked = frame.number
        return True

    def boxes(self, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) and scores (P,) for the next frame."""
        boxes, scores = self.followed, self.scores
        if not self.ask_if_due(frame):
            return boxes, scores
        found, found_scores = self.find(frame)
        if not len(found) and not len(boxes) and self.fallback is not None:
            found, found_scores = self.fallback(frame)
        new = np.ones(len(found), bool)
        if len(boxes) and len(found):
            new = box_iou(np.asarray(found, np.float64), boxes).max(axis=1) < SAME_PERSON
            if self.single:
                new &= found_scores > SURER * self.sureness
                boxes, scores = boxes[~new], scores[~new]
        return np.concatenate([boxes, found[new]]), np.concatenate([scores, found_scores[new]])

    def see(
        self,
        frame: VideoFrame,
        boxes: np.ndarray,
        box_scores: np.ndarray,
        keypoints: np.ndarray,
        scores: np.ndarray,
    ) -> np.ndarray:
        """Takes the poses of the frame; call it for frames without persons, too.

        Args:
            frame: the frame.
            boxes, box_scores: (P, 4), (P,) as given by `boxes`.
            keypoints, scores: (P, K, 2), (P, K) the poses in them.

        Returns:
            (P,) int64 track ids.
        """
        height, width = frame.image.shape[:2]
        filled, found = pose_boxes(keypoints, scores, width, height)
        filled = np.where(found[:, None], filled, boxes)
        ids = self.tracker.update(keypoints, scores, filled, box_scores)
        smoothed = self.smoother.update(ids, filled)
        expected = self.tracker.predict_boxes()
        place = {int(track): row for row, track in enumerate(expected.ids)}
        rows = [place[int(track)] for track in ids]
        moved = smoothed + expected.boxes[rows] - filled  # by the track's velocity
        moved = clip_box(moved, width, height)
        sureness = scores.mean(axis=1)
        stays = found & (sureness >= LOST) & (moved[:, 2:] - moved[:, :2] >= 2).all(axis=1)
        stays[_doubles(moved, sureness, stays)] = False
        self.followed = moved[stays].astype(np.float32)
        self.scores = np.asarray(box_scores, np.float32)[stays]
        self.sureness = sureness[stays]
        return ids


def _doubles(boxes: np.ndarray, scores: np.ndarray, among: np.ndarray) -> list[int]:
    """Indices of persons whose box is also that of a person with a surer pose."""
    doubles, kept = [], []
    for index in sorted(np.flatnonzero(among), key=lambda i: -scores[i]):
        if kept and box_iou(boxes[[index]], boxes[kept]).max() >= 0.8:
            doubles.append(int(index))
        else:
            kept.append(int(index))
    return doubles
