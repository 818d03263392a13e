"""COCO's results format for keypoints, which pycocotools reads with ``loadRes``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from cmpose_mm.whole_files import write_whole

from .pose_video import DECIMALS, PoseVideo


def write_coco_results(video: PoseVideo, path: str | Path) -> int:
    """Writes a list with an entry for each person.

    ``keypoints`` are x, y and the joint's score (1 where there is none; absent joints are zeros),
    in the order of ``video.joints``, so the ground truth has to have the same joints. ``score`` is
    that of the person, or else the mean of the joints' scores.

    Args:
        video: the poses.
        path: file to write.

    Returns:
        The number of persons written.
    """
    entries = []
    has_boxes = not np.isnan(video.boxes).any(axis=1).all()
    for person, frame in enumerate(video.frames.tolist()):
        scores = np.nan_to_num(video.keypoint_scores[person], nan=1.0)
        joints = np.concatenate([video.keypoints[person].round(DECIMALS), scores[:, None]], axis=1)
        absent = np.isnan(joints).any(axis=1)
        joints[absent] = 0
        score = video.scores[person]
        if np.isnan(score):
            score = scores[~absent].mean() if (~absent).any() else 0.0
        entry = dict(
            image_id=int(video.image_ids[frame]),
            category_id=1,
            keypoints=joints.ravel().tolist(),
            score=float(score),
        )
        if not np.isnan(video.boxes[person]).any():
            entry['bbox'] = video.boxes[person].round(DECIMALS).tolist()
        elif has_boxes:  # pycocotools looks for boxes in all entries or in none
            there = joints[~absent, :2] if (~absent).any() else np.zeros((1, 2))
            low, high = there.min(axis=0), there.max(axis=0)
            entry['bbox'] = np.concatenate([low, high - low]).round(DECIMALS).tolist()
        if video.track_ids[person] >= 0:
            entry['track_id'] = int(video.track_ids[person])
        entries.append(entry)
    write_whole(path, orjson.dumps(entries))
    return len(entries)
