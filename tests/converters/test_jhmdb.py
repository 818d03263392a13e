"""JHMDB's release and MMPose's files of sub-JHMDB, made small, to PoseTrack's form."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_files import ORDER_17
from scipy.io import savemat

from cmpose_mm.converters.jhmdb import convert_jhmdb
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

TOOL = Path(__file__).parents[2] / 'tools' / 'convert_jhmdb.py'
WIDTH, HEIGHT = 320, 240
# JHMDB's order as its authors give it
NAMES = (
    'neck belly face right_shoulder left_shoulder right_hip left_hip right_elbow left_elbow '
    'right_knee left_knee right_wrist left_wrist right_ankle left_ankle'
).split()
OURS = {'neck': 'head_bottom', 'face': 'nose'}
FILM_A, FILM_B = 'A_film', 'Clap!_(Challenge)_@7'


def pose(seed: int, count: int = 3) -> np.ndarray:
    """(2, 15, n) positions inside of the image, 1-based, as MATLAB has them."""
    rng = np.random.default_rng(seed)
    return rng.uniform([[[30]], [[30]]], [[[290]], [[210]]], (2, 15, count)).round(3)


def write_clip(
    root: Path,
    action: str,
    name: str,
    positions: np.ndarray,
    *,
    frames: int | None = None,
    scale: float | None = 0.5,
    masks: np.ndarray | None = None,
) -> None:
    """A clip of the release; the masks are boxes of 10 <= x < 70, 20 <= y < 200 unless given."""
    count = positions.shape[2]
    folder = root / 'joint_positions' / action / name
    folder.mkdir(parents=True)
    content = {'pos_img': positions, 'pos_world': positions / 240, 'viewpoint': 'E'}
    if scale is not None:
        content['scale'] = np.full((1, count), scale)
    savemat(folder / 'joint_positions.mat', content)
    if masks is None:
        masks = np.zeros((HEIGHT, WIDTH, count), np.uint8)
        masks[20:200, 10:70] = 3
    (root / 'puppet_mask' / action / name).mkdir(parents=True)
    savemat(root / 'puppet_mask' / action / name / 'puppet_mask.mat', {'part_mask': masks})
    images = root / 'Rename_Images' / action / name
    images.mkdir(parents=True)
    for number in range(1, (count if frames is None else frames) + 1):
        image = np.full((HEIGHT, WIDTH, 3), 5 * number, np.uint8)
        cv2.imwrite(str(images / f'{number:05d}.png'), image)


def write_split(root: Path, action: str, lines: dict[str, str], sub: bool = False) -> None:
    """Split files; `lines` has the marks of a clip in the three splits, '0' for none."""
    folder = root / ('sub_splits' if sub else 'splits')
    folder.mkdir(parents=True, exist_ok=True)
    for split in (1, 2, 3):
        middle = f'_test_split_{split}' if sub else f'_test_split{split}'
        text = ''.join(
            f'{name}.avi {marks[split - 1]}\n'
            for name, marks in lines.items()
            if marks[split - 1] != '0'
        )
        (folder / f'{action}{middle}.txt').write_text(text)


@pytest.fixture
def release(tmp_path) -> Path:
    """Four clips of two films and two actions."""
    root = tmp_path / 'release'
    for index, (action, name) in enumerate(CLIPS):
        write_clip(root, action, name, pose(index))
    write_split(root, 'catch', {CLIPS[0][1]: '112', CLIPS[1][1]: '221'})
    write_split(root, 'shoot_ball', {CLIPS[2][1]: '121', CLIPS[3][1]: '211'})
    return root


CLIPS = [
    ('catch', f'{FILM_A}_catch_f_cm_np1_fr_med_0'),
    ('catch', f'{FILM_B}_catch_f_cm_np1_fr_med_0'),
    ('shoot_ball', f'{FILM_A}_shoot_ball_u_nm_np1_ba_goo_2'),
    ('shoot_ball', f'{FILM_B}_shoot_ball_u_nm_np1_ba_goo_2'),
]


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def joints(annotation: dict) -> dict[str, list[float]]:
    keypoints = np.reshape(annotation['keypoints'], (17, 3)).tolist()
    return {name: joint for name, joint in zip(ORDER_17, keypoints) if any(joint)}


def table(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a table by the clip's name."""
    with open(path, newline='') as file:
        return {row['jhmdb_clip']: row for row in csv.DictReader(file)}


# ------------------------------------------------------------------------------ the release


def test_joints_boxes_and_ids(release, tmp_path) -> None:
    convert_jhmdb(release, tmp_path / 'out')
    data = load(tmp_path / 'out/split1/annotations/train/900001_mpii_train.json')
    positions = pose(0)
    assert [image['file_name'] for image in data['images']] == [
        f'Rename_Images/catch/{CLIPS[0][1]}/{number:05d}.png' for number in (1, 2, 3)
    ]
    assert [image['id'] for image in data['images']] == [19000010000, 19000010001, 19000010002]
    assert {image['nframes'] for image in data['images']} == {3}
    for index, annotation in enumerate(data['annotations']):
        assert annotation['image_id'] == data['images'][index]['id']
        assert annotation['id'] == 100 * annotation['image_id'] and annotation['track_id'] == 0
        assert annotation['bbox'] == [10, 20, 60, 180]
        expected = {
            OURS.get(name, name): [*(positions[:, place, index] - 1).round(3), 1]
            for place, name in enumerate(NAMES)
            if name != 'belly'
        }
        found = joints(annotation)
        assert set(found) == set(expected)
        for name, joint in expected.items():
            assert found[name] == pytest.approx(joint, abs=1e-9), name
        x, y, width, height = annotation['bbox_head']
        assert 0.6 * math.hypot(width, height) == pytest.approx(0.13 * 240 * 0.5, abs=2e-3)
        assert (x + width / 2, y + height / 2) == pytest.approx(found['nose'][:2], abs=2e-3)


