"""Penn Action's labels, made small, to PoseTrack's form."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_files import ORDER_17
from scipy.io import savemat

from cmpose_mm.converters.penn_action import convert_penn_action
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

TOOL = Path(__file__).parents[2] / 'tools' / 'convert_penn_action.py'
WIDTH, HEIGHT = 64, 48
# the order of Penn Action's README, by its own names of the sides
NAMES = (
    'head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip '
    'right_hip left_knee right_knee left_ankle right_ankle'
).split()
SWAPPED = {'left': 'right', 'right': 'left'}


CELLS = np.array([np.zeros(2), np.zeros(3)], dtype=object)  # as SciPy writes them


def our_name(name: str) -> str:
    side, _, part = name.partition('_')
    return f'{SWAPPED[side]}_{part}' if part else 'nose'


def labels(count: int = 3, seed: int = 0, **changes) -> dict:
    rng = np.random.default_rng(seed)
    content = {
        'action': 'bowl',
        'pose': 'back',
        'x': rng.uniform(5, WIDTH - 5, (count, 13)),
        'y': rng.uniform(5, HEIGHT - 5, (count, 13)),
        'visibility': rng.integers(0, 2, (count, 13)).astype(bool),
        'train': 1,
        'bbox': np.tile([4.0, 3.0, 50.0, 44.0], (count, 1)),
        'dimensions': [HEIGHT, WIDTH, count],
        'nframes': count,
    }
    return {**content, **changes}


def write(root: Path, name: str, content: dict, frames: int | None = None) -> None:
    (root / 'labels').mkdir(parents=True, exist_ok=True)
    savemat(root / 'labels' / f'{name}.mat', content)
    (root / 'frames' / name).mkdir(parents=True)
    for number in range(1, (len(content['x']) if frames is None else frames) + 1):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(root / 'frames' / name / f'{number:06d}.jpg'), image)


def load(root: Path, sequence: str) -> dict:
    return json.loads(
        (root / 'annotations' / sequence.split('_')[-1] / f'{sequence}.json').read_text()
    )


def joints(annotation: dict) -> dict[str, list[float]]:
    keypoints = np.reshape(annotation['keypoints'], (17, 3)).tolist()
    return {name: joint for name, joint in zip(ORDER_17, keypoints) if any(joint)}


def test_sides_are_swapped_and_hidden_joints_keep_their_places(tmp_path) -> None:
    content = labels()
    write(tmp_path / 'penn', '0007', content)
    write(tmp_path / 'penn', '0011', labels(seed=1, train=-1, pose='front'))
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    data = load(tmp_path / 'out', '800007_mpii_train')
    assert [image['file_name'] for image in data['images']] == [
        f'frames/0007/{number:06d}.jpg' for number in (1, 2, 3)
    ]
    for index, annotation in enumerate(data['annotations']):
        expected = {
            our_name(name): [
                content['x'][index, place].round(3),
                content['y'][index, place].round(3),
                float(content['visibility'][index, place]),
            ]
            for place, name in enumerate(NAMES)
        }
        found = joints(annotation)
        assert set(found) == set(expected)
        for joint, values in expected.items():
            assert found[joint] == pytest.approx(values, abs=1e-9), joint
        assert annotation['bbox'] == [4, 3, 46, 41]
    ends = np.stack([content['x'], content['y']], axis=-1)[:, [2, 7]]  # left shoulder, right hip
    torso = sorted(math.dist(*pair) for pair in ends)[1]
    for annotation in data['annotations']:
        x, y, width, height = annotation['bbox_head']
        assert 0.6 * math.hypot(width, height) == pytest.approx(0.35 * torso, abs=2e-3)
        nose = joints(annotation)['nose']
        assert (x + width / 2, y + height / 2) == pytest.approx(nose[:2], abs=2e-3)
    assert load(tmp_path / 'out', '800011_mpii_test')['annotations']
    with open(tmp_path / 'out' / 'clips.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        'sequence': '800007_mpii_train', 'split': 'train', 'action': 'bowl', 'penn_clip': '0007',
        'frames': '3', 'labelled_frames': '3', 'full_body': '1',
    }  # fmt: skip
    assert report.lines()[:2] == ['1 train clips, 3 frames', '1 test clips, 3 frames']
    assert not [line for line in report.lines()[2:] if line[0].isdigit()]


def test_a_missing_last_box_is_the_one_before(tmp_path) -> None:
    boxes = np.array([[4.0, 3.0, 50.0, 44.0], [5.0, 3.0, 51.0, 44.0]])
    write(tmp_path / 'penn', '1154', labels(3, bbox=boxes))
    write(tmp_path / 'penn', '0002', labels(4, bbox=boxes))
    write(tmp_path / 'penn', '0003', labels(2, bbox=np.array([[4.0, 3, 4, 44], [9.0, 3, 4, 44]])))
    content = labels(2)
    del content['bbox']
    write(tmp_path / 'penn', '0004', content)
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    found = [a['bbox'] for a in load(tmp_path / 'out', '801154_mpii_train')['annotations']]
    assert found == [[4, 3, 46, 41], [5, 3, 46, 41], [5, 3, 46, 41]]
    for name in ('0002', '0003', '0004'):
        data = load(tmp_path / 'out', f'80{name}_mpii_train')
        assert len(data['annotations']) == len(data['images'])
        for annotation in data['annotations'][2 if name == '0002' else 0 :]:
            xy = np.array([joint[:2] for joint in joints(annotation).values()])
            assert annotation['bbox'][2:] == pytest.approx(1.3 * np.ptp(xy, axis=0), abs=2e-3)
    text = '\n'.join(report.lines(None))
    assert '1 clips lack the last box, which is the one before: 1154' in text
    assert 'another number of boxes than of poses: 0002 (2 boxes, 4 poses)' in text
    assert '1 clips have no boxes: 0004 (bbox is missing, expected' in text
    assert 'the box is by the joints: 0002 (2), 0003 (2), 0004 (2)' in text


def test_joints_outside_of_the_image_are_absent(tmp_path) -> None:
    content = labels()
    for place, (x, y, v) in enumerate(
        [(WIDTH - 1, HEIGHT - 1, 1), (WIDTH - 0.9, 5, 1), (5, -0.1, 0), (0.75, 0.75, 0)]
        + [(0.75, 0.75, 1), (0.75, 1.1, 0), (np.nan, 4, 1)]
    ):
        content['x'][1, place], content['y'][1, place] = x, y
        content['visibility'][1, place] = v
    content['visibility'] = content['visibility'].astype(float)
    content['visibility'][1, 7] = np.nan
    write(tmp_path / 'penn', '0001', content)
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    annotation = load(tmp_path / 'out', '800001_mpii_train')['annotations'][1]
    text = '\n'.join(report.lines())
    absent = {our_name(NAMES[place]) for place in (1, 2, 3, 6, 7)}
    assert set(joints(annotation)) == set(map(our_name, NAMES)) - absent
    assert 'outside of the image, which are absent: 0001 (3)' in text
    assert 'joints that are not finite, which are absent: 0001 (2)' in text


def test_frame_counts_that_differ(tmp_path) -> None:
    write(tmp_path / 'penn', '0001', labels(3), frames=4)
    write(tmp_path / 'penn', '0002', labels(3), frames=2)
    write(tmp_path / 'penn', '0003', labels(3), frames=0)
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    data = load(tmp_path / 'out', '800001_mpii_train')
    assert [image['is_labeled'] for image in data['images']] == [True] * 3 + [False]
    assert len(load(tmp_path / 'out', '800002_mpii_train')['annotations']) == 2
    text = '\n'.join(report.lines(None))
    assert '0001 (4 frames, 3 labels), 0002 (2 frames, 3 labels)' in text
    assert '1 clips have no usable frames and are left out: 0003 (no images)' in text
    assert len(read_videos(tmp_path / 'out' / 'annotations' / 'train')) == 2


@pytest.mark.parametrize(
    'change, sentence',
    [
        (
            dict(x=np.zeros((3, 12))),
            r'x has the shape \(3, 12\), expected numbers of the shape \(n, 13\)',
        ),
        (dict(y=np.zeros((2, 13))), '3 rows of x, 2 of y, 3 of visibility'),
        (dict(train=0), 'train is 0, expected 1 or -1'),
        (dict(x='text'), r'x holds text, expected numbers of the shape \(n, 13\)'),
        (dict(train={'a': 1}), 'train holds a struct, expected a number'),
        (dict(train=[1, 1]), r'train has the shape \(1, 2\), expected a number'),
        (dict(dimensions=[]), r'dimensions has the shape \(0, 0\), expected n numbers'),
        (dict(dimensions=CELLS), 'dimensions holds no plain numbers, expected n numbers'),
        (dict(dimensions=[np.nan, 5.0]), r'dimensions is \[nan, 5.0\], expected height and width'),
        (dict(dimensions=[48, np.inf]), r'dimensions is \[48.0, inf\], expected height and width'),
        (dict(dimensions=[48.0]), r'dimensions is \[48.0\], expected height and width'),
        (dict(action=''), 'action is no text, expected the name of one'),
        (dict(action={'a': 1}), 'action is no text, expected the name of one'),
    ],
)
def test_labels_of_another_form_are_named(tmp_path, change, sentence) -> None:
    write(tmp_path / 'penn', '0001', labels(3, **change), frames=3)
    with pytest.raises(AnnotationError, match=f'left out: 0001.mat .*{sentence}'):
        convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    write(tmp_path / 'penn', '0002', labels(3))
    (tmp_path / 'penn' / 'labels' / '0003.mat').write_bytes(b'no')
    text = '\n'.join(convert_penn_action(tmp_path / 'penn', tmp_path / 'out').lines())
    assert '2 clips have labels of another form and are left out: 0001.mat' in text
    assert '0003.mat: not a readable .mat file' in text


def test_names_of_label_files(tmp_path) -> None:
    """Folders and files that are not each other's, numbers that occur twice, AppleDoubles."""
    for name in ('0001', '0007', '7', 'abc'):
        write(tmp_path / 'penn', name, labels())
    (tmp_path / 'penn/labels/._0001.mat').write_bytes(b'Mac')
    for name in ('0009', '.hidden'):
        (tmp_path / 'penn/frames' / name).mkdir()
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    lines = [line for line in report.lines(None) if 'data_prefix' not in line]
    assert lines == [
        '1 train clips, 3 frames',
        '0 test clips, 0 frames',
        '1 folders of frames have no labels: 0009',
        '2 label files have a number that others have too, and are left out: '
        '0007.mat (of 0007.mat, 7.mat), 7.mat (of 0007.mat, 7.mat)',
        '1 clips have labels of another form and are left out: '
        'abc.mat (its name is no number, expected 0001.mat and the like)',
    ]
    assert [path.stem for path in (tmp_path / 'out/annotations/train').iterdir()] == [
        '800001_mpii_train'
    ]


