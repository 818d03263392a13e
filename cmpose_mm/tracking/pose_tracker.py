"""Online tracking of persons by their poses and boxes.

Shapes: P persons in a frame, M tracks, J joints. Positions are in pixels of the image, boxes are
x1, y1, x2, y2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from cmpose_mm.posetrack.joints import JOINT_SIGMAS

from .checks import finite_array, valid_boxes
from .similarity import box_area, box_iou, object_keypoint_similarity

_VELOCITY_GAIN = 0.5  # weight of a new measurement


@dataclass
class TrackBoxes:
    """Boxes where tracks are expected.

    Attributes:
        ids: (M,) int64 track ids, ascending.
        boxes: (M, 4) x1, y1, x2, y2 in pixels of the image.
        scores: (M,) box score of the person when last seen.
    """

    ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


@dataclass
class _Track:
    id: int
    joints: np.ndarray  # (J, 2) when last seen
    joint_seen: np.ndarray  # (J,) bool
    box: np.ndarray  # (4,)
    score: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))  # pixels a frame
    age: int = 0  # frames since last seen

    def see(
        self, joints: np.ndarray, joint_seen: np.ndarray, box: np.ndarray, score: float
    ) -> None:
        """Updates the position, and the velocity since the person was last seen.

        Joints measure the motion better than boxes, whose edges jump with every raised arm. They
        also measure it where the box itself was only predicted.
        """
        both = self.joint_seen & joint_seen
        if both.any():
            shift = (joints - self.joints)[both].mean(axis=0)
        else:
            shift = (box - self.box).reshape(2, 2).mean(axis=0)
        self.velocity = self.velocity + _VELOCITY_GAIN * (shift / self.age - self.velocity)
        self.joints, self.joint_seen, self.box, self.score = joints, joint_seen, box, score
        self.age = 0


class PoseTracker:
    """Gives persons the same id in all frames of a video, one frame at a time.

    In each frame, tracks are assigned to persons so that the sum of their similarities, as far as
    each is above ``min_similarity``, is largest (Hungarian method). The similarity combines that of
    joints (OKS) and of boxes (IoU), after the track is moved on at constant velocity. A person
    without a track starts a new one. A track without a person is kept for some frames, and is also
    looked for where it was last seen, since a person who left the image often comes back there.

    Ids count from 0 and are never reused. They do not depend on the order of the persons in a
    frame. A new video needs a new tracker.

        >>> tracker = PoseTracker()
        >>> for frame in frames:
        ...     ids = tracker.update(keypoints, keypoint_scores, boxes, box_scores)

    Args:
        min_score: persons with a smaller box score get no id and start no track.
        min_joint_score: joints with this score or less do not count. A track and a person without
            common joints are compared by boxes alone.
        min_similarity: a track and a person with this similarity or less are never matched.
        oks_weight: weight of OKS in the similarity; IoU has the rest. 0 and 1 use only one of them.
        memory: number of frames for which a track that is not seen is kept.
        sigmas: (J,) of OKS, one for each joint of the poses; by default those of PoseTrack's 15.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        *,
        min_score: float = 0.3,
        min_joint_score: float = 0.3,
        min_similarity: float = 0.1,
        oks_weight: float = 0.5,
        memory: int = 30,
        sigmas: Sequence[float] = JOINT_SIGMAS,
    ) -> None:
        for name, value in (('oks_weight', oks_weight), ('min_similarity', min_similarity)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}, expected 0 to 1.')
        if memory < 0:
            raise ValueError(f'memory is {memory}, expected a number of frames, 0 or more.')
        self.min_score = min_score
        self.min_joint_score = min_joint_score
        self.min_similarity = min_similarity
        self.oks_weight = oks_weight
        self.memory = memory
        self.sigmas = np.array(sigmas, np.float64)
        if self.sigmas.ndim != 1 or not (self.sigmas > 0).all():
            raise ValueError(f'sigmas are {sigmas}, expected numbers above 0, one for each joint.')
        self._tracks: list[_Track] = []
        self._next_id = 0

    def update(
        self,
        keypoints: np.ndarray,
        keypoint_scores: np.ndarray,
        boxes: np.ndarray,
        box_scores: np.ndarray,
    ) -> np.ndarray:
        """Returns the ids of the next frame's persons. Call it for frames without persons, too.

        Args:
            keypoints: (P, J, 2) pixels of the image.
            keypoint_scores: (P, J), 0 for absent joints.
            boxes: (P, 4) x1, y1, x2, y2 in pixels of the image.
            box_scores: (P,).

        Returns:
            (P,) int64 track ids, -1 for persons with a box score below `min_score`.

        Raises:
            ValueError: one sentence about the first value that is not finite, box without area or
                array of another shape. The tracker is then unchanged.
        """
        count, num_joints = len(boxes), len(self.sigmas)
        keypoints = finite_array('keypoints', keypoints, (count, num_joints, 2))
        keypoint_scores = finite_array('keypoint_scores', keypoint_scores, (count, num_joints))
        boxes = valid_boxes(boxes, count)
        box_scores = finite_array('box_scores', box_scores, (count,))

        # Sorted by value, so that neither ties nor new ids depend on the order in the frame.
        flat = keypoints.reshape(count, 2 * num_joints)
        values = np.concatenate([boxes, box_scores[:, None], flat, keypoint_scores], axis=1)
        order = np.lexsort(values.T[::-1])
        persons = order[box_scores[order] >= self.min_score]
        joint_seen = keypoint_scores > self.min_joint_score

        for track in self._tracks:
            track.age += 1
        track_of = self._assign(keypoints[persons], joint_seen[persons], boxes[persons])
        ids = np.full(count, -1, dtype=np.int64)
        for index, person in enumerate(persons):
            seen = keypoints[person], joint_seen[person], boxes[person], float(box_scores[person])
            track = track_of.get(index)
            if track is None:
                track = _Track(self._next_id, *seen)
                self._tracks.append(track)
                self._next_id += 1
            else:
                track.see(*seen)
            ids[person] = track.id
        self._tracks = [track for track in self._tracks if track.age <= self.memory]
        return ids

    def predict_boxes(self) -> TrackBoxes:
        """Boxes where the persons of the last frame are expected in the next one.

        For frames on which no detector runs: estimate poses in these boxes and pass both to
        `update`. Tracks without a person in the last frame are left out, since they may not be in
        the image.
        """
        tracks = [track for track in self._tracks if track.age == 0]
        return TrackBoxes(
            ids=np.array([track.id for track in tracks], dtype=np.int64),
            boxes=np.array([t.box + np.tile(t.velocity, 2) for t in tracks]).reshape(-1, 4),
            scores=np.array([track.score for track in tracks], dtype=np.float64),
        )

    def _assign(
        self, joints: np.ndarray, joint_seen: np.ndarray, boxes: np.ndarray
    ) -> dict[int, _Track]:
        """The track of each person that has one, by the person's index."""
        if not self._tracks or not len(boxes):
            return {}
        ages = np.array([track.age for track in self._tracks])
        shifts = np.array([track.velocity for track in self._tracks]) * ages[:, None]
        similarity = self._similarity(shifts, joints, joint_seen, boxes)
        if (ages > 1).any():
            stayed = self._similarity(np.zeros_like(shifts), joints, joint_seen, boxes)
            best = np.maximum(similarity, stayed)
            similarity = np.where(ages[:, None] > 1, best, similarity)
        # A forbidden pair is worth nothing, just like no pair.
        worth = np.maximum(similarity - self.min_similarity, 0)
        pairs = zip(*linear_sum_assignment(worth, maximize=True))
        return {person: self._tracks[row] for row, person in pairs if worth[row, person] > 0}

    def _similarity(
        self, shifts: np.ndarray, joints: np.ndarray, joint_seen: np.ndarray, boxes: np.ndarray
    ) -> np.ndarray:
        """(M, P) similarity of all tracks, moved by `shifts` (M, 2), to the persons."""
        corners = np.array([track.box for track in self._tracks]).reshape(-1, 2, 2)
        track_boxes = (corners + shifts[:, None]).reshape(-1, 4)
        iou = box_iou(track_boxes, boxes)
        oks = object_keypoint_similarity(
            np.array([track.joints for track in self._tracks]) + shifts[:, None],
            joints,
            np.array([track.joint_seen for track in self._tracks]),
            joint_seen,
            box_area(track_boxes),
            box_area(boxes),
            self.sigmas,
        )
        oks = np.where(np.isnan(oks), iou, oks)
        return self.oks_weight * oks + (1 - self.oks_weight) * iou