def test_splits_films_and_table(release, tmp_path) -> None:
    report = convert_jhmdb(release, tmp_path / 'out')
    for split, (train, test) in {
        1: ((0, 2), (1, 3)),
        2: ((0, 3), (1, 2)),
        3: ((1, 2, 3), (0,)),
    }.items():
        folder = tmp_path / f'out/split{split}'
        rows = table(folder / 'clips.csv')
        for role, indices in (('train', train), ('test', test)):
            names = sorted(f'90000{index + 1}_mpii_{role}' for index in indices)
            assert sorted(p.stem for p in (folder / 'annotations' / role).iterdir()) == names
            assert sorted(r['sequence'] for r in rows.values() if r['split'] == role) == names
        assert [video.name for video in read_videos(folder / 'annotations' / 'test')] == names
    first = table(tmp_path / 'out/split1/clips.csv')
    row = first[CLIPS[1][1]]
    assert row == {
        'sequence': '900002_mpii_test',
        'split': 'test',
        'action': 'catch',
        'jhmdb_clip': CLIPS[1][1],
        'frames': '3',
        'labelled_frames': '3',
        'full_body': '1',
        'scale_exact': '1',
        'mask_iou': '',
        'puppet_scale': '0.5',
        'source_in_train': '0',
        'official_splits_1_2_3': '221',
        'film': FILM_B,
    }
    assert first[CLIPS[0][1]]['source_in_train'] == ''
    third = table(tmp_path / 'out/split3/clips.csv')
    assert third[CLIPS[0][1]]['source_in_train'] == '1'  # film A trains with another action
    assert report.lines()[:2] == [
        'split1: 2 train clips, 6 frames',
        'split1: 2 test clips, 6 frames',
    ]
    assert not any('clips' in line for line in report.lines()[6:]), 'nothing was wrong'


def test_sub_jhmdb_has_splits_of_its_own(release, tmp_path) -> None:
    write_split(release, 'catch', {CLIPS[0][1]: '121', CLIPS[1][1]: '212'}, sub=True)
    convert_jhmdb(release, tmp_path / 'out', sub=True)
    rows = table(tmp_path / 'out/split1/clips.csv')
    assert {name: row['sequence'] for name, row in rows.items()} == {
        CLIPS[0][1]: '900001_mpii_train',
        CLIPS[1][1]: '900002_mpii_test',
    }
    assert rows[CLIPS[0][1]]['official_splits_1_2_3'] == '121'
    # in JHMDB's split 1 film A has a training clip of another action; in sub-JHMDB's only its own
    assert rows[CLIPS[1][1]]['source_in_train'] == '0'


def test_joints_outside_of_the_image_are_absent(release, tmp_path) -> None:
    action, name = 'catch', 'Out_catch_f_cm_np1_fr_med_0'
    positions = pose(9)
    edge = {'left_knee': (1, 100), 'right_knee': (320, 100), 'neck': (50, 1), 'left_hip': (50, 240)}
    beyond = {
        'left_wrist': (0.9, 100),
        'right_wrist': (320.1, 100),
        'left_elbow': (50, 0.9),
        'face': (50, -9),
        'right_ankle': (50, 240.1),
        'left_ankle': (np.nan, 50),
    }
    for joint, place in {**edge, **beyond}.items():
        positions[:, NAMES.index(joint), 1] = place
    write_clip(release, action, name, positions)
    write_split(release, action, {name: '111'})
    convert_jhmdb(release, tmp_path / 'out')
    row = table(tmp_path / 'out/split1/clips.csv')[name]
    data = load(tmp_path / f'out/split1/annotations/train/{row["sequence"]}.json')
    found = joints(data['annotations'][1])
    assert {OURS.get(joint, joint) for joint in beyond} == (
        {OURS.get(joint, joint) for joint in NAMES} - {'belly'} - set(found)
    )
    assert found['left_knee'] == [0, 99, 1] and found['right_knee'] == [319, 99, 1]
    assert len(joints(data['annotations'][0])) == 14
    # the head box follows the face out of the image
    _, y, _, height = data['annotations'][1]['bbox_head']
    assert y + height / 2 == pytest.approx(-10, abs=2e-3)
    assert row['full_body'] == '0'  # 2 of 3 frames have all limbs


def test_masks_that_are_empty_or_lack(release, tmp_path) -> None:
    positions = np.zeros((2, 15, 2)) - 50  # 1-based, all outside
    positions[:, NAMES.index('left_hip')] = [[101, 0], [81, 0]]
    positions[:, NAMES.index('left_knee')] = [[121, 0], [181, 0]]
    write_clip(
        release, 'catch', 'E_catch_f_cm_np1_fr_med_0', positions, masks=np.zeros((HEIGHT, WIDTH, 2))
    )
    write_clip(release, 'catch', 'N_catch_f_cm_np1_fr_med_0', pose(3))
    (release / 'puppet_mask/catch/N_catch_f_cm_np1_fr_med_0/puppet_mask.mat').unlink()
    write_clip(
        release, 'catch', 'M_catch_f_cm_np1_fr_med_0', pose(4), masks=np.ones((HEIGHT, WIDTH, 2))
    )
    write_split(release, 'catch', {f'{n}_catch_f_cm_np1_fr_med_0': '111' for n in 'ENM'})
    report = convert_jhmdb(release, tmp_path / 'out')
    rows = table(tmp_path / 'out/split1/clips.csv')

    def annotations(letter: str) -> list[dict]:
        row = rows[f'{letter}_catch_f_cm_np1_fr_med_0']
        return load(tmp_path / f'out/split1/annotations/train/{row["sequence"]}.json')[
            'annotations'
        ]

    # the joints at (100, 80) and (120, 180), times 1.3; nothing at all in the second frame
    (only,) = annotations('E')
    assert only['bbox'] == pytest.approx([97, 65, 26, 130])
    assert rows['E_catch_f_cm_np1_fr_med_0']['labelled_frames'] == '1'
    assert all(a['bbox'][2] > 100 for a in annotations('N'))
    assert [a['bbox'] for a in annotations('M')][:2] == [[0, 0, WIDTH, HEIGHT]] * 2
    text = '\n'.join(report.lines(None))
    assert '1 clips have no masks; their boxes are by the joints: catch/N_catch' in text
    assert 'another number of masks than of labels; those that fit count: catch/M_catch' in text
    for letter, count in {'E': 2, 'N': 3, 'M': 1}.items():
        assert f'{letter}_catch_f_cm_np1_fr_med_0 ({count})' in text
    assert 'neither mask nor joint in the image, which are unlabeled: catch/E_catch' in text
    assert text == (tmp_path / 'out/report.txt').read_text().rstrip('\n')


def test_frame_counts_that_differ(release, tmp_path) -> None:
    names = {n: f'{n}_catch_f_cm_np1_fr_med_0' for n in 'FLG'}
    write_clip(release, 'catch', names['F'], pose(5, 3), frames=5)
    write_clip(release, 'catch', names['L'], pose(6, 3), frames=2)
    write_clip(release, 'catch', names['G'], pose(7, 3))
    (release / f'Rename_Images/catch/{names["G"]}/00002.png').unlink()
    write_split(release, 'catch', dict.fromkeys(names.values(), '111'))
    report = convert_jhmdb(release, tmp_path / 'out')
    rows = table(tmp_path / 'out/split1/clips.csv')
    data = {
        letter: load(tmp_path / f'out/split1/annotations/train/{rows[name]["sequence"]}.json')
        for letter, name in names.items()
    }
    assert [image['is_labeled'] for image in data['F']['images']] == [True] * 3 + [False] * 2
    assert rows[names['F']]['labelled_frames'] == '3' and rows[names['F']]['frames'] == '5'
    assert len(data['L']['images']) == len(data['L']['annotations']) == 2
    # the label of a frame stays with its name
    assert [i['file_name'][-9:] for i in data['G']['images']] == ['00001.png', '00003.png']
    left_hip = [joints(a)['left_hip'][0] for a in data['G']['annotations']]
    assert left_hip == pytest.approx(pose(7, 3)[0, NAMES.index('left_hip'), [0, 2]] - 1)
    text = '\n'.join(report.lines(None))
    assert '3 clips have other frames than labels' in text
    for letter, counts in {'F': (5, 3), 'L': (2, 3), 'G': (2, 3)}.items():
        assert f'{names[letter]} ({counts[0]} frames, {counts[1]} labels)' in text


