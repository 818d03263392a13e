"""A long table, one row a joint, as data frames like it; written as Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.json_files import utf8
from cmpose_mm.whole_files import write_whole

from .pose_video import DECIMALS, PoseVideo

LONG_COLUMNS = (
    'video', 'frame', 'time', 'track_id', 'person_score', 'joint', 'x', 'y', 'score',
)  # fmt: skip


def long_table(video: PoseVideo) -> dict[str, np.ndarray]:
    """The columns of a table with a row for each present joint of each person.

    A frame without persons has one row with ``track_id`` -1 and no joint (None), so that no frame
    is missing. ``frame`` is its number in the video; ``time`` in seconds, ``x`` and ``y`` in pixels
    of the image, rounded to a hundredth; NaN is what is not known.

    Returns:
        Arrays of equal length by `LONG_COLUMNS`.
    """
    person, joint = np.nonzero(~np.isnan(video.keypoints).any(axis=2))
    empty = np.setdiff1d(np.arange(len(video.image_ids)), video.frames[person])
    nothing = np.full(len(empty), np.nan)
    frame = np.concatenate([video.frames[person], empty])
    names = np.array([*video.joints, None], dtype=object)
    columns = dict(
        video=np.full(len(frame), utf8(video.name), dtype=object),
        frame=video.frame_numbers()[frame],
        time=video.times[frame],
        track_id=np.concatenate([video.track_ids[person], np.full(len(empty), -1)]),
        person_score=np.concatenate([video.scores[person], nothing]),
        joint=names[np.concatenate([joint, np.full(len(empty), len(video.joints))]).astype(int)],
        x=np.concatenate([video.keypoints[person, joint, 0].round(DECIMALS), nothing]),
        y=np.concatenate([video.keypoints[person, joint, 1].round(DECIMALS), nothing]),
        score=np.concatenate([video.keypoint_scores[person, joint], nothing]),
    )
    order = np.argsort(frame, kind='stable')
    return {name: column[order] for name, column in columns.items()}


def write_parquet(video: PoseVideo, path: str | Path) -> int:
    """Writes `long_table` as a Parquet file.

    Returns:
        The number of persons written: those with a joint.

    Raises:
        ModuleNotFoundError: if pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{path}: Parquet needs pyarrow, which is not installed; `pip install pyarrow`'
        ) from error
    types = dict(video=pyarrow.string(), joint=pyarrow.string())  # also where all are None
    columns = {
        name: pyarrow.array(values, types.get(name)) for name, values in long_table(video).items()
    }
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    write_whole(path, buffer.getvalue())
    return int((~np.isnan(video.keypoints).any(axis=2)).any(axis=1).sum())
