"""Which persons get a pose in which frames, and from which labels.

A frame u without labels lies between two labeled frames a and b, or at an end of the labels. Frames
are counted as the label file lists them, d(a, u) frames lie between a and u.

* **Between** a and b, with b - a <= k: the persons whose track is labeled in both. Who is in one of
  them alone enters or leaves somewhere in between, nobody knows where, and gets no pose.
* **In a gap**, b - a > k: nobody. Track ids may be used again after a gap.
* **At an end**, less than k frames before the first or after the last label: the persons of that
  frame, from one side. Further out: nobody.

Persons without a track id, or with one that a frame has twice, can't be followed: they get nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError, Frame, Video
from cmpose_mm.posetrack.persons import person_boxes

from .sparsify import labeled_positions


@dataclass(frozen=True)
class Label:
    """A labeled person in a frame near the one that is asked for.

    Attributes:
        frame: the labeled frame.
        index: of the person in it.
        distance: from the frame that is asked for, in frames, >= 0.
    """

    frame: Frame
    index: int
    distance: int

    @property
    def keypoints(self) -> np.ndarray:
        """(15, 3), see `Frame.keypoints`."""
        return self.frame.keypoints[self.index]

    @property
    def present(self) -> np.ndarray:
        """(15,) bool, joints that are labeled."""
        return (self.keypoints != 0).any(axis=-1)

    @property
    def filled_box(self) -> np.ndarray:
        """(4,) x1, y1, x2, y2; without a labeled box from the joints, see `person_boxes`."""
        boxes, keypoints = self.frame.boxes, self.frame.keypoints
        one = slice(self.index, self.index + 1)
        return person_boxes(boxes[one], keypoints[one])[0]


@dataclass(frozen=True)
class Query:
    """A person whose pose is asked for, in a frame without labels.

    At least one of the two labels is given.

    Attributes:
        video, frame: where.
        track_id: who; -1 if the labels do not say.
        before, after: the person in the nearest labeled frame before and after.
    """

    video: Video
    frame: Frame
    track_id: int
    before: Label | None
    after: Label | None

    @property
    def nearest(self) -> Label:
        """The label fewer frames away; the earlier on ties."""
        if self.before is None or self.after is None:
            return self.before or self.after
        return self.before if self.before.distance <= self.after.distance else self.after

    @property
    def other(self) -> Label | None:
        """The label that is not the nearest."""
        return self.after if self.nearest is self.before else self.before

    def interpolate(self, value: Callable[[Label], np.ndarray]) -> np.ndarray:
        """A value of the labels, linear in time between both, constant with one."""
        if self.before is None or self.after is None:
            return value(self.nearest).astype(np.float64)
        share = self.before.distance / (self.before.distance + self.after.distance)
        return (1 - share) * value(self.before) + share * value(self.after)

    @property
    def box(self) -> np.ndarray:
        """(4,) x1, y1, x2, y2 in pixels of the image, linear between those of the labels."""
        return self.interpolate(lambda label: label.filled_box)

    def labeled_box(self, name: str) -> np.ndarray:
        """(4,) xywh of `boxes` or `head_boxes`, linear; NaN unless the labels have it."""
        return self.interpolate(lambda label: getattr(label.frame, name)[label.index])


@dataclass
class Plan:
    """What is asked for in some videos, and what is not; counts.

    Attributes:
        queries: by video and frame.
        videos: looked at.
        labeled_frames: of them.
        unlabeled_frames: the rest.
        frames_in_gaps: unlabeled frames between labels more than k frames apart.
        frames_out_of_reach: unlabeled frames k or more before the first or after the last label,
            or in videos without labels.
        frames_not_on_disk: unlabeled frames whose image is missing.
        from_one_side: queries at the ends of the labels.
        entering_or_leaving: persons labeled on one side only of the frames between two labels;
            one counts again at every such place.
        tracks_with_one_label: in one frame of their video.
        without_track: labeled persons without a track id.
        shared_track: labeled persons whose track id another person of the frame has, too.
    """

    queries: list[Query] = field(default_factory=list)
    videos: int = 0
    labeled_frames: int = 0
    unlabeled_frames: int = 0
    frames_in_gaps: int = 0
    frames_out_of_reach: int = 0
    frames_not_on_disk: int = 0
    from_one_side: int = 0
    entering_or_leaving: int = 0
    tracks_with_one_label: int = 0
    without_track: int = 0
    shared_track: int = 0

    def __iadd__(self, other: Plan) -> Plan:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


def common_spacing(videos: list[Video]) -> int:
    """How many frames apart neighboring labels usually are; the smallest on ties.

    Raises:
        AnnotationError: if no video has two labeled frames.
    """
    spacings: Counter[int] = Counter()
    for video in videos:
        places = labeled_positions(video)
        spacings.update(b - a for a, b in zip(places, places[1:]))
    if not spacings:
        source = videos[0].source if videos else 'no videos'
        raise AnnotationError(
            f'{source}: none of the {len(videos)} videos has two labeled frames, so how far apart '
            'labels are is unknown; expected it to be given (`every`, --every).'
        )
    return min(spacings, key=lambda spacing: (-spacings[spacing], spacing))


def plan_queries(video: Video, every: int, on_disk: Callable[[Frame], bool] | None = None) -> Plan:
    """The poses to ask for in one video; the rules are those of the module.

    Args:
        video: with labels in some frames.
        every: k, the distance between labels.
        on_disk: whether the image of a frame exists. By default all do.
    """
    plan = Plan(videos=1)
    places = labeled_positions(video)
    plan.labeled_frames, plan.unlabeled_frames = len(places), len(video.frames) - len(places)
    tracks = {place: _tracks(video.frames[place], plan) for place in places}
    seen = Counter(track for persons in tracks.values() for track in persons)
    plan.tracks_with_one_label = sum(count == 1 for count in seen.values())
    if not places:
        plan.frames_out_of_reach = plan.unlabeled_frames
        return plan

    def ask(place: int, a: int | None, b: int | None) -> None:
        frame = video.frames[place]
        if on_disk is not None and not on_disk(frame):
            plan.frames_not_on_disk += 1
            return
        for track in tracks[b if a is None else a]:
            if None not in (a, b) and track not in tracks[b]:
                continue
            sides = [
                None
                if other is None
                else Label(video.frames[other], tracks[other][track], abs(place - other))
                for other in (a, b)
            ]
            plan.queries.append(Query(video, frame, track, *sides))
            plan.from_one_side += None in sides

    first, last = places[0], places[-1]
    start, end = max(0, first - every + 1), min(len(video.frames), last + every)
    plan.frames_out_of_reach = start + len(video.frames) - end
    for place in range(start, first):
        ask(place, None, first)
    for a, b in zip(places, places[1:]):
        if b - a > every:
            plan.frames_in_gaps += b - a - 1
        elif b - a > 1:
            plan.entering_or_leaving += len(tracks[a].keys() ^ tracks[b].keys())
            for place in range(a + 1, b):
                ask(place, a, b)
    for place in range(last + 1, end):
        ask(place, last, None)
    return plan


def _tracks(frame: Frame, plan: Plan) -> dict[int, int]:
    """Track id -> index of the person of a frame who can be followed; counts the others."""
    ids = frame.track_ids.tolist()
    count = Counter(ids)
    plan.without_track += sum(number for track, number in count.items() if track < 0)
    plan.shared_track += sum(n for track, n in count.items() if track >= 0 and n > 1)
    return {t: index for index, t in enumerate(ids) if t >= 0 and count[t] == 1}