def test_frames_counted_from_0(release, tmp_path) -> None:
    folder = release / 'Rename_Images' / CLIPS[0][0] / CLIPS[0][1]
    for number in (1, 2, 3):
        (folder / f'{number:05d}.png').rename(folder / f'{number - 1:06d}.png')
    convert_jhmdb(release, tmp_path / 'out')
    data = load(tmp_path / 'out/split1/annotations/train/900001_mpii_train.json')
    assert data['images'][0]['file_name'].endswith('000000.png')
    expected = pose(0)[0, NAMES.index('left_hip')] - 1
    assert [joints(a)['left_hip'][0] for a in data['annotations']] == pytest.approx(expected)


def test_a_clip_of_one_frame(release, tmp_path) -> None:
    """MATLAB and SciPy drop the last axis of length 1."""
    name = 'S_catch_f_cm_np1_fr_med_0'
    write_clip(release, 'catch', name, pose(8, 1))
    for part, key in (('joint_positions', 'pos_img'), ('puppet_mask', 'part_mask')):
        path = release / part / 'catch' / name / f'{part}.mat'
        value = pose(8, 1)[..., 0] if key == 'pos_img' else np.ones((HEIGHT, WIDTH), np.uint8)
        savemat(path, {key: value, 'scale': 0.7})
    write_split(release, 'catch', {name: '111'})
    report = convert_jhmdb(release, tmp_path / 'out')
    rows = table(tmp_path / 'out/split1/clips.csv')
    data = load(tmp_path / f'out/split1/annotations/train/{rows[name]["sequence"]}.json')
    (annotation,) = data['annotations']
    assert annotation['bbox'] == [0, 0, WIDTH, HEIGHT] and len(joints(annotation)) == 14
    assert rows[name]['puppet_scale'] == '0.7'
    assert not report.count('clips have no masks; their boxes are by the joints')


def test_without_scale_the_torso_gives_the_head(release, tmp_path) -> None:
    name = 'W_catch_f_cm_np1_fr_med_0'
    positions = pose(3)
    write_clip(release, 'catch', name, positions, scale=None)
    write_split(release, 'catch', {name: '111'})
    report = convert_jhmdb(release, tmp_path / 'out')
    rows = table(tmp_path / 'out/split1/clips.csv')
    data = load(tmp_path / f'out/split1/annotations/train/{rows[name]["sequence"]}.json')
    ends = [positions[:, NAMES.index(joint)] for joint in ('left_shoulder', 'right_hip')]
    torso = sorted(math.dist(ends[0][:, i], ends[1][:, i]) for i in range(3))[1]
    for annotation in data['annotations']:
        size = 0.6 * math.hypot(*annotation['bbox_head'][2:])
        assert size == pytest.approx(0.35 * torso, abs=2e-3)
    assert rows[name]['scale_exact'] == '0' and rows[name]['puppet_scale'] == ''
    assert '1 clips have no puppet scale for each frame' in '\n'.join(report.lines())


def test_parts_that_lack(release, tmp_path) -> None:
    """Each is counted and named; the rest is converted."""
    (release / 'joint_positions' / CLIPS[0][0] / CLIPS[0][1] / 'joint_positions.mat').write_bytes(
        b'x'
    )
    for image in (release / 'Rename_Images' / CLIPS[1][0] / CLIPS[1][1]).iterdir():
        image.unlink()
    write_clip(release, 'catch', 'U_catch_f_cm_np1_fr_med_0', pose(1))
    write_clip(release, 'catch', 'B_catch_f_cm_np1_fr_med_0', pose(1)[:, :14])
    write_clip(release, 'catch', 'nofilm', pose(1))
    lines = {CLIPS[0][1]: '111', CLIPS[1][1]: '211', 'Gone_catch_f_cm_np1_fr_med_0': '121'}
    write_split(release, 'catch', {**lines, 'B_catch_f_cm_np1_fr_med_0': '111', 'nofilm': '111'})
    with open(release / 'splits' / 'catch_test_split1.txt', 'a') as file:
        file.write(f'\nsomething else\n{CLIPS[2][1]}.avi 0\nnofilm.avi 2\n')
    (release / 'splits' / '._catch_test_split1.txt').write_bytes(b'\x00\xff')
    report = convert_jhmdb(release, tmp_path / 'out')
    text = '\n'.join(report.lines(None))
    for sentence in (
        '2 clips have labels of another form and are left out: ',
        f'catch/{CLIPS[0][1]} (',
        'not a readable .mat file',
        f'1 clips have no usable frames and are left out: catch/{CLIPS[1][1]} (no images)',
        '1 clips with joints are in no split file: catch/U_catch',
        '1 clips of the split files have no joints: catch/Gone_catch',
        'catch/B_catch_f_cm_np1_fr_med_0 (pos_img has the shape (2, 14, 3), expected numbers of '
        'the shape (2, 15, n))',
        '1 clips have names that tell no film; each counts as a film of its own: nofilm',
        'catch_test_split1.txt: something else',
        f'catch_test_split1.txt: {CLIPS[2][1]}.avi 0',
        'in training and test of one split, where the first counts: catch_test_split1.txt: nofilm',
    ):
        assert sentence in text, sentence
    rows = table(tmp_path / 'out/split1/clips.csv')
    assert set(rows) == {CLIPS[2][1], CLIPS[3][1], 'nofilm'}
    assert rows['nofilm']['split'] == 'train' and rows['nofilm']['film'] == 'nofilm'


def test_nothing_to_convert(tmp_path, release) -> None:
    (tmp_path / 'empty').mkdir()
    with pytest.raises(AnnotationError, match='found neither the folder joint_positions'):
        convert_jhmdb(tmp_path / 'empty', tmp_path / 'a')
    with pytest.raises(AnnotationError, match='sub_splits: found no split files, expected catch_'):
        convert_jhmdb(release, tmp_path / 'b', sub=True)
    (release / 'Rename_Images').rename(release / 'images')
    with pytest.raises(
        AnnotationError, match='no clip can be converted.\n4 clips have no usable fr'
    ):
        convert_jhmdb(release, tmp_path / 'c')
    (release / 'images').rename(release / 'Rename_Images')
    convert_jhmdb(release, tmp_path / 'd')
    with pytest.raises(AnnotationError, match='d: is not empty, expected a new or an empty folder'):
        convert_jhmdb(release, tmp_path / 'd')


