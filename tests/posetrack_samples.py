"""Small PoseTrack-like data on disk, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from cmpose_mm.posetrack.joints import JOINT_NAMES, JOINT_NAMES_17, POSETRACK17_POINT_IDS

WIDTH, HEIGHT = 64, 48


def write_image(path: Path, value: int = 0, width: int = WIDTH, height: int = HEIGHT) -> None:
    """An image of noise around a gray value, so that frames can be told apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.RandomState(value).randint(-8, 8, (height, width, 3))
    cv2.imwrite(str(path), np.clip(value + noise, 0, 255).astype(np.uint8))


def person(seed: int = 0, **joints) -> np.ndarray:
    """(15, 3) keypoints inside the image; `joints` overwrites some by name."""
    rng = np.random.RandomState(seed)
    keypoints = np.ones((15, 3))
    keypoints[:, :2] = rng.uniform((10, 8), (WIDTH - 10, HEIGHT - 8), (15, 2)).round(1)
    for name, value in joints.items():
        keypoints[JOINT_NAMES.index(name)] = value
    return keypoints


def write_coco_video(
    root: Path,
    split: str,
    name: str,
    persons_by_frame: list[list[np.ndarray]],
    *,
    first_number: int = 0,
    labeled: list[bool] | None = None,
    with_boxes: bool = True,
    images: bool = True,
) -> dict:
    """Writes frames and the PoseTrack18 label file of one video; returns the file's content."""
    video = sum(map(ord, name)) % 10_000
    content = dict(
        images=[],
        annotations=[],
        categories=[dict(id=1, name='person', keypoints=list(JOINT_NAMES_17))],
    )
    for position, persons in enumerate(persons_by_frame):
        file_name = f'images/{split}/{name}/{position + first_number:06d}.jpg'
        image_id = 10_000_000_000 + video * 1000 + position
        content['images'].append(
            dict(
                id=image_id,
                file_name=file_name,
                is_labeled=bool(persons) if labeled is None else labeled[position],
                nframes=len(persons_by_frame),
                vid_id=str(video),
                frame_id=image_id,
            )
        )
        if images:
            write_image(root / file_name, value=20 + 5 * position)
        for index, keypoints in enumerate(persons):
            full = np.zeros((17, 3))
            full[[JOINT_NAMES_17.index(joint) for joint in JOINT_NAMES]] = keypoints
            annotation = dict(
                id=image_id * 100 + index,
                image_id=image_id,
                category_id=1,
                track_id=index,
                keypoints=full.ravel().tolist(),
                scores=[],
                bbox_head=[20, 5, 8, 8],
            )
            if with_boxes:
                annotation['bbox'] = [8.0, 4.0, 40.0, 36.0]
            content['annotations'].append(annotation)
    save_json(root / 'annotations' / split / f'{name}.json', content)
    return content


def write_annolist_video(
    root: Path, split: str, name: str, persons_by_frame: list[list[np.ndarray]]
) -> None:
    """Writes frames (1-based, 8 digits) and the PoseTrack17 label file of one video."""
    id_by_joint = {joint: point_id for point_id, joint in POSETRACK17_POINT_IDS.items()}
    annolist = []
    for position, persons in enumerate(persons_by_frame):
        file_name = f'images/bonn_5sec/{name}/{position + 1:08d}.jpg'
        write_image(root / file_name, value=20 + 5 * position)
        rects = []
        for index, keypoints in enumerate(persons):
            points = [
                dict(
                    id=[id_by_joint[joint]],
                    x=[float(x)],
                    y=[float(y)],
                    is_visible=[int(v)],
                )
                for joint, (x, y, v) in zip(JOINT_NAMES, keypoints)
                if (x, y, v) != (0, 0, 0)
            ]
            rects.append(
                dict(
                    x1=[20],
                    y1=[5],
                    x2=[28],
                    y2=[13],
                    track_id=[index],
                    annopoints=[dict(point=points)],
                )
            )
        annolist.append(
            dict(
                image=[dict(name=file_name)],
                imgnum=[position + 1],
                is_labeled=[int(bool(persons))],
                ignore_regions=[],
                annorect=rects,
            )
        )
    save_json(root / 'annotations' / split / f'{name}.json', dict(annolist=annolist))


def save_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_mat_video(root: Path, split: str, name: str, persons_by_frame: list) -> None:
    """As `write_annolist_video`, with the labels as MATLAB structs in a .mat file."""
    from scipy.io import savemat

    write_annolist_video(root, split, name, persons_by_frame)
    path = root / 'annotations' / split / f'{name}.json'
    entries = json.loads(path.read_text())['annolist']
    path.unlink()
    for entry in entries:
        entry['annorect'] = [
            dict(rect, annopoints=dict(point=_struct_array(rect['annopoints'][0]['point'])))
            for rect in entry['annorect']
        ]
        entry['annorect'] = _struct_array(entry['annorect']) if entry['annorect'] else np.zeros(0)
        entry['image'] = entry['image'][0]
    savemat(str(path.with_suffix('.mat')), dict(annolist=_struct_array(entries)))


def _struct_array(dicts: list[dict]) -> np.ndarray:
    array = np.zeros((1, len(dicts)), dtype=[(key, object) for key in dicts[0]])
    for index, item in enumerate(dicts):
        for key, value in item.items():
            array[0, index][key] = value
    return array