def test_frames_that_cannot_be_used(tmp_path) -> None:
    """The rest is converted."""
    frames = tmp_path / 'penn/frames'
    for number in range(1, 6):
        write(tmp_path / 'penn', f'{number:04d}', labels())
    write(tmp_path / 'penn', '0006', labels(dimensions=[WIDTH, HEIGHT, 3]))
    (frames / '0001/000001.png').write_bytes((frames / '0001/000001.jpg').read_bytes())
    (frames / '0002/000003.jpg').write_bytes(b'')
    cv2.imwrite(str(frames / '0003/000002.jpg'), np.zeros((9, 8, 3), np.uint8))
    for number in (1, 2, 3):
        path = frames / f'0004/{number:06d}.jpg'
        path.rename(path.with_name(f'{"abc"[number - 1]}.jpg'))
    for number in (1, 2, 3):  # counted from 0
        path = frames / f'0005/{number:06d}.jpg'
        path.rename(path.with_name(f'{number - 1:06d}.jpg'))
    text = '\n'.join(convert_penn_action(tmp_path / 'penn', tmp_path / 'out').lines(None))
    assert (
        '4 clips have no usable frames and are left out: 0001 (the images 000001.jpg, 000001.png '
        'have no frame number of their own, expected one for each), 0002 (000003.jpg is broken, '
        'expected an image), 0003 (000002.jpg has 8x9 pixels, expected 64x48), '
        '0006 (000001.jpg has 64x48 pixels, expected 48x64)' in text
    )
    names = [path.stem for path in sorted((tmp_path / 'out/annotations/train').iterdir())]
    assert names == ['800004_mpii_train', '800005_mpii_train']
    for name in names:
        for annotation, x in zip(load(tmp_path / 'out', name)['annotations'], labels()['x']):
            assert joints(annotation)['right_shoulder'][0] == x[1].round(3)