def test_distinct_frames(release, tmp_path) -> None:
    name = 'D_catch_f_cm_np1_fr_med_0'
    write_clip(release, 'catch', name, pose(5, 5))
    folder = release / 'Rename_Images/catch' / name
    for number in (2, 3, 5):  # frames 1 = 2 = 3, 4 = 5
        (folder / f'{number:05d}.png').write_bytes(
            (folder / f'{1 if number < 4 else 4:05d}.png').read_bytes()
        )
    write_split(release, 'catch', {name: '112'})
    report = convert_jhmdb(release, tmp_path / 'out', distinct=True)
    row = table(tmp_path / 'out/split1/clips.csv')[name]
    assert row['frames'] == row['labelled_frames'] == '2'
    data = load(tmp_path / f'out/split1/annotations/train/{row["sequence"]}.json')
    assert [image['file_name'] for image in data['images']] == [
        f'images/catch/{name}/{number:05d}.png' for number in (1, 4)
    ]
    expected = pose(5, 5)[0, NAMES.index('left_hip'), [0, 3]] - 1
    assert [joints(a)['left_hip'][0] for a in data['annotations']] == pytest.approx(expected)
    assert sorted(path.name for path in (tmp_path / 'out/images/catch' / name).iterdir()) == [
        '00001.png', '00004.png',
    ]  # fmt: skip
    assert f'1 clips repeat frames, which are left out: {name} (3)' in '\n'.join(report.lines())


def clip_path(release: Path, part: str, index: int = 0) -> Path:
    """The folder of a clip in a part of the release."""
    return release.joinpath(part, *CLIPS[index])


def converted(out: Path, index: int = 0) -> dict | None:
    """The labels of a clip, wherever they are in the first split; None if it is left out."""
    found = list(out.glob(f'split1/annotations/*/90000{index + 1}_*.json'))
    return load(found[0]) if found else None


def problems(report) -> list[str]:
    return [line for line in report.lines(None) if line[0].isdigit()]


@pytest.mark.parametrize('encoding', ['latin-1', 'utf-8-sig'])
def test_split_files_in_other_encodings(tmp_path, encoding) -> None:
    """A name that is no UTF-8 is that of its folder, a mark of the order of bytes no part of it."""
    clip = CLIPS[0][1]
    write_clip(tmp_path / 'release', 'catch', clip, pose(0))
    if encoding == 'latin-1':  # OpenCV itself can not write such names
        clip = f'caf\udce9_{clip}'
        for folder in (tmp_path / 'release').glob(f'*/catch/{CLIPS[0][1]}'):
            folder.rename(folder.with_name(clip))
    write_split(tmp_path / 'release', 'catch', {CLIPS[0][1]: '111'})
    for file in (tmp_path / 'release/splits').iterdir():
        mark = b'\xef\xbb\xbf' if encoding == 'utf-8-sig' else b''
        file.write_bytes(mark + os.fsencode(f'{clip}.avi 1\n'))
    report = convert_jhmdb(tmp_path / 'release', tmp_path / 'out')
    assert problems(report) == [] and converted(tmp_path / 'out') is not None
    assert len(table(tmp_path / 'out/split1/clips.csv')) == 1


def test_split_files_that_lack(release, tmp_path) -> None:
    write_clip(release, 'wave', 'W_wave_f_cm_np1_fr_med_0', pose(1))
    write_split(release, 'catch', {CLIPS[0][1]: '121', CLIPS[1][1]: '012'}, sub=True)
    (release / 'splits/catch_test_split2.txt').unlink()
    (release / 'sub_splits/catch_test_split_3.txt').unlink()
    places = ['/'.join(place) for place in CLIPS]
    assert problems(convert_jhmdb(release, tmp_path / 'out')) == [
        '4 split files are missing: catch_test_split2.txt, wave_test_split1.txt, '
        'wave_test_split2.txt, wave_test_split3.txt',
        f'2 clips are in some of the splits only: {places[0]} (1, 3), {places[1]} (1, 3)',
        '1 clips with joints are in no split file: wave/W_wave_f_cm_np1_fr_med_0',
    ]
    # not all actions are in sub-JHMDB
    assert problems(convert_jhmdb(release, tmp_path / 'sub', sub=True)) == [
        '1 split files are missing: catch_test_split_3.txt',
        f'2 clips are in some of the splits only: {places[0]} (1, 2), {places[1]} (2)',
    ]


@pytest.mark.parametrize('twin', ['1.png', '00001.jpg', 'cover.png'])
def test_frames_without_a_number_of_their_own(release, tmp_path, twin) -> None:
    """By place they would shift the labels to other frames."""
    folder = clip_path(release, 'Rename_Images')
    (folder / twin).write_bytes((folder / '00001.png').read_bytes())
    report = convert_jhmdb(release, tmp_path / 'out')
    assert converted(tmp_path / 'out') is None and converted(tmp_path / 'out', 1)
    (line,) = problems(report)
    assert line.startswith('1 clips have no usable frames and are left out: catch/A_film_catch')
    assert twin in line and 'no frame number of their own, expected one for each' in line


def test_frames_without_any_number_go_by_place(release, tmp_path) -> None:
    for path in clip_path(release, 'Rename_Images').iterdir():
        path.rename(path.with_name(f'{"abc"[int(path.stem) - 1]}.png'))
    assert not problems(convert_jhmdb(release, tmp_path / 'out'))
    data = converted(tmp_path / 'out')
    assert [image['file_name'][-5:] for image in data['images']] == ['a.png', 'b.png', 'c.png']
    expected = pose(0)[0, NAMES.index('left_hip')] - 1
    assert [joints(a)['left_hip'][0] for a in data['annotations']] == pytest.approx(expected)


def test_images_that_are_broken_or_of_another_size(release, tmp_path) -> None:
    """The rest is converted."""
    (clip_path(release, 'Rename_Images', 0) / '00001.png').write_bytes(b'')
    (clip_path(release, 'Rename_Images', 1) / '00003.png').write_bytes(b'xx')
    small = clip_path(release, 'Rename_Images', 2) / '00002.png'
    cv2.imwrite(str(small), np.zeros((120, 160, 3), np.uint8))
    report = convert_jhmdb(release, tmp_path / 'out')
    assert problems(report) == [
        f'3 clips have no usable frames and are left out: {"/".join(CLIPS[0])} (00001.png is '
        f'broken, expected an image), {"/".join(CLIPS[1])} (00003.png is broken, expected an '
        f'image), {"/".join(CLIPS[2])} (00002.png has 160x120 pixels, expected 320x240)'
    ]
    found = [converted(tmp_path / 'out', index) is not None for index in range(4)]
    assert found == [False, False, False, True]


