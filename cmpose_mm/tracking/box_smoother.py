"""Smooths the boxes of tracks over time."""

from __future__ import annotations

import numpy as np

from .checks import finite_array, valid_boxes

_ONE_FRAME = np.array([[1.0, 0.0], [-1.0, 1.0]])  # (1, u) -> (1, u - 1)
_FORGOTTEN = 1e-6  # tracks whose weights sum to less no longer matter


class BoxSmoother:
    """Removes the jitter from the boxes of each track, online.

    Straight lines are fitted by least squares to the boxes of the track so far: to center x and y
    and the logarithms of width and height. A box that is n frames old has weight decay^n. The
    smoothed box is the value of these lines at the current frame. So boxes do not lag behind a
    person who moves steadily, and a person who was not seen for a while starts anew.

    Args:
        decay: from 0, which leaves boxes unchanged, to below 1.

    Raises:
        ValueError: if `decay` is out of range.
    """

    def __init__(self, decay: float = 0.6) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f'decay is {decay}, expected 0 or more and less than 1.')
        self.decay = decay
        # sums over the boxes y of a track, u <= 0 frames from now, with weights w: of
        # w (1, u)^T (1, u) and of w (1, u)^T y
        self._sums: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def update(self, ids: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Smooths the boxes of the next frame. Call it for frames without persons, too.

        Args:
            ids: (P,) track ids; persons with a negative id keep their boxes.
            boxes: (P, 4) x1, y1, x2, y2 in pixels of the image.

        Returns:
            (P, 4) smoothed boxes.

        Raises:
            ValueError: one sentence about a repeated id, or a box that is not finite or has no
                area. The smoother is then unchanged.
        """
        ids = finite_array('ids', ids, (len(boxes),)).astype(np.int64)
        smoothed = valid_boxes(boxes, len(ids))
        tracked = ids[ids >= 0]
        if len(np.unique(tracked)) < len(tracked):
            raise ValueError(f'ids are {ids.tolist()}, expected each track once.')

        self._sums = {
            track_id: (self.decay * _ONE_FRAME @ weights @ _ONE_FRAME.T,
                       self.decay * _ONE_FRAME @ values)
            for track_id, (weights, values) in self._sums.items()
            if self.decay * weights[0, 0] > _FORGOTTEN
        }  # fmt: skip
        for place in np.flatnonzero(ids >= 0):
            low, high = smoothed[place].reshape(2, 2)
            weights, values = self._sums.get(int(ids[place]), (np.zeros((2, 2)), np.zeros((2, 4))))
            weights[0, 0] += 1
            values[0] += np.concatenate([(low + high) / 2, np.log(high - low)])
            self._sums[int(ids[place])] = weights, values
            # the shortest solution: with a single box, a line of slope zero
            present = (np.linalg.pinv(weights) @ values)[0]
            center, half = present[:2], np.exp(present[2:]) / 2
            smoothed[place] = np.concatenate([center - half, center + half])
        return smoothed
