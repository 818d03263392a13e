"""Clips that teach a method to propagate labels: [label before, frame, label after].

T = 3 frames, 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

import numpy as np

from cmpose_mm.posetrack.frames import FrameTable
from cmpose_mm.posetrack.joints import JOINT_NAMES

NUM_FRAMES, KEY_INDEX = 3, 1
GIVEN = 0.5
"""Share of the samples in training to which labels are given."""


class PropagationClips:
    """The neighbors of a labeled frame whose own label is hidden.

    Half of the samples take the frames k before and after (or the furthest labeled ones within k)
    in which the person is labeled, with these labels, of which each joint is dropped with a
    probability. On a side without a label the frame itself stands in, marked as not valid. The
    other half take frames at random distances of 1 to k - 1 on either side, without any label, and
    so do persons whose track has no label nearby. What a test can not see is never given.

    Outside of training nothing is random: labels are given wherever there are some, else the
    frames next to it.

    Args:
        table: knows the frames on disk; distances count these.
        poses: joints (15, 3) of the labeled persons, by path of the frame and track id.
        every: k, the distance between labels, at least 2.
        label_dropout: probability.
        training: whether to draw.

    Source: *chosen* for STDPose's propagation, whose training is not described.
    """

    def __init__(
        self,
        table: FrameTable,
        poses: dict[tuple[str, int], np.ndarray],
        every: int,
        label_dropout: float = 0.2,
        training: bool = True,
    ) -> None:
        self.table, self.poses, self.every = table, poses, every
        self.label_dropout, self.training = label_dropout, training

    def labels_near(self, file_name: str, track_id: int) -> dict[int, tuple[int, str, np.ndarray]]:
        """Side of a frame, -1 or 1 -> the furthest label of a person there within k frames.

        Of each label the distance, the path of its frame, and the joints (15, 3).
        """
        near = [sign * d for sign in (-1, 1) for d in range(self.every, 0, -1)]  # furthest first
        labels: dict[int, tuple[int, str, np.ndarray]] = {}
        for offset, path, on_disk in zip(near, *self.table.neighbors(file_name, near)):
            if on_disk and (path, track_id) in self.poses:
                found = abs(offset), path, self.poses[path, track_id]
                labels.setdefault(int(np.sign(offset)), found)
        return labels

    def draw(self, file_name: str, track_id: int) -> dict:
        """The clip around a frame, for the pipeline.

        Returns:
            ``frame_paths`` (3), ``frame_offsets``, ``frame_valid``, ``key_index``,
            ``neighbor_keypoints`` (3, 15, 2) in pixels of the image, ``neighbor_visible`` (3, 15).
        """
        labels = self.labels_near(file_name, track_id)
        xy, visible = (
            np.zeros((NUM_FRAMES, len(JOINT_NAMES), 2)),
            np.zeros((NUM_FRAMES, len(JOINT_NAMES))),
        )
        given = labels and (not self.training or np.random.rand() < GIVEN)
        if not given:
            before, after = np.random.randint(1, self.every, 2) if self.training else (1, 1)
            offsets = np.array([-before, 0, after])
            paths, valid = self.table.neighbors(file_name, offsets)
        else:
            offsets, valid = np.zeros(NUM_FRAMES, int), np.array([False, True, False])
            paths = [self.table.path(file_name)] * NUM_FRAMES
            for place, sign in ((0, -1), (2, 1)):
                offsets[place] = sign * labels.get(sign, labels.get(-sign))[0]
                if sign in labels:
                    _, paths[place], joints = labels[sign]
                    valid[place], xy[place] = True, joints[:, :2]
                    visible[place] = (joints != 0).any(axis=1)
            if self.training:
                visible *= np.random.rand(*visible.shape) >= self.label_dropout
        return dict(
            frame_paths=paths,
            frame_offsets=offsets,
            frame_valid=valid,
            key_index=KEY_INDEX,
            neighbor_keypoints=xy.astype(np.float32),
            neighbor_visible=visible.astype(np.float32),
        )
