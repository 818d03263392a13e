"""Smoothing of the inferencer's results, frame by frame."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .one_euro import OneEuroSmoother

if TYPE_CHECKING:
    from cmpose_mm.apis import FramePoses

_LEAST_STEP = 1e-6
"""Seconds; less is the rounding of times that are the same."""


def smooth_live(
    results: Iterable[FramePoses],
    frame_rate: float | None = None,
    smoother: OneEuroSmoother | None = None,
) -> Iterator[FramePoses]:
    """Smooths the joints of each result in place as it comes, without delay.

    The body length is the longer side of a person's box. A frame whose time is not after that of
    the one before, as where a stream's clock steps back, counts as one frame later, and the first
    of them is told in a warning.

    Args:
        results: of `VideoPoseInferencer`, or any with the same fields.
        frame_rate: frames a second where frames have no time, or none after the one before; those
            count as 1/25 s later without it.
        smoother: by default one with default settings.

    Yields:
        The same results.

    Raises:
        ValueError: if a frame has no time and there is no ``frame_rate``.
    """
    smoother = smoother or OneEuroSmoother()
    last, told = -math.inf, False
    for result in results:
        time, persons = result.frame.time, result.data_sample.pred_instances
        if time is None:
            if not frame_rate:
                raise ValueError(
                    f'frame {result.frame.number} has no time, expected a frame rate to be given.'
                )
            time = result.frame.number / frame_rate
        if time < last + _LEAST_STEP:
            if not told:
                told = True
                warnings.warn(
                    f'frame {result.frame.number} has the time {time:.3f} s, which is not after '
                    f'{last:.3f} s of the one before; such frames are smoothed as one frame later.',
                    stacklevel=2,
                )
            time = last + 1 / (frame_rate or 25)
        last = time
        if len(persons.track_ids):
            sizes = (persons.bboxes[:, 2:] - persons.bboxes[:, :2]).max(axis=1)
            smoothed = smoother.update(persons.track_ids, persons.keypoints, sizes, time)
            persons.keypoints = smoothed.astype(persons.keypoints.dtype)
        yield result
