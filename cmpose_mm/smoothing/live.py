"""Smoothing of the inferencer's results, frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .one_euro import OneEuroSmoother

if TYPE_CHECKING:
    from cmpose_mm.apis import FramePoses


def smooth_live(
    results: Iterable[FramePoses],
    frame_rate: float | None = None,
    smoother: OneEuroSmoother | None = None,
) -> Iterator[FramePoses]:
    """Smooths the joints of each result in place as it comes, without delay.

    The body length is the longer side of a person's box.

    Args:
        results: of `VideoPoseInferencer`, or any with the same fields.
        frame_rate: frames a second where frames have no time; otherwise unused.
        smoother: by default one with default settings.

    Yields:
        The same results.

    Raises:
        ValueError: if a frame has no time and there is no ``frame_rate``.
    """
    smoother = smoother or OneEuroSmoother()
    for result in results:
        time, persons = result.frame.time, result.data_sample.pred_instances
        if time is None:
            if not frame_rate:
                raise ValueError(
                    f'frame {result.frame.number} has no time, expected a frame rate to be given.'
                )
            time = result.frame.number / frame_rate
        if len(persons.track_ids):
            sizes = (persons.bboxes[:, 2:] - persons.bboxes[:, :2]).max(axis=1)
            smoothed = smoother.update(persons.track_ids, persons.keypoints, sizes, time)
            persons.keypoints = smoothed.astype(persons.keypoints.dtype)
        yield result
