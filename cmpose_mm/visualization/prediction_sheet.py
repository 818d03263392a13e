"""One picture of a model's predictions: poses over frames, and details of the method's decisions.

Predictions are samples as MMEngine's ``DumpResults`` writes them (``mim test ... --dump``): dicts
with the metainfo and ``pred_instances``. The details need ``test_cfg.output_details``.
"""

from __future__ import annotations

from collections import defaultdict

import cv2
import numpy as np

from cmpose_mm.images import read_image
from cmpose_mm.joint_sets import POSETRACK

from .causal_tokens import joint_legend
from .explain import explain
from .layout import captioned, row, stack
from .skeletons import draw_poses

FRAME_SIZE = (400, 300)
"""(width, height) of a frame in the picture."""


def prediction_sheet(
    samples: list[dict],
    num_frames: int = 3,
    num_persons: int = 2,
    score_thr: float = 0.2,
) -> np.ndarray:
    """Frames with poses above; below, persons with the method's first two details.

    The frames are those with the most persons, one from each video; the persons are the largest in
    these frames.

    Args:
        samples: predictions, one person each.
        num_frames: frames in the upper row.
        num_persons: persons in the lower row, at most one from each frame.
        score_thr: joints below this score are left out.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        KeyError: if a prediction has no details.
        OSError: if a frame cannot be read.
    """
    by_frame = defaultdict(list)
    for sample in samples:
        by_frame[sample['video'], sample['frame_number']].append(sample)
    frames = _busiest_frames(by_frame, num_frames)
    upper = [
        captioned(_frame_with_poses(persons, FRAME_SIZE, score_thr), persons[0]['video'])
        for persons in frames
    ]
    crop_height = FRAME_SIZE[1] * 5 // 6
    lower = []
    for persons in frames[:num_persons]:
        largest = max(persons, key=lambda s: float(np.prod(np.asarray(s['input_scale']))))
        panels = explain(largest, height=crop_height, score_thr=score_thr).panels
        lower += [captioned(panel.image, panel.caption) for panel in panels[:3]]
    legend = joint_legend(crop_height, samples[0].get('joint_set', POSETRACK).joints)
    return stack([row(upper), row([*lower, captioned(legend, '')])])


def _busiest_frames(by_frame: dict, count: int) -> list[list[dict]]:
    """The frame with the most persons in each video; of those, the ``count`` with the most."""
    best = {}
    for (video, _), persons in sorted(by_frame.items(), key=lambda item: item[0]):
        if video not in best or len(persons) > len(best[video]):
            best[video] = persons
    return sorted(best.values(), key=lambda persons: (-len(persons), persons[0]['video']))[:count]


def _frame_with_poses(persons: list[dict], size: tuple[int, int], score_thr: float) -> np.ndarray:
    image = read_image(persons[0]['img_path'])
    zoom = np.array(size) / image.shape[1::-1]
    keypoints = np.concatenate([np.asarray(p['pred_instances']['keypoints']) for p in persons])
    scores = np.concatenate([np.asarray(p['pred_instances']['keypoint_scores']) for p in persons])
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    joints = persons[0].get('joint_set', POSETRACK)
    return draw_poses(image, (keypoints + 0.5) * zoom - 0.5, scores >= score_thr, joints=joints)