def test_values_that_are_not_finite(release, tmp_path) -> None:
    positions = pose(0)
    positions[0, NAMES.index('left_hip'), 0] = np.nan
    positions[1, NAMES.index('left_hip'), 1] = np.inf
    positions[1, NAMES.index('face'), 2] = -np.inf
    path = clip_path(release, 'joint_positions') / 'joint_positions.mat'
    savemat(path, {'pos_img': positions, 'scale': np.full((1, 3), 0.5)})
    report = convert_jhmdb(release, tmp_path / 'out')
    annotations = converted(tmp_path / 'out')['annotations']
    assert ['left_hip' in joints(a) for a in annotations] == [False, False, True]
    assert ['bbox_head' in a for a in annotations] == [True, True, False]
    assert problems(report) == [
        f'1 clips have joints that are not finite, which are absent: {"/".join(CLIPS[0])} (3)',
        '1 clips have labeled frames without a head box, for want of a face, or of both scale and '
        f'torso: {CLIPS[0][1]} (1)',
    ]


def test_each_frame_has_its_scale(release, tmp_path) -> None:
    """Frames without a finite, positive one go by the torso; the table has the mean of the rest."""
    path = clip_path(release, 'joint_positions') / 'joint_positions.mat'
    positions, scales = pose(0, 7), np.array([[0.5, 0.75, 0, -0.5, np.inf, np.nan, 0.25]])
    savemat(path, {'pos_img': positions, 'scale': scales})
    masks = np.ones((HEIGHT, WIDTH, 7), np.uint8)
    savemat(clip_path(release, 'puppet_mask') / 'puppet_mask.mat', {'part_mask': masks})
    folder = clip_path(release, 'Rename_Images')
    for number in range(4, 8):
        (folder / f'{number:05d}.png').write_bytes((folder / '00001.png').read_bytes())
    report = convert_jhmdb(release, tmp_path / 'out')
    assert problems(report) == [
        '1 clips have frames whose puppet scale is not finite or not positive; their head boxes '
        f'are by the torso: {"/".join(CLIPS[0])} (4)'
    ]
    ends = [positions[:, NAMES.index(joint)] for joint in ('left_shoulder', 'right_hip')]
    torso = 0.35 * np.median(np.linalg.norm(ends[0] - ends[1], axis=0))
    expected = [0.13 * 240 * 0.5, 0.13 * 240 * 0.75, *[torso] * 4, 0.13 * 240 * 0.25]
    annotations = converted(tmp_path / 'out')['annotations']
    found = [0.6 * math.hypot(*a['bbox_head'][2:]) for a in annotations]
    assert found == pytest.approx(expected, abs=2e-3)
    assert table(tmp_path / 'out/split1/clips.csv')[CLIPS[0][1]]['puppet_scale'] == '0.5'


@pytest.mark.parametrize(
    'part, content, sentence',
    [
        ('joint_positions', dict(pos_img='abc'), 'pos_img holds text, expected numbers of the'),
        ('joint_positions', dict(pos_img={'a': 1}), 'pos_img holds a struct, expected numbers of'),
        ('joint_positions', dict(pos_img=pose(0) * 1j), 'pos_img holds complex numbers, expected'),
        ('joint_positions', dict(), 'pos_img is missing, expected numbers of the shape (2, 15, n)'),
        ('joint_positions', dict(pos_img=pose(0), scale='a'), 'scale holds text, expected 3 numb'),
        ('joint_positions', dict(pos_img=pose(0)), 'scale is missing, expected 3 numbers'),
        ('puppet_mask', dict(part_mask=np.ones((240, 320, 3, 2))), '(240, 320, 3, 2), expected nu'),
        ('puppet_mask', dict(part_mask=5), 'the shape (1, 1), expected numbers of the shape (2'),
        ('puppet_mask', dict(part_mask={'a': 1}), 'part_mask holds a struct, expected numbers of'),
        ('puppet_mask', dict(), 'part_mask is missing, expected numbers of the shape (240'),
    ],
)  # fmt: skip
def test_variables_of_another_form(release, tmp_path, part, content, sentence) -> None:
    """Without joints a clip is left out, without scale or mask it is not; the rest is converted."""
    savemat(clip_path(release, part) / f'{part}.mat', content)
    lines = problems(convert_jhmdb(release, tmp_path / 'out'))
    assert f'{"/".join(CLIPS[0])} (' in lines[0] and sentence in lines[0]
    is_optional = 'pos_img' in content or part == 'puppet_mask'
    is_used = converted(tmp_path / 'out') is not None
    assert is_used == (is_optional and 'pos_img' not in sentence)
    assert converted(tmp_path / 'out', 1)


def test_each_folder_has_one_mat_file(release, tmp_path) -> None:
    """AppleDoubles are none."""
    folder = clip_path(release, 'joint_positions')
    (folder / '._joint_positions.mat').write_bytes(b'Mac')
    assert not problems(convert_jhmdb(release, tmp_path / 'out'))
    savemat(folder / 'a.mat', {'pos_img': pose(7)})
    (line,) = problems(convert_jhmdb(release, tmp_path / 'out2'))
    assert 'a.mat, joint_positions.mat in joint_positions, expected one .mat file' in line


def test_folders_of_frames_without_joints(release, tmp_path) -> None:
    (release / 'Rename_Images/catch/X_catch_f_cm_np1_fr_med_9').mkdir()
    (release / 'Rename_Images/catch/.X_catch_f_cm_np1_fr_med_9').mkdir()
    assert problems(convert_jhmdb(release, tmp_path / 'out')) == [
        '1 folders of frames have no joints: catch/X_catch_f_cm_np1_fr_med_9'
    ]


def test_the_box_of_the_joints_is_cut_to_the_image(release, tmp_path) -> None:
    positions = np.full((2, 15, 1), -50.0)
    positions[:, NAMES.index('left_hip')] = [[1], [1]]
    positions[:, NAMES.index('left_knee')] = [[WIDTH], [101]]
    name = 'K_catch_f_cm_np1_fr_med_0'
    write_clip(release, 'catch', name, positions, masks=np.zeros((HEIGHT, WIDTH, 1)))
    write_split(release, 'catch', {name: '111'})
    convert_jhmdb(release, tmp_path / 'out')
    row = table(tmp_path / 'out/split1/clips.csv')[name]
    data = load(tmp_path / f'out/split1/annotations/train/{row["sequence"]}.json')
    # (0, 0) and (319, 100), times 1.3, is -47.85 to 366.85 and -15 to 115
    assert data['annotations'][0]['bbox'] == [0, 0, WIDTH, 115]


