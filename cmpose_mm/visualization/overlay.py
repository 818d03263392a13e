"""Poses drawn over the frames of a video, one after the other."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Sequence

import numpy as np

from cmpose_mm.joint_sets import POSETRACK, JointSet

from .skeletons import draw_poses


class PoseOverlay:
    """`draw_poses` for the frames of a video in their order; it knows where persons were.

    Trails are the paths of the last seconds, of each person in the frame who has a track id. A path
    has a gap where its person (or joint) was not seen, and nothing is drawn of a person who has
    left.

    Args:
        joints: of the poses.
        color_by: see `draw_poses`.
        names, boxes, legend: whether to draw them.
        trails: seconds; 0 draws none.
        trail_joints: names of the joints whose paths are drawn; by default the path is that of the
            middle of the box, or without one of the shown joints' extent.

    Raises:
        ValueError: if a trail joint is not among the joints, or a legend is asked for with
            ``color_by='joints'``.
    """

    def __init__(
        self,
        joints: JointSet = POSETRACK,
        *,
        color_by: str = 'person',
        names: bool = True,
        boxes: bool = False,
        legend: bool = False,
        trails: float = 0.0,
        trail_joints: Sequence[str] = (),
    ) -> None:
        strange = [joint for joint in trail_joints if joint not in joints.joints]
        if strange:
            raise ValueError(
                f'trail joints: found {", ".join(strange)}, expected some of '
                f'{", ".join(joints.joints)}'
            )
        if not trails >= 0:
            raise ValueError(f'trails: found {trails} seconds, expected 0 or more')
        if trail_joints and not trails:
            raise ValueError('trail joints: there are no trails, expected trails of some seconds')
        self.joints, self.boxes, self.trails = joints, boxes, trails
        self.trail_joints = tuple(trail_joints)
        self._options = dict(joints=joints, color_by=color_by, names=names, legend=legend)
        nobody = np.zeros((0, len(joints), 2))
        draw_poses(np.zeros((1, 1, 3), np.uint8), nobody, **self._options)  # says what is wrong
        self._paths: dict[tuple[int, int], deque] = {}
        self._frame = 0

    def draw(
        self,
        image: np.ndarray,
        keypoints: np.ndarray,
        shown: np.ndarray,
        ids: np.ndarray,
        scores: np.ndarray | None,
        boxes: np.ndarray,
        time: float,
    ) -> np.ndarray:
        """Draws the next frame.

        Args:
            image: (H, W, 3) uint8 BGR.
            keypoints: (P, K, 2) in pixels of the image.
            shown: (P, K) bool, the joints to draw.
            ids: (P,) track ids, -1: none.
            scores: (P,) of the persons, NaN where one has none; or None.
            boxes: (P, 4) x1, y1, x2, y2; NaN where a person has none.
            time: of the frame, in seconds.

        Returns:
            A new image.
        """
        trails = None
        if self.trails:
            trails = self._follow(np.asarray(keypoints), np.asarray(shown), ids, boxes, time)
        return draw_poses(
            image,
            keypoints,
            shown,
            ids=ids,
            scores=scores,
            boxes=boxes if self.boxes else None,
            trails=trails,
            **self._options,
        )

    def _follow(
        self,
        keypoints: np.ndarray,
        shown: np.ndarray,
        ids: np.ndarray,
        boxes: np.ndarray,
        time: float,
    ) -> list[list[np.ndarray]]:
        """Adds the frame to the paths; the lines to draw of each person."""
        self._frame += 1
        places = [self.joints.joints.index(joint) for joint in self.trail_joints]
        present: list[list[tuple[int, int]]] = []
        for person, (track_id, box) in enumerate(zip(np.asarray(ids).tolist(), np.asarray(boxes))):
            points = {}
            if places:
                points = {p: keypoints[person, p] for p in places if shown[person, p]}
            elif np.isfinite(box).all():
                points = {-1: (box[:2] + box[2:]) / 2}
            elif shown[person].any():
                seen = keypoints[person][shown[person]]
                points = {-1: (seen.min(axis=0) + seen.max(axis=0)) / 2}
            keys = [(track_id, place) for place in points] if track_id >= 0 else []
            for key in keys:
                path = self._paths.setdefault(key, deque())
                path.append((time, self._frame, *points[key[1]]))
            present.append(keys)
        for key, path in list(self._paths.items()):
            while path and path[0][0] < time - self.trails:
                path.popleft()
            if not path:
                del self._paths[key]
        return [[line for key in keys for line in self._lines(key)] for keys in present]

    def _lines(self, key: tuple[int, int]) -> list[np.ndarray]:
        """The path (n, 2), cut where frames are missing."""
        path = np.array(self._paths[key])
        return np.split(path[:, 2:], np.flatnonzero(np.diff(path[:, 1]) > 1) + 1)


def overlay_of(args: argparse.Namespace, joints: JointSet) -> PoseOverlay:
    """The overlay that the options of `cmpose_cli.overlay_arguments` ask for."""
    return PoseOverlay(
        joints,
        color_by=args.color_by,
        names=not args.no_names,
        boxes=args.draw_boxes,
        legend=args.legend,
        trails=args.trails,
        trail_joints=args.trail_joints,
    )
