"""Clips that teach a method to propagate labels: [label before, frame, label after].

T = 3 frames, 15 joints in the order of `JOINT_NAMES`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

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
        every: k, the distance between labels, at least 2.
        label_dropout: probability.
        training: whether to draw.

    Source: *chosen* for STDPose's propagation, whose training is not described.
    """

    def __init__(
        self, table: FrameTable, every: int, label_dropout: float = 0.2, training: bool = True
    ) -> None:
        self.table, self.every = table, every
        self.label_dropout, self.training = label_dropout, training
        self._labels: dict[tuple[str, int], dict[int, tuple[str, np.ndarray]]] = defaultdict(dict)

    def add(self, file_name: str, tracks: Iterable[int], keypoints: np.ndarray) -> None:
        """Makes the labels of a frame known.

        Args:
            file_name: as the label file names it; frames that are not on disk are left out.
            tracks: (P,) ids of the persons; those below 0, or of two persons, belong to nobody.
            keypoints: (P, 15, 3).
        """
        if not self.table.exists(file_name):
            return
        tracks, position = list(tracks), self.table.position(file_name)
        for track, joints in zip(tracks, keypoints):
            if track >= 0 and tracks.count(track) == 1:
                key = self.table.folder(file_name), int(track)
                self._labels[key][position] = self.table.path(file_name), joints

    def draw(self, file_name: str, track_id: int) -> dict:
        """The clip around a frame, for the pipeline.

        Returns:
            ``frame_paths`` (3), ``frame_offsets``, ``frame_valid``, ``key_index``,
            ``neighbor_keypoints`` (3, 15, 2) in pixels of the image, ``neighbor_visible`` (3, 15).
        """
        labels = self._labels.get((self.table.folder(file_name), track_id), {})
        position = self.table.position(file_name)
        found = {
            sign: max((d for d in range(1, self.every + 1) if position + sign * d in labels),
                      default=0)
            for sign in (-1, 1)
        }  # fmt: skip
        xy, visible = (
            np.zeros((NUM_FRAMES, len(JOINT_NAMES), 2)),
            np.zeros((NUM_FRAMES, len(JOINT_NAMES))),
        )
        given = any(found.values()) and (not self.training or np.random.rand() < GIVEN)
        if not given:
            before, after = np.random.randint(1, self.every, 2) if self.training else (1, 1)
            offsets = np.array([-before, 0, after])
            paths, valid = self.table.neighbors(file_name, offsets)
        else:
            offsets, valid = np.zeros(NUM_FRAMES, int), np.array([False, True, False])
            paths = [self.table.path(file_name)] * NUM_FRAMES
            for place, sign in ((0, -1), (2, 1)):
                offsets[place] = sign * (found[sign] or found[-sign])
                if found[sign]:
                    paths[place], joints = labels[position + sign * found[sign]]
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