def test_of_repeats_the_first_labeled_frame_stays(release, tmp_path) -> None:
    positions = pose(0, 6)
    positions[..., [0, 4, 5]] = -50
    masks = np.zeros((HEIGHT, WIDTH, 6), np.uint8)
    masks[20:200, 10:70, 1:4] = 3
    name = 'D_catch_f_cm_np1_fr_med_0'
    write_clip(release, 'catch', name, positions, masks=masks)
    write_split(release, 'catch', {name: '111'})
    folder = release / 'Rename_Images/catch' / name
    for number, same in {2: 1, 3: 1, 6: 5}.items():  # 1 is unlabeled, 5 and 6 are
        (folder / f'{number:05d}.png').write_bytes((folder / f'{same:05d}.png').read_bytes())
    convert_jhmdb(release, tmp_path / 'out', distinct=True)
    row = table(tmp_path / 'out/split1/clips.csv')[name]
    images = load(tmp_path / f'out/split1/annotations/train/{row["sequence"]}.json')['images']
    assert [(image['file_name'][-9:], image['is_labeled']) for image in images] == [
        ('00002.png', True), ('00004.png', True), ('00005.png', False),
    ]  # fmt: skip


def test_distinct_frames_that_break_off(release, tmp_path) -> None:
    """Their headers are fine."""
    path = clip_path(release, 'Rename_Images') / '00002.png'
    path.write_bytes(path.read_bytes()[:100])
    report = convert_jhmdb(release, tmp_path / 'out', distinct=True)
    (line,) = problems(report)
    assert line.startswith(f'1 clips have no usable frames and are left out: {CLIPS[0][1]} (')
    assert '00002.png' in line
    assert converted(tmp_path / 'out') is None and converted(tmp_path / 'out', 1)


@pytest.mark.slow
def test_the_command_and_the_dataset(release, tmp_path) -> None:
    """What the command prints is what the dataset needs."""
    command = [sys.executable, TOOL, release, '--out', tmp_path / 'out']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'split2: 2 train clips, 6 frames' in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if 'split3/' in line)
    options = dict(option.split('=') for option in line.split())
    pytest.importorskip('mmpose')
    from cmpose_mm.datasets import PoseTrackVideoDataset

    dataset = PoseTrackVideoDataset(
        data_root=options['train_dataloader.dataset.data_root'],
        data_prefix=dict(img=options['train_dataloader.dataset.data_prefix.img']),
        ann_file='annotations/train',
        pipeline=[],
    )
    assert len(dataset) == 9 and Path(dataset[0]['img_path']).is_file()
    again = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert again.returncode == 1 and 'is not empty' in again.stderr


# ------------------------------------------------------------- MMPose's files of sub-JHMDB


def sub_file(clips: dict[str, np.ndarray], order: list[str] = NAMES) -> dict:
    """As MMPose's: 1-based, v = 2; the face is called head."""
    data = {
        'categories': [
            {'id': 1, 'name': 'person', 'keypoints': ['head' if n == 'face' else n for n in order]}
        ],
        'images': [],
        'annotations': [],
    }
    for clip, (folder, positions) in enumerate(clips.items()):
        for index in range(positions.shape[2]):
            image_id = 10000 * clip + index + 1
            data['images'].append(
                {
                    'file_name': f'{folder}/{index + 1:05d}.png',
                    'nframes': positions.shape[2],
                    'id': image_id,
                    'width': WIDTH,
                    'height': HEIGHT,
                }
            )
            keypoints = [
                value
                for name in order
                for value in (*positions[:, NAMES.index(name), index].tolist(), 2.0)
            ]
            data['annotations'].append(
                {
                    'keypoints': keypoints,
                    'image_id': image_id,
                    'bbox': [11.0, 21.0, 60.0, 180.0],
                    'id': image_id,
                    'category_id': 1,
                }
            )
    return data


def test_both_inputs_give_the_same_labels(release, tmp_path) -> None:
    """But for the head boxes, which need the puppets' scale."""
    frames = [f'Rename_Images/{action}/{name}' for action, name in CLIPS]
    other = tmp_path / 'mmpose'
    (other / 'annotations').mkdir(parents=True)
    (other / 'Rename_Images').symlink_to(release / 'Rename_Images')
    roles = {'train': (0, 2), 'test': (1, 3)}
    for role, indices in roles.items():
        data = sub_file({frames[i]: pose(i) for i in indices}, order=NAMES[::-1])  # by name
        (other / 'annotations' / f'Sub1_{role}.json').write_text(json.dumps(data))
    convert_jhmdb(release, tmp_path / 'a')
    report = convert_jhmdb(other, tmp_path / 'b')
    assert [line for line in report.lines() if line[0].isdigit()] == []
    assert not (tmp_path / 'b/split2').exists()
    for role in roles:
        for path in (tmp_path / 'a/split1/annotations' / role).iterdir():
            ours, theirs = load(path), load(tmp_path / 'b/split1/annotations' / role / path.name)
            assert ours['images'] == theirs['images']
            for a, b in zip(ours['annotations'], theirs['annotations']):
                a.pop('bbox_head'), b.pop('bbox_head')
                assert a == b
    rows = table(tmp_path / 'b/split1/clips.csv')
    assert rows[CLIPS[3][1]]['official_splits_1_2_3'] == '200'
    assert rows[CLIPS[3][1]]['action'] == 'shoot_ball'
    assert rows[CLIPS[3][1]]['scale_exact'] == '0'


def test_wrong_sub_files(tmp_path) -> None:
    root = tmp_path / 'mmpose'
    (root / CLIPS[0][1]).mkdir(parents=True)
    data = sub_file({CLIPS[0][1]: pose(0), 'strange': pose(1), CLIPS[1][1]: pose(2)})
    data['annotations'] = data['annotations'][:-1] + [{**data['annotations'][0], 'image_id': 77}]
    data['images'][0]['nframes'] = 40
    data['annotations'].append(dict(data['annotations'][1]))
    (root / 'Sub2_train.json').write_text(json.dumps(data))
    other = sub_file({CLIPS[0][1]: pose(3)})
    (root / 'Sub2_test.json').write_text(json.dumps(other))
    (root / 'Sub3_test.json').write_text(json.dumps(other))
    text = '\n'.join(convert_jhmdb(root, tmp_path / 'out').lines(None))
    for sentence in (
        '1 splits lack a file: Sub3_train.json',
        '1 annotations are of images that the file does not have: Sub2_train.json: 77',
        'without one of the actions and are left out: Sub2_train.json: strange',
        f'images than the file says: Sub2_train.json: {CLIPS[0][1]} (3 images, nframes 3, 40)',
        f'{CLIPS[0][1]}, 00002.png (2)',
        f'{CLIPS[1][1]}, 00003.png (0)',
        'clips lack frames on disk; their labels are written all the same',
        f'Sub2_test.json: {CLIPS[0][1]} (3 of 3)',
        f'clips have other labels in another file: Sub2_train.json: {CLIPS[0][1]}',
        f'the first counts: Sub2_train.json: {CLIPS[0][1]}',
    ):
        assert sentence in text, sentence
    data['categories'][0]['keypoints'][0] = 'nose'
    (root / 'Sub2_train.json').write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match='expected the 15 of JHMDB'):
        convert_jhmdb(root, tmp_path / 'out2')


