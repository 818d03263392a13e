"""PCK by plain loops over the content of label and prediction files, written apart from ours."""

from __future__ import annotations

import math

ORDER = (
    'nose head_bottom head_top left_ear right_ear left_shoulder right_shoulder left_elbow '
    'right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle '
    'right_ankle'
).split()


def joints_of(annotation: dict) -> dict[str, tuple[float, float, float]]:
    found = {}
    for place, name in enumerate(ORDER):
        x, y, v = annotation['keypoints'][3 * place : 3 * place + 3]
        if 'ear' not in name and (x, y, v) != (0, 0, 0):
            found[name] = (x, y, v)
    return found


def norm_of(annotation: dict, norm: str) -> float | None:
    joints = joints_of(annotation)
    if norm == 'box':
        size = max(annotation['bbox'][2], annotation['bbox'][3])
    elif norm == 'torso':
        if not {'left_shoulder', 'right_hip'} <= set(joints):
            return None
        (ax, ay, _), (bx, by, _) = joints['left_shoulder'], joints['right_hip']
        size = math.sqrt((ax - bx) ** 2 + (ay - by) ** 2)
    else:
        if 'bbox_head' not in annotation:
            return None
        _, _, width, height = annotation['bbox_head']
        size = 0.6 * math.sqrt(width**2 + height**2)
    return size if size > 0 else None


def overlap(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def pair(labeled: list[dict], predicted: list[dict]) -> dict[int, dict]:
    """Place of the labeled person -> predicted person: the best pair first, then the next."""
    left, pairs = list(range(len(predicted))), {}
    while left:
        best = max(
            (
                (overlap(predicted[p]['bbox'], labeled[g]['bbox']), -p, -g)
                for p in left
                for g in range(len(labeled))
                if g not in pairs
            ),
            default=(0.0, 0, 0),
        )
        if best[0] == 0:
            break
        pairs[-best[2]] = predicted[-best[1]]
        left.remove(-best[1])
    return pairs


def pck(
    videos: list[tuple[dict, dict]], norm: str, threshold: float, visible_only: bool = False
) -> tuple[list[dict[str, int]], list[dict[str, int]], dict[str, float], int, int]:
    """Hits and labeled joints of every video, percent a joint, persons without norm, unpaired."""
    hits = [dict.fromkeys(ORDER, 0) for _ in videos]
    counts = [dict.fromkeys(ORDER, 0) for _ in videos]
    without_norm = unpaired = 0
    for video, (gt, pred) in enumerate(videos):
        for image in gt['images']:
            labeled = [a for a in gt['annotations'] if a['image_id'] == image['id']]
            predicted = [a for a in pred['annotations'] if a['image_id'] == image['id']]
            labeled = [a for a in labeled if joints_of(a)]
            pairs = pair(labeled, [a for a in predicted if joints_of(a)])
            for index, annotation in enumerate(labeled):
                size = norm_of(annotation, norm)
                if size is None:
                    without_norm += 1
                    continue
                unpaired += index not in pairs
                guess = joints_of(pairs[index]) if index in pairs else {}
                for name, (x, y, v) in joints_of(annotation).items():
                    if visible_only and v == 0:
                        continue
                    counts[video][name] += 1
                    if name in guess:
                        px, py, _ = guess[name]
                        distance = math.sqrt((px - x) ** 2 + (py - y) ** 2) / size
                        hits[video][name] += distance < threshold
    percent = {}
    for name in ORDER:
        count = sum(c[name] for c in counts)
        if 'ear' not in name:
            percent[name] = 100 * sum(h[name] for h in hits) / count if count else math.nan
    return hits, counts, percent, without_norm, unpaired
