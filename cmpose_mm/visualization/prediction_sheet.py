"""One picture of a model's predictions: poses over frames, and what CM-Pose selected and merged.

Predictions are samples as MMEngine's ``DumpResults`` writes them (``mim test ... --dump``): dicts
with the metainfo and ``pred_instances``, which needs ``test_cfg.output_details`` for the tokens.
"""

from __future__ import annotations

from collections import defaultdict

import cv2
import numpy as np

from .causal_tokens import (
    crop_person,
    crop_points,
    draw_causal_tokens,
    draw_clusters,
    joint_legend,
)
from .skeletons import draw_poses

_GAP = 6
_CAPTION = 22


def prediction_sheet(
    samples: list[dict],
    num_frames: int = 3,
    num_persons: int = 2,
    frame_size: tuple[int, int] = (400, 300),
    score_thr: float = 0.2,
) -> np.ndarray:
    """Frames with poses above, persons with causal tokens and clusters below.

    Shown are the frames with most persons, one of each video, and the largest persons in them.

    Args:
        samples: predictions, one person each.
        num_frames: frames in the upper row.
        num_persons: persons in the lower row, at most one of each frame.
        frame_size: (width, height) of a frame in the picture.
        score_thr: joints below this score are left out.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        OSError: if a frame can't be read.
    """
    by_frame = defaultdict(list)
    for sample in samples:
        by_frame[sample['video'], sample['frame_number']].append(sample)
    frames = _busiest_frames(by_frame, num_frames)
    width, height = frame_size

    upper = [
        _captioned(_frame_with_poses(persons, (width, height), score_thr), persons[0]['video'])
        for persons in frames
    ]
    crop_height = height * 5 // 6
    lower = []
    for persons in frames[:num_persons]:
        largest = max(persons, key=lambda s: float(np.prod(np.asarray(s['input_scale']))))
        lower += person_panels(largest, crop_height, score_thr)
    legend = cv2.copyMakeBorder(
        joint_legend(crop_height), _CAPTION, 0, 0, 0, cv2.BORDER_CONSTANT, value=(30, 30, 30)
    )
    return _stack([_row(upper), _row([*lower, legend])])


def _busiest_frames(by_frame: dict, count: int) -> list[list[dict]]:
    """The frame with most persons of each video; of those, the ``count`` with most."""
    best = {}
    for (video, _), persons in sorted(by_frame.items(), key=lambda item: item[0]):
        if video not in best or len(persons) > len(best[video]):
            best[video] = persons
    return sorted(best.values(), key=lambda persons: (-len(persons), persons[0]['video']))[:count]


def person_panels(sample: dict, height: int, score_thr: float = 0.2) -> list[np.ndarray]:
    """Pose, causal tokens and clusters of one person on its crop, with captions.

    Args:
        sample: one prediction, with ``causal_tokens`` and ``cluster_ids``.
        height: of the crop in the picture, in pixels.
        score_thr: joints below this score are left out.

    Raises:
        KeyError: if the prediction carries no details.
    """
    pred = sample['pred_instances']
    if 'causal_tokens' not in pred:
        raise KeyError(
            f'prediction of person {sample["id"]} has no causal_tokens; expected a model with FTE '
            'and test_cfg.output_details=True'
        )
    input_width, input_height = sample['input_size']
    size = (round(height * input_width / input_height), height)
    view = (sample['input_center'], sample['input_scale'], size)
    crop = crop_person(_read(sample['img_path']), *view)
    keypoints = crop_points(np.asarray(pred['keypoints']), *view)
    shown = np.asarray(pred['keypoint_scores']) >= score_thr
    causal, clusters = (np.asarray(pred[name])[0] for name in ('causal_tokens', 'cluster_ids'))
    grid = token_grid(len(clusters), input_height / input_width)
    return [
        _captioned(draw_poses(crop, keypoints, shown), 'pose'),
        _captioned(draw_causal_tokens(crop, causal, grid), 'causal tokens'),
        _captioned(draw_clusters(crop, clusters, grid), 'merged clusters'),
    ]


def token_grid(num_tokens: int, aspect: float) -> tuple[int, int]:
    """(h, w) of ``num_tokens`` cells in a grid whose height is ``aspect`` times its width.

    Raises:
        ValueError: if no such grid has that many cells.
    """
    height = round((num_tokens * aspect) ** 0.5)
    width = num_tokens // max(height, 1)
    if height * width != num_tokens:
        raise ValueError(f'{num_tokens} tokens do not fill a grid of aspect {aspect:.3f}')
    return height, width


def _frame_with_poses(persons: list[dict], size: tuple[int, int], score_thr: float) -> np.ndarray:
    image = _read(persons[0]['img_path'])
    zoom = np.array(size) / image.shape[1::-1]
    keypoints = np.concatenate([np.asarray(p['pred_instances']['keypoints']) for p in persons])
    scores = np.concatenate([np.asarray(p['pred_instances']['keypoint_scores']) for p in persons])
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return draw_poses(image, (keypoints + 0.5) * zoom - 0.5, scores >= score_thr)


def _read(path: str) -> np.ndarray:
    image = cv2.imread(path)
    if image is None:
        raise OSError(f'{path}: image can not be read')
    return image


def _captioned(image: np.ndarray, text: str) -> np.ndarray:
    """The image under a dark strip with its caption."""
    strip = np.full((_CAPTION, image.shape[1], 3), 30, np.uint8)
    cv2.putText(strip, text, (4, _CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45,
                (235, 235, 235), 1, cv2.LINE_AA)  # fmt: skip
    return np.vstack([strip, image])


def _row(images: list[np.ndarray]) -> np.ndarray:
    """Images of one height side by side."""
    gap = np.full((images[0].shape[0], _GAP, 3), 30, np.uint8)
    return np.hstack([part for image in images for part in (image, gap)][:-1])


def _stack(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of any width below each other, in a dark frame."""
    width = max(row.shape[1] for row in rows)
    rows = [
        cv2.copyMakeBorder(
            row, _GAP, 0, _GAP, width - row.shape[1] + _GAP, cv2.BORDER_CONSTANT,
            value=(30, 30, 30),
        )
        for row in rows
    ]  # fmt: skip
    return cv2.copyMakeBorder(
        np.vstack(rows), 0, _GAP, 0, 0, cv2.BORDER_CONSTANT, value=(30, 30, 30)
    )