SUB_FOLDERS = [f'Rename_Images/{action}/{name}' for action, name in CLIPS[:2]]


@pytest.fixture
def sub_root(release) -> Path:
    """The frames without the release."""
    (release / 'joint_positions').rename(release / 'elsewhere')
    return release


def write_sub(root: Path, change) -> None:
    data = sub_file({folder: pose(index) for index, folder in enumerate(SUB_FOLDERS)})
    change(data)
    (root / 'Sub1_train.json').write_text(json.dumps(data))
    (root / 'Sub1_test.json').write_text(json.dumps(sub_file({})))


@pytest.mark.parametrize(
    'change, sentence',
    [
        (lambda d: d.update(categories=[]), r'has the keypoints \(none\), expected the 15 of J'),
        (lambda d: d.update(categories=['x']), r"\"categories\"\[0\] is 'x', expected an object"),
        (lambda d: d.update(images=5), '"images" is 5, expected "images" to be a list'),
        (lambda d: d['categories'][0].update(keypoints=[[1]]), r'keypoints \[1\], expected the 15'),
        (lambda d: d['images'][1].pop('file_name'), r'\[1\] has the "file_name" None, expected te'),
        (lambda d: d['images'][1].update(id='7'), r"\[1\] has the \"id\" '7', expected a whole nu"),
        (lambda d: d['images'].append(5), r'"images"\[6\] is 5, expected an object'),
        (lambda d: d['images'].append(d['images'][0]), '7 "images" have 6 different "id", exp'),
        (lambda d: d['annotations'].append(5), r'"annotations"\[6\] is 5, expected an object'),
        (lambda d: d['annotations'][0].pop('image_id'), r'\[0\] has the "image_id" None, expecte'),
    ],
)  # fmt: skip
def test_sub_files_of_another_form(sub_root, tmp_path, change, sentence) -> None:
    write_sub(sub_root, change)
    with pytest.raises(AnnotationError, match=f'Sub1_train.json: .*{sentence}'):
        convert_jhmdb(sub_root, tmp_path / 'out')


def change_first(part: str, **fields):
    return lambda data: data[part][0].update(fields)


@pytest.mark.parametrize(
    'change, sentence',
    [
        (change_first('annotations', keypoints=['a'] * 45),
         '00001.png: keypoints holds text, expected 45 numbers'),
        (change_first('annotations', keypoints=None),
         '00001.png: keypoints is missing, expected 45 numbers'),
        (change_first('annotations', keypoints=[[1], [2, 3]]),
         '00001.png: keypoints holds no plain numbers, expected 45 numbers'),
        (change_first('annotations', bbox=['a', 1, 2, 3]),
         '00001.png: bbox holds text, expected 4 numbers'),
        (change_first('annotations', bbox=[1, 2, 3]),
         '00001.png: bbox has the shape (3,), expected 4 numbers'),
        (change_first('images', width='320'), 'width holds text, expected a number'),
        (change_first('images', width=321), 'expected one size'),
        (lambda d: [i.update(width=math.inf) for i in d['images'][:3]],
         'the images have the width, height {(inf, 240.0)}, expected one size'),
        (change_first('images', file_name=f'{SUB_FOLDERS[0]}/2.png'),
         'the images 2.png, 00002.png have no frame number of their own'),
        (lambda d: [i.update(width=100) for i in d['images'][:3]],
         '00001.png has 320x240 pixels, expected 100x240'),
    ],
)  # fmt: skip
def test_a_clip_of_another_form_in_a_sub_file(sub_root, tmp_path, change, sentence) -> None:
    """It is left out, the rest is converted."""
    write_sub(sub_root, change)
    lines = problems(convert_jhmdb(sub_root, tmp_path / 'out'))
    assert f'left out: Sub1_train.json: {SUB_FOLDERS[0]} (' in lines[-1]
    assert sentence in lines[-1]
    assert set(table(tmp_path / 'out/split1/clips.csv')) == {CLIPS[1][1]}


def test_sub_files_with_values_that_are_not_finite(sub_root, tmp_path) -> None:
    def change(data: dict) -> None:
        first, second = data['annotations'][:2]
        first['keypoints'][:9] = [math.nan, 50.0, 2.0, 50.0, 50.0, math.nan, 50.0, math.inf, 2.0]
        first['bbox'][2] = math.inf
        second['bbox'] = None

    write_sub(sub_root, change)
    report = convert_jhmdb(sub_root, tmp_path / 'out')
    place = f'Sub1_train.json: {SUB_FOLDERS[0]}'
    assert problems(report) == [
        f'1 clips have joints that are not finite, which are absent: {place} (3)',
        '1 clips have frames without a finite mask or box of any size; the box is by the joints: '
        f'{place} (2)',
        '1 clips have labeled frames without a head box, for want of a face, or of both scale and '
        f'torso: {CLIPS[0][1]} (1)',
    ]
    annotations = converted(tmp_path / 'out')['annotations']
    assert ['bbox_head' in a for a in annotations] == [False, True, True]
    boxes = [a['bbox'] for a in annotations]
    assert boxes[2] == [10, 20, 60, 180] and np.isfinite(np.array(boxes, float)).all()


def test_a_clip_in_some_of_the_sub_splits(sub_root, tmp_path) -> None:
    write_sub(sub_root, lambda data: None)
    (sub_root / 'Sub3_train.json').write_text(json.dumps(sub_file({SUB_FOLDERS[0]: pose(0)})))
    assert problems(convert_jhmdb(sub_root, tmp_path / 'out')) == [
        '1 splits lack a file: Sub3_test.json',
        f'1 clips are in some of the splits only: {"/".join(CLIPS[1])} (1)',
    ]