def test_boxes_that_are_not_finite(tmp_path) -> None:
    boxes = np.tile([4.0, 3.0, 50.0, 44.0], (3, 1))
    boxes[1, 2], boxes[2, 0] = np.inf, np.nan
    write(tmp_path / 'penn', '0001', labels(bbox=boxes))
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    assert 'a finite box of any size; the box is by the joints: 0001 (2)' in report.lines()[-1]
    for annotation in load(tmp_path / 'out', '800001_mpii_train')['annotations'][1:]:
        xy = np.array([joint[:2] for joint in joints(annotation).values()])
        assert annotation['bbox'][2:] == pytest.approx(1.3 * np.ptp(xy, axis=0), abs=2e-3)
    assert len(read_videos(tmp_path / 'out' / 'annotations' / 'train')) == 1


def test_the_head_of_one_whose_head_is_outside(tmp_path) -> None:
    """Its box is in the middle of the upper edge; without torso there is none."""
    content = labels()
    content['y'][1, 0] = -5
    write(tmp_path / 'penn', '0001', content)
    content = labels()
    content['y'][:, 2] = -5  # the left shoulder
    write(tmp_path / 'penn', '0002', content)
    report = convert_penn_action(tmp_path / 'penn', tmp_path / 'out')
    first, second, _ = load(tmp_path / 'out', '800001_mpii_train')['annotations']
    assert 'nose' not in joints(second)
    x, y, width, height = second['bbox_head']
    assert (x + width / 2, y + height / 2) == pytest.approx((4 + 46 / 2, 3), abs=2e-3)
    assert second['bbox_head'][2:] == first['bbox_head'][2:]
    annotations = load(tmp_path / 'out', '800002_mpii_train')['annotations']
    assert [annotation.get('bbox_head') for annotation in annotations] == [None] * 3
    assert report.lines()[-1] == '1 clips have no torso, and so no head boxes: 0002'


@pytest.mark.slow
def test_the_command(tmp_path) -> None:
    command = [sys.executable, TOOL, tmp_path / 'penn', '--out', tmp_path / 'out']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 1 and 'found no labels, expected 0001.mat' in done.stderr
    write(tmp_path / 'penn', '0001', labels())
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f'train_dataloader.dataset.data_root={tmp_path}/out/ ' in done.stdout
    assert f'train_dataloader.dataset.data_prefix.img={tmp_path}/penn ' in done.stdout
