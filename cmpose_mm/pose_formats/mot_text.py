"""MOTChallenge's text format: the boxes of tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmpose_mm.whole_files import write_whole

from .pose_video import DECIMALS, PoseVideo


def write_mot(video: PoseVideo, path: str | Path) -> int:
    """Writes a line for each person: frame, id, left, top, width, height, score, -1, -1, -1.

    Frames, ids and pixels count from 1, as MOTChallenge's do: id is the track id plus 1, and the
    middle of the upper left pixel is (1, 1). The score is 1 where there is none.

    Args:
        video: the poses.
        path: file to write.

    Returns:
        The number of persons written; those without a track id or a box are not.

    Raises:
        AnnotationError: if a track is twice in a frame.
    """
    video.check_tracks()
    lines, frames = [], video.frame_numbers()[video.frames]
    for person in np.argsort(video.frames, kind='stable'):
        box, score = video.boxes[person], video.scores[person]
        if video.track_ids[person] < 0 or np.isnan(box).any():
            continue
        numbers = ','.join(f'{value:.{DECIMALS}f}' for value in box + (1, 1, 0, 0))
        score = 1.0 if np.isnan(score) else score
        frame, track = frames[person] + 1, video.track_ids[person] + 1
        lines.append(f'{frame},{track},{numbers},{score:.4f},-1,-1,-1\n')
    write_whole(path, ''.join(lines).encode())
    return len(lines)