# Three frames that MMPose ships with its tests (tests/data/jhmdb, Apache-2.0), from JHMDB's own
# files: 1-based x and y of the 15 joints, and the box.
GOLDEN = {
    'Frisbee_catch_f_cm_np1_ri_med_0': (
        '98.851746 92.59851 101.382222 133.488694 100.914365 79.770933 86.888258 101.976452 '
        '107.314272 103.37138 96.914279 145.028519 106.514281 141.828552 91.779302 90.131713 '
        '111.71446 119.029127 101.371546 177.429379 113.428535 169.257124 90.261035 71.796419 '
        '125.372119 117.142762 96.68488 206.18226 87.838304 191.933582',
        [79, 62, 54, 159],
    ),
    'Frisbee_catch_f_cm_np1_ri_med_1': (
        '126.293586 86.516958 125.127052 119.880592 128.800121 77.713852 123.142858 93.771388 '
        '127.599998 93.314242 125.314285 126.685723 125.257142 128.685637 122.857184 111.302686 '
        '128.40003 107.885918 122.228575 148.91426 125.600109 150.403006 141.391708 106.511998 '
        '141.254766 105.486158 119.657303 169.255877 127.656398 173.757251',
        [114, 68, 38, 115],
    ),
    'Goalkeeper_Training_Day_@_7_catch_f_cm_np1_ri_med_0': (
        '104.590181 138.44876 105.733877 165.843418 104.400092 130.809558 113.714288 142.914297 '
        '97.999996 146.228585 110.914299 173.028594 102.628562 171.028599 116.687889 156.478492 '
        '94.455572 157.210571 121.257055 190.342707 95.200265 191.484992 120.571144 170.45612 '
        '93.885656 169.029784 128.177332 206.720448 90.000104 209.256786',
        [84, 123, 51, 94],
    ),
}


def test_mmposes_three_frames(tmp_path) -> None:
    """Of both inputs; joint by joint to a thousandth of a pixel, and standing upright."""
    golden = {
        name: (np.array(text.split(), float).reshape(15, 2).T[..., None], box)
        for name, (text, box) in GOLDEN.items()
    }
    data = sub_file({name: positions for name, (positions, _) in golden.items()})
    release, files = tmp_path / 'release', tmp_path / 'files'
    for (name, (positions, box)), annotation in zip(golden.items(), data['annotations']):
        annotation['bbox'] = box
        x, y, width, height = box[0] - 1, box[1] - 1, *box[2:]
        masks = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
        masks[y : y + height, x : x + width] = 1
        write_clip(release, 'catch', name, positions, masks=masks)
    write_split(release, 'catch', dict.fromkeys(golden, '211'))
    files.mkdir()
    (files / 'Sub1_test.json').write_text(json.dumps(data))
    for root in (release, files):
        convert_jhmdb(root, root / 'out')
        rows = table(root / 'out/split1/clips.csv')
        for name, (positions, box) in golden.items():
            labels = load(root / f'out/split1/annotations/test/{rows[name]["sequence"]}.json')
            (annotation,) = labels['annotations']
            found = joints(annotation)
            assert annotation['bbox'] == [box[0] - 1, box[1] - 1, *box[2:]]
            assert len(found) == 14
            for place, joint in enumerate(NAMES):
                if joint != 'belly':
                    expected = [*(positions[:, place, 0] - 1), 1]
                    assert found[OURS.get(joint, joint)] == pytest.approx(expected, abs=6e-4)
            height = {joint: y for joint, (_, y, _) in found.items()}
            assert height['nose'] < height['head_bottom'] < height['left_hip']
            for side in ('left', 'right'):
                assert height[f'{side}_shoulder'] < height[f'{side}_hip'] < height[f'{side}_knee']
                assert height[f'{side}_knee'] < height[f'{side}_ankle']


# ---------------------------------------------------------------------------------- real labels


@pytest.mark.slow
def test_layout_is_that_of_the_real_labels(real_data, tmp_path) -> None:
    """Clips of `data/jhmdb`, taken back into the release's form and converted again, are equal."""
    root, release = real_data / 'jhmdb', tmp_path / 'release'
    with open(root / 'clips.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if row['scale_exact'] == '1'][::60]
    assert len({row['split'] for row in chosen}) == 2
    marks: dict[str, dict[str, str]] = {}
    for row in chosen:
        data = load(root / 'annotations' / row['split'] / f'{row["sequence"]}.json')
        count = len(data['images'])
        positions = np.full((2, 15, count), -40.0)
        masks = np.zeros((HEIGHT, WIDTH, count), np.uint8)
        scale = np.zeros((1, count))
        for index, annotation in enumerate(data['annotations']):
            found = joints(annotation)
            for place, name in enumerate(NAMES):
                if OURS.get(name, name) in found:
                    positions[:, place, index] = np.array(found[OURS.get(name, name)][:2]) + 1
            x, y, width, height = map(int, annotation['bbox'])
            masks[y : y + height, x : x + width, index] = 1
            head = annotation['bbox_head']
            scale[0, index] = 0.6 * math.hypot(*head[2:]) / (0.13 * 240)
            if 'nose' not in found:  # out of the image, where the head box knows it
                center = np.array(head[:2]) + np.array(head[2:]) / 2
                positions[:, NAMES.index('face'), index] = center + 1
        write_clip(release, row['action'], row['jhmdb_clip'], positions, masks=masks)
        path = release / 'joint_positions' / row['action'] / row['jhmdb_clip']
        savemat(path / 'joint_positions.mat', {'pos_img': positions, 'scale': scale})
        marks.setdefault(row['action'], {})[row['jhmdb_clip']] = row['official_splits_1_2_3']
    for action, lines in marks.items():
        write_split(release, action, lines)
    convert_jhmdb(release, tmp_path / 'out')
    found = table(tmp_path / 'out/split1/clips.csv')
    same = ['split', 'action', 'frames', 'labelled_frames', 'full_body', 'official_splits_1_2_3']
    for row in chosen:
        ours = found[row['jhmdb_clip']]
        assert list(ours)[:-1] == list(row)
        assert [ours[key] for key in same] == [row[key] for key in same]
        assert float(ours['puppet_scale']) == pytest.approx(float(row['puppet_scale']), abs=3e-3)
        theirs = load(root / 'annotations' / row['split'] / f'{row["sequence"]}.json')
        converted = load(
            tmp_path / f'out/split1/annotations/{row["split"]}/{ours["sequence"]}.json'
        )
        assert theirs['categories'][0]['keypoints'] == converted['categories'][0]['keypoints']
        assert set(theirs['images'][0]) < set(converted['images'][0])
        for a, b in zip(theirs['annotations'], converted['annotations']):
            assert set(a) == set(b) and a['bbox'] == b['bbox']
            # those labels are rounded to a tenth of a pixel
            np.testing.assert_allclose(a['bbox_head'], b['bbox_head'], rtol=0, atol=0.11)
            assert a['bbox_head'][2:] == pytest.approx(b['bbox_head'][2:], abs=0.002)
            np.testing.assert_allclose(a['keypoints'], b['keypoints'], rtol=0, atol=0.06)
