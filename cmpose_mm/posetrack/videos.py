"""Videos with labeled or predicted persons in memory: what all readers give.

Shapes: P persons of a frame, 15 joints in the order of `joints.JOINT_NAMES`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .joints import JOINT_NAMES

MISSING_SCORE = -9999.0
"""Score of a predicted joint that carries none."""

_MAX_SENTENCES = 100  # a file that is wrong throughout is not worth more lines


class AnnotationError(ValueError):
    """A label or prediction file is wrong.

    Attributes:
        problems (list[str]): one sentence each: file, place, what was found, what was expected.
    """

    def __init__(self, problems: str | list[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        lines = self.problems[:_MAX_SENTENCES]
        if len(self.problems) > len(lines):
            lines.append(f'... and {len(self.problems) - len(lines)} more problems.')
        super().__init__('\n'.join(lines))


@dataclass
class Frame:
    """One image of a video with its persons, labeled or predicted.

    Attributes:
        file_name: as the label file writes it.
        image_id: as labeled; made up for annolist files, see `annotations.read_videos`.
        number: of the frame in its video, see `annotations.read_videos`.
        is_labeled: whether the file marks the frame as labeled.
        ignore_regions: polygons, each (n, 2) float64, pixels of the image.
        keypoints: (P, 15, 3) float64 x, y in pixels of the image and visibility v; a joint is
            absent only if x = y = v = 0.
        scores: (P, 15) float64, `MISSING_SCORE` where missing.
        head_boxes: (P, 4) float64 xywh in pixels of the image, NaN where missing.
        boxes: (P, 4) float64 xywh in pixels of the image, NaN where missing.
        track_ids: (P,) int64, -1 where missing.
        ids: (P,) int64 annotation ids, -1 where missing. They need not be unique.
        width, height: of the image in pixels, None where the file does not say.
        num_without_points: persons for whom an annolist has no list of points, not even an empty
            one; `poseval` tells these two kinds of persons without joints apart.
        pseudo: (P,) bool, persons whose pose nobody labeled: a program carried it over from labels
            in other frames ("pseudo": true, see `cmpose_mm.propagation`). None: there are none.
    """

    file_name: str
    image_id: int
    number: int
    is_labeled: bool
    ignore_regions: list[np.ndarray]
    keypoints: np.ndarray
    scores: np.ndarray
    head_boxes: np.ndarray
    boxes: np.ndarray
    track_ids: np.ndarray
    ids: np.ndarray
    width: int | None = None
    height: int | None = None
    num_without_points: int = 0
    pseudo: np.ndarray | None = None

    @property
    def num_pseudo(self) -> int:
        """Persons whose pose nobody labeled."""
        return 0 if self.pseudo is None else int(self.pseudo.sum())


@dataclass
class Video:
    """The frames of one video in temporal order.

    Attributes:
        name: stem of a per-video file, or the images' folder if the file holds several videos.
        frames: all frames, labeled or not.
        source: path of the file it came from.
        has_image_ids: False for annolist files, whose image ids are made up.
        joints: names of the joints that persons have.
    """

    name: str
    frames: list[Frame]
    source: str
    has_image_ids: bool = True
    joints: tuple[str, ...] = JOINT_NAMES

    @property
    def num_pseudo(self) -> int:
        """Persons whose pose nobody labeled, see `Frame.pseudo`."""
        return sum(frame.num_pseudo for frame in self.frames)


def empty_frame(file_name: str, image_id: int, number: int | None) -> Frame:
    """A frame without persons, not labeled."""
    joints = len(JOINT_NAMES)
    return Frame(
        file_name=file_name,
        image_id=image_id,
        number=number,
        is_labeled=False,
        ignore_regions=[],
        keypoints=np.zeros((0, joints, 3)),
        scores=np.zeros((0, joints)),
        head_boxes=np.zeros((0, 4)),
        boxes=np.zeros((0, 4)),
        track_ids=np.zeros(0, dtype=np.int64),
        ids=np.zeros(0, dtype=np.int64),
    )
