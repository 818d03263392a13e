"""Track crops: each person is cropped once a frame, and the crop's features serve several clips.

Consecutive key frames share frames, but with the key frame's box for the whole clip, as in
training, a neighbor's crop differs from key frame to key frame, and its features can't be reused.
Here a person's crop in a frame is cut by the person's own box in that frame, smoothed along the
track. So each (person, frame) goes through the backbone once.

T: frames of a clip, P: persons of a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from mmpose.structures import PoseDataSample
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cmpose_mm.datasets.transforms.clip_transforms import common_shape
from cmpose_mm.models import FrameFeatures
from cmpose_mm.tracking import BoxSmoother, box_iou

from .video_io import VideoFrame

MIN_IOU = 0.3
"""Boxes of one person in consecutive frames overlap at least this much."""


@dataclass(eq=False)
class Crop:
    """One person in one frame.

    Attributes:
        image: (3, H, W) uint8 crop.
        data_sample: with the crop's place in the image.
        features: without leading axes, None until the backbone has seen the crop.
        flipped: the same of the mirrored crop; None without flip test.
        by_own_box: it was cut by the person's box in this frame, not by that of a key frame.
    """

    image: Tensor
    data_sample: PoseDataSample
    features: FrameFeatures | None = None
    flipped: FrameFeatures | None = None
    by_own_box: bool = True


@dataclass(eq=False)
class LinkedFrame:
    """A frame whose persons are linked to those of the frame before, once they are known.

    Attributes:
        frame: the frame.
        boxes: (P, 4) as the box source gives them.
        scores: (P,).
        links: (P,) int64, equal for a person in consecutive frames.
        smoothed: (P, 4) boxes to crop by.
        crops: made so far, by link.
    """

    frame: VideoFrame
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    links: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    smoothed: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    crops: dict[int, Crop] = field(default_factory=dict)


class TrackCrops:
    """Links persons from frame to frame, and cuts each out once a frame.

    Links go by the overlap of boxes alone, because the poses of the frames ahead of the key frame
    are not known yet; the ids in the results are those of `PoseTracker`. A link ends with the first
    frame that misses the person.

    Args:
        make_crop: makes a crop from a frame, a box (4,) and a score.
    """

    def __init__(self, make_crop: Callable[[VideoFrame, np.ndarray, float], Crop]) -> None:
        self.make_crop = make_crop
        self.smoother = BoxSmoother()
        self.boxes, self.links = np.zeros((0, 4)), np.zeros(0, np.int64)
        self.next_link = 0

    def link(self, frame: LinkedFrame, boxes: np.ndarray, scores: np.ndarray) -> None:
        """Takes the persons of the next frame of the video."""
        links = np.full(len(boxes), -1, np.int64)
        overlap = box_iou(boxes, self.boxes)
        overlap[overlap < MIN_IOU] = 0  # two useless pairs must not outweigh a good one
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        same = overlap[rows, columns] > 0
        links[rows[same]] = self.links[columns[same]]
        new = np.flatnonzero(links < 0)
        links[new] = self.next_link + np.arange(len(new))
        self.next_link += len(new)
        self.boxes, self.links = boxes, links
        frame.boxes, frame.scores, frame.links = boxes, scores, links
        frame.smoothed = np.asarray(self.smoother.update(links, boxes), np.float32)

    def clips(self, frames: list[LinkedFrame], key: LinkedFrame) -> list[list[Crop]]:
        """The crops of each person of the key frame, P lists of T.

        In a frame of the clip where the link has no box (yet), the key frame's cuts the person out.
        A crop once made stays the person's crop in that frame, until a box of its own is known.

        Raises:
            ValueError: if the frames have several sizes.
        """
        name = key.frame.path or key.frame.number
        common_shape([frame.frame.image for frame in frames], f'key frame {name}')
        return [
            [self._crop(frame, key, person) for frame in frames] for person in range(len(key.links))
        ]

    def _crop(self, frame: LinkedFrame, key: LinkedFrame, person: int) -> Crop:
        link = int(key.links[person])
        crop = frame.crops.get(link)
        if crop is None or not crop.by_own_box:
            found = np.flatnonzero(frame.links == link)
            if crop is None or len(found):
                box = frame.smoothed[found[0]] if len(found) else key.smoothed[person]
                crop = self.make_crop(frame.frame, box, key.scores[person])
                crop.by_own_box = len(found) > 0
                frame.crops[link] = crop
        return crop
