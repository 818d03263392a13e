"""From files of labels and predictions to a result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from cmpose_mm.posetrack.annotations import AnnotationError, Video, check_images, read_videos

from .average_precision import average_precision, average_precision_per_video
from .jitter import acceleration_error
from .mota import tracking_accuracy
from .pck import correct_keypoints
from .report import ap_to_dict, mota_to_dict, pck_to_dict, visibility_to_dict
from .scored_frames import MATCH_DISTANCE, RULES, select_scored
from .visibility import recall_by_visibility


def evaluate_files(
    ground_truth: str | Path,
    predictions: str | Path,
    *,
    dataset: str = '18',
    tie_break: str = 'stable',
    allow_missing: bool = False,
    videos: list[str] | None = None,
    per_video: bool = False,
    mota: bool = False,
    mota_compat: str | None = None,
    visibility: bool = False,
    jitter: bool = False,
    reach: int = 1,
    stride: int = 1,
    pck_norms: Sequence[str] = (),
    pck_visible_only: bool = False,
    progress: Callable[[list[Path]], Iterable[Path]] = iter,
) -> dict:
    """Scores prediction files against label files.

    Args:
        ground_truth: folder of per-video files, or one file; see `read_videos`.
        predictions: the same.
        dataset: release whose rules hold, a key of `RULES`.
        tie_break: see `average_precision`. With 'poseval' the videos are taken in the order in
            which the operating system lists the ground-truth folder, as `poseval` does.
        allow_missing: see `select_scored`.
        videos: names of the videos to score, all by default.
        per_video: also score each video on its own.
        mota: also compute the tracking accuracy.
        mota_compat: see `tracking_accuracy`.
        visibility: also compute the recall by visibility.
        jitter: also compute the acceleration error.
        reach, stride: see `recall_by_visibility` and `acceleration_error`.
        pck_norms: also compute PCK by each of these norms, see `correct_keypoints`. If some labeled
            persons have no head box and nothing but AP needs it, AP is NaN and PCK counts.
        pck_visible_only: count the joints that are labeled as visible only.
        progress: see `read_videos`.

    Returns:
        `per_joint`, the seven groups, `Total`, `mean7`, `precision`, `recall`, `counts` and
        `protocol`; `mota`, `visibility`, `jitter`, `pck` (by norm) and `per_video` if asked for.

    Raises:
        AnnotationError: one sentence for every problem in the files, and if no predicted joint has
            a score.
    """
    rules = RULES[dataset]
    labeled, predicted = _read_both(ground_truth, predictions, progress=progress)
    check_images(labeled)
    if tie_break == 'poseval':
        labeled = _in_listed_order(labeled, Path(ground_truth))
    scored = select_scored(
        labeled,
        predicted,
        rules=rules,
        allow_missing=allow_missing,
        videos=videos,
        need_head_boxes=not pck_norms or mota or visibility or per_video,
    )
    precision = average_precision(scored, rules=rules, tie_break=tie_break)
    headless = sum(int(np.isnan(video.gt_head_sizes).sum()) for video in scored.videos)
    if headless:
        unknown = np.full_like(precision.ap, np.nan)
        precision = replace(precision, ap=unknown, precision=unknown, recall=unknown)
    result = ap_to_dict(precision)
    if mota:
        result['mota'] = mota_to_dict(tracking_accuracy(scored, compat=mota_compat))
    if visibility:
        recall = recall_by_visibility(scored, reach=reach, stride=stride)
        result['visibility'] = visibility_to_dict(recall)
    if jitter:
        result['jitter'] = asdict(acceleration_error(scored, stride=stride))
    if pck_norms:
        measured = {
            norm: correct_keypoints(scored, norm, visible_only=pck_visible_only)
            for norm in pck_norms
        }
        result['pck'] = {norm: pck_to_dict(part) for norm, part in measured.items()}
    if per_video:
        parts = average_precision_per_video(scored, rules=rules, tie_break=tie_break)
        for name, part in parts.items():
            if not part.num_gt.any():  # nothing to find, and no 0 for finding nothing
                nan = np.full_like(part.ap, np.nan)
                parts[name] = replace(part, ap=nan, precision=nan, recall=nan)
        result['per_video'] = {name: ap_to_dict(part) for name, part in parts.items()}
    result['protocol'] = {
        'ground_truth': str(ground_truth),
        'predictions': str(predictions),
        'dataset': dataset,
        **asdict(rules),
        'tie_break': tie_break,
        'videos_left_out': len(scored.left_out),
        'frames_without_entry': scored.num_missing_frames,
        'joints_without_score': precision.num_without_score,
    }
    if headless:
        result['protocol']['persons_without_head_box'] = headless
    flat = sum(int((video.gt_head_sizes == 0).sum()) for video in scored.videos)
    if flat:
        result['protocol']['persons_with_empty_head_box'] = flat
    if mota:
        result['protocol']['mota'] = mota_compat or 'plain'
    if pck_norms:
        result['protocol']['pck'] = f'{"visible" if pck_visible_only else "all labeled"} joints'
    if visibility:
        result['protocol']['visibility'] = (
            f'recall within {MATCH_DISTANCE} head sizes, neighbors up to {reach} x {stride} frames'
        )
    if visibility or jitter:
        apart = _least_step(video for video in labeled if video.name not in scored.left_out)
        if apart > reach * stride:
            result['protocol']['frames_apart'] = apart
    return result


def _least_step(videos: Iterable[Video]) -> int:
    """The least difference of two frame numbers of a video; 0 if no video lists two frames."""
    numbers = [np.sort([frame.number for frame in video.frames]) for video in videos]
    steps = [np.diff(of_video).min() for of_video in numbers if len(of_video) > 1]
    return int(min(steps, default=0))


def _read_both(*paths: str | Path, progress) -> list[list[Video]]:
    """The videos of each path, or all their problems in one error."""
    read, problems = [], []
    for path in paths:
        try:
            read.append(read_videos(path, progress=progress))
        except AnnotationError as error:
            problems += error.problems
    if problems:
        raise AnnotationError(problems)
    return read


def _in_listed_order(videos: list[Video], folder: Path) -> list[Video]:
    """The videos in the order in which the system lists their files."""
    if not folder.is_dir():
        return videos
    place = {name: index for index, name in enumerate(os.listdir(folder))}
    return sorted(videos, key=lambda video: place[Path(video.source).name])
