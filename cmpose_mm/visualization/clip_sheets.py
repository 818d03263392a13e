"""Sheets of clips as the model gets them, for checking by eye that frames and labels agree.

T: frames of a clip, K: joints, H, W: height and width of the input in pixels.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from cmpose_mm.engine import build_dataset

from .causal_tokens import blend_heat
from .layout import text_line

FRAME_HEIGHT = 320  # pixels of a drawn frame
_LINE_HEIGHT = 18
_WHITE, _GRAY, _YELLOW = (255, 255, 255), (170, 170, 170), (0, 220, 255)


def labeled_dataset(config: Config, split: str) -> BaseDataset:
    """The dataset of a config, with a pipeline that also packs the joints' positions in the input.

    Args:
        config: a whole config with dataloaders.
        split: 'train', 'val' or 'test'.

    Raises:
        ValueError: if the pipeline does not end with PackClipInputs.
    """
    config = copy.deepcopy(config)
    dataset = config[f'{split}_dataloader']['dataset']
    pipeline = dataset.get('pipeline', [])
    if not pipeline or pipeline[-1]['type'] != 'PackClipInputs':
        raise ValueError(
            f'{split}_dataloader.dataset.pipeline must end with PackClipInputs, '
            f'found {[transform["type"] for transform in pipeline]}'
        )
    pipeline[-1]['pack_transformed'] = True
    return build_dataset(config, f'{split}_dataloader')


def draw_clip(sample: dict, metainfo: dict) -> np.ndarray:
    """One row of a sheet: the frames of a clip, and the targets if there are any.

    The key frame has a yellow border and the skeleton of its labels. The other frames show the *key
    frame's* joints as dots, so moving joints have moved away from their dots. In training, the last
    picture shows the maximum of the target heatmaps over the key frame.

    Args:
        sample: the result of `PackClipInputs(pack_transformed=True)`; frames are BGR.
        metainfo: of the dataset, for joint colors and limbs.

    Returns:
        (h, w, 3) uint8, BGR.
    """
    data_sample = sample['data_samples']
    meta = data_sample.metainfo
    frames = sample['inputs'].permute(0, 2, 3, 1).numpy()  # (T, H, W, 3)
    scale = FRAME_HEIGHT / frames.shape[1]
    large = [_enlarge(frame, scale) for frame in frames]

    instances = data_sample.gt_instances
    # Pixel centers stay pixel centers: (x + 0.5) * scale - 0.5.
    points = (instances.transformed_keypoints[0] + 0.5) * scale - 0.5  # (K, 2)
    labeled = np.asarray(instances.keypoints_visible[0]) > 0
    labeled &= meta['box_source'] == 'ground_truth'  # detections come with dummy joints
    key = meta['key_index']
    panels = [image.copy() for image in large]
    for t, panel in enumerate(panels):
        _draw_pose(panel, points, labeled, metainfo, with_limbs=t == key)
    cv2.rectangle(panels[key], (0, 0), (panels[key].shape[1] - 1, FRAME_HEIGHT - 1), _YELLOW, 2)
    captions = [
        os.path.basename(path) + ('' if valid else ' (repeated)')
        for path, valid in zip(meta['frame_paths'], meta['frame_valid'])
    ]
    if 'gt_fields' in data_sample and 'heatmaps' in data_sample.gt_fields:
        panels.append(_blend_heatmaps(large[key], data_sample.gt_fields.heatmaps.numpy()))
        captions.append('targets')

    columns = [
        np.concatenate([panel, _caption(caption, panel.shape[1], _GRAY)])
        for panel, caption in zip(panels, captions)
    ]
    row = np.concatenate(columns, axis=1)
    title = (
        f'video {meta["video"]}, frame {meta["frame_number"]}, track {meta["track_id"]}, '
        f'{int(labeled.sum())} joints labeled, box {meta["box_source"]}'
        f'{", flipped" if meta.get("flip") else ""}'
    )
    return np.concatenate([_caption(title, row.shape[1], _WHITE), row])


def draw_sheets(
    dataset: BaseDataset, indices: Sequence[int], clips_per_sheet: int
) -> Iterator[np.ndarray]:
    """Sheets with one row per clip.

    Args:
        dataset: from `labeled_dataset`.
        indices: of the samples.
        clips_per_sheet: rows per sheet.

    Yields:
        (h, w, 3) uint8, BGR; all rows of a sheet are as wide as its widest.
    """
    for start in range(0, len(indices), clips_per_sheet):
        rows = [
            draw_clip(dataset[int(index)], dataset.metainfo)
            for index in indices[start : start + clips_per_sheet]
        ]
        width = max(row.shape[1] for row in rows)
        yield np.concatenate(
            [np.pad(row, ((0, 6), (0, width - row.shape[1]), (0, 0))) for row in rows]
        )


def _enlarge(image: np.ndarray, scale: float) -> np.ndarray:
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def _draw_pose(
    image: np.ndarray, points: np.ndarray, labeled: np.ndarray, metainfo: dict, with_limbs: bool
) -> None:
    """Draws the labeled joints into the image, with or without the limbs between them."""
    places = [tuple(int(round(float(v))) for v in point) for point in points]
    if with_limbs:
        for (start, end), color in zip(
            metainfo['skeleton_links'], metainfo['skeleton_link_colors']
        ):
            if labeled[start] and labeled[end]:
                bgr = tuple(int(c) for c in color[::-1])
                cv2.line(image, places[start], places[end], bgr, 2, cv2.LINE_AA)
    for place, shown, color in zip(places, labeled, metainfo['keypoint_colors']):
        if shown:
            bgr = tuple(int(c) for c in color[::-1])
            cv2.circle(image, place, 4 if with_limbs else 2, bgr, -1, cv2.LINE_AA)
            cv2.circle(image, place, 4 if with_limbs else 2, (0, 0, 0), 1, cv2.LINE_AA)


def _blend_heatmaps(image: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """The darkened image, with the maximum of the joints' heatmaps (K, h, w) in color."""
    size = image.shape[1], image.shape[0]
    strength = cv2.resize(np.clip(heatmaps.max(axis=0), 0, 1), size, interpolation=cv2.INTER_LINEAR)
    return blend_heat(image, strength)


def _caption(text: str, width: int, color: tuple[int, int, int]) -> np.ndarray:
    return text_line(text, width, _LINE_HEIGHT, color, background=(0, 0, 0))
