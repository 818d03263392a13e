"""Builds small PoseTrack label and prediction files for tests."""

from __future__ import annotations

import json
from pathlib import Path

ORDER_17 = (
    'nose head_bottom head_top left_ear right_ear left_shoulder right_shoulder left_elbow '
    'right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle '
    'right_ankle'
).split()
ORDER_15 = [name for name in ORDER_17 if 'ear' not in name]
POINT_IDS = (
    'right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow '
    'right_shoulder left_shoulder left_elbow left_wrist head_bottom nose head_top'
).split()
HEAD = (0, 0, 30, 40)  # diagonal 50: a head size of 30 pixels, matches within 15


def person(joints: dict, head=HEAD, track_id=None, scores=None, **fields) -> dict:
    """An annotation from joints {name: (x, y) or (x, y, v)}, `scores` {name: score} or a number."""
    keypoints = []
    for name in ORDER_17:
        x, y, v = (*joints.get(name, (0, 0, 0)), 1)[:3]
        keypoints += [x, y, v]
    annotation = {'category_id': 1, 'keypoints': keypoints, **fields}
    if head is not None:
        annotation['bbox_head'] = list(head)
    if track_id is not None:
        annotation['track_id'] = track_id
    if scores is not None:
        if not isinstance(scores, dict):
            scores = dict.fromkeys(ORDER_17, scores)
        annotation['scores'] = [scores.get(name, 0.0) for name in ORDER_17]
    return annotation


def coco(frames: list, name: str = '000001_test', first_id: int = 100, regions=None) -> dict:
    """A PoseTrack18 file; `frames` lists the persons of each, `regions` {frame: [polygon]}."""
    data = {
        'images': [],
        'annotations': [],
        'categories': [{'id': 1, 'name': 'person', 'keypoints': ORDER_17}],
    }
    for number, persons in enumerate(frames):
        image = {
            'id': first_id + number,
            'file_name': f'images/val/{name}/{number:06d}.jpg',
            'is_labeled': len(persons) > 0,
        }
        polygons = (regions or {}).get(number)
        if polygons is not None:
            image['ignore_regions_x'] = [[x for x, _ in polygon] for polygon in polygons]
            image['ignore_regions_y'] = [[y for _, y in polygon] for polygon in polygons]
        data['images'].append(image)
        for index, annotation in enumerate(persons):
            ids = {'id': (first_id + number) * 100 + index, 'image_id': first_id + number}
            data['annotations'].append({**ids, **annotation})
    return data


def annolist(data: dict) -> dict:
    """The PoseTrack17 form of a PoseTrack18 file."""
    entries = []
    for number, image in enumerate(data['images']):
        rects = []
        for annotation in data['annotations']:
            if annotation['image_id'] != image['id']:
                continue
            points = []
            for place, name in enumerate(ORDER_17):
                x, y, v = annotation['keypoints'][3 * place : 3 * place + 3]
                if (x, y, v) != (0, 0, 0):
                    point = {'id': [POINT_IDS.index(name)], 'x': [x], 'y': [y], 'is_visible': [v]}
                    if annotation.get('scores'):
                        point['score'] = [annotation['scores'][place]]
                    points.append(point)
            rect = {'annopoints': [{'point': points}]}
            if 'bbox_head' in annotation:
                x, y, w, h = annotation['bbox_head']
                rect.update(x1=[x], y1=[y], x2=[x + w], y2=[y + h])
            if 'track_id' in annotation:
                rect['track_id'] = [annotation['track_id']]
            rects.append(rect)
        entry = {
            'image': [{'name': image['file_name']}],
            'imgnum': [number + 1],
            'is_labeled': [int(image['is_labeled'])],
            'annorect': rects,
        }
        if image.get('ignore_regions_x'):
            entry['ignore_regions'] = [
                {'point': [{'x': [x], 'y': [y]} for x, y in zip(xs, ys)]}
                for xs, ys in zip(image['ignore_regions_x'], image['ignore_regions_y'])
            ]
        entries.append(entry)
    return {'annolist': entries}


def merged(*files: dict) -> dict:
    """One file of several."""
    return {
        'images': [image for data in files for image in data['images']],
        'annotations': [a for data in files for a in data['annotations']],
        'categories': files[0]['categories'],
    }


def write(path: Path, data) -> Path:
    """Writes JSON, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path
