"""Frames that repeat the one before go, with their labels."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_files import annolist, coco, merged, person, write

from cmpose_mm.converters import distinct
from cmpose_mm.converters.distinct import runs_of_same_frames, write_distinct_set
from cmpose_mm.converters.extract import extract_frames
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

TOOL = Path(__file__).parents[2] / 'tools' / 'distinct_frames.py'
SOMEONE = person({'nose': (5, 6), 'left_hip': (9, 20)}, bbox=[2, 3, 20, 30], track_id=0)


def write_image(path: Path, level: float) -> None:
    """A gray image: whole levels, and for a half every other row one level brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((240, 320), int(level), np.uint8)
    image[:, : round(320 * (level % 1))] += 1
    cv2.imwrite(str(path), image)


def test_frames_are_the_same_below_half_a_gray_level(tmp_path) -> None:
    levels = [10, 10, 10.4375, 10.5, 10.75, 30, 30, 10]
    paths = [tmp_path / f'{index}.png' for index in range(len(levels))]
    for path, level in zip(paths, levels):
        write_image(path, level)
    # against the first of the run: 10.5 differs enough from 10, though not from 10.4375
    assert runs_of_same_frames(paths) == [0, 0, 0, 3, 3, 5, 5, 7]
    assert runs_of_same_frames(paths, threshold=1) == [0, 0, 0, 0, 0, 5, 5, 7]
    assert runs_of_same_frames(paths[:1]) == [0]


def test_broken_images_are_named(tmp_path) -> None:
    write_image(tmp_path / '0.png', 3)
    (tmp_path / '1.png').write_bytes((tmp_path / '0.png').read_bytes()[:40])
    with pytest.raises(OSError, match='1.png: image is truncated or broken'):
        runs_of_same_frames([tmp_path / '0.png', tmp_path / '1.png'])


@pytest.fixture
def root(tmp_path) -> Path:
    """Two videos of train (frames 1, 2 = 1, 3, 4 = 3), one of val."""
    root = tmp_path / 'set'
    for split, name, levels in (
        ('train', '000001_test', [10, 10, 30, 30]),
        ('train', '000002_test', [10, 20, 30, 40]),
        ('val', '000003_test', [5, 5, 5, 5]),
    ):
        data = coco(
            [[SOMEONE], [SOMEONE], [SOMEONE, SOMEONE], [SOMEONE]], name, int(name[:6]) * 100
        )
        for image, level in zip(data['images'], levels):
            image.update(nframes=4, extra='kept')
            write_image(root / image['file_name'], level)
        write(root / 'annotations' / split / f'{name}.json', data)
    return root


def frames(root: Path, folder: str) -> list[list[str]]:
    return [[frame.file_name for frame in video.frames] for video in read_videos(root / folder)]


def test_images_and_labels_go_together(root, tmp_path) -> None:
    out = tmp_path / 'out'
    result = write_distinct_set(root, out)
    assert (result.videos, result.frames, result.dropped_frames) == (3, 12, 5)
    assert result.dropped_labels == 2 + 4 and result.missing_frames == 0
    prefix = 'images/val/000001_test'
    first, second = frames(out, 'annotations/train')
    assert first == [f'{prefix}/000000.jpg', f'{prefix}/000002.jpg'] and len(second) == 4
    for name in [*first, *second]:
        assert (out / name).read_bytes() == (root / name).read_bytes()
        assert (out / name).stat().st_ino == (root / name).stat().st_ino  # a link, no copy
    assert len(os.listdir(out / prefix)) == 2
    data = json.loads((out / 'annotations/train/000001_test.json').read_text())
    assert [image['nframes'] for image in data['images']] == [2, 2]
    assert {image['extra'] for image in data['images']} == {'kept'}
    assert len(data['annotations']) == 3  # one person, then two
    assert len(json.loads((out / 'annotations/val/000003_test.json').read_text())['images']) == 1
    with pytest.raises(
        AnnotationError, match='out: is not empty, expected a new or an empty folder'
    ):
        write_distinct_set(root, out)


def test_images_that_are_links_are_copied_as_what_they_lead_to(root, tmp_path) -> None:
    place = root / 'images/val/000001_test/000000.jpg'
    place.rename(root / 'elsewhere.jpg')
    place.symlink_to('../../../elsewhere.jpg')
    write_distinct_set(root, tmp_path / 'deep' / 'out')
    copy = tmp_path / 'deep/out/images/val/000001_test/000000.jpg'
    assert copy.read_bytes() == (root / 'elsewhere.jpg').read_bytes()


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob('*') if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize('killed_in', ['link_frame', '_write_without', '_write_clips'])
def test_after_a_kill_the_same_command_writes_the_same(
    root, tmp_path, monkeypatch, killed_in
) -> None:
    """Even if the threshold was another: nothing of the killed run stays."""
    (root / 'clips.csv').write_text(
        'sequence,split,frames,labelled_frames\n000001_test,train,4,4\n'
    )
    write_distinct_set(root, tmp_path / 'whole')
    out, partial = tmp_path / 'out', tmp_path / 'out.partial'
    out.mkdir()
    calls, function = [], getattr(distinct, killed_in)

    def third_call_kills(*args):
        calls.append(args)
        if len(calls) == 1 + 2 * (killed_in != '_write_clips'):
            os.rename(partial, tmp_path / 'kept')  # a kill cleans up nothing
            raise KeyboardInterrupt
        return function(*args)

    monkeypatch.setattr(distinct, killed_in, third_call_kills)
    with pytest.raises(KeyboardInterrupt):
        write_distinct_set(root, out, threshold=0)
    monkeypatch.undo()
    assert content(out) == {} and content(tmp_path / 'kept')
    os.rename(tmp_path / 'kept', partial)
    write_distinct_set(root, out)
    assert content(out) == content(tmp_path / 'whole') and not partial.exists()


def test_nothing_is_left_of_a_run_that_fails(root, tmp_path) -> None:
    (root / 'images/val/000003_test/000002.jpg').write_bytes(b'')
    with pytest.raises(OSError, match='000003_test/000002.jpg'):
        write_distinct_set(root, tmp_path / 'out')
    assert sorted(os.listdir(tmp_path)) == ['set']


@pytest.mark.parametrize('stranger', ['out/images/val/000001_test/000001.jpg', 'out'])
def test_strangers_are_refused(root, tmp_path, stranger) -> None:
    (tmp_path / stranger).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stranger).write_text('')
    found = 'is a file' if stranger == 'out' else 'is not empty'
    with pytest.raises(AnnotationError, match=f'out: {found}, expected a new or an empty folder'):
        write_distinct_set(root, tmp_path / 'out')


def test_labels_of_another_set_are_refused(root, tmp_path) -> None:
    other = tmp_path / 'other'
    shutil.copytree(root / 'annotations', other)
    before = content(other)
    with pytest.raises(AnnotationError, match='is not below .*set, expected labels of this set'):
        write_distinct_set(root, tmp_path / 'out', labels=['../other/train'])
    assert content(other) == before and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('prefix', ['{root}/', 'images/../'])
def test_images_whose_paths_can_not_be_copied(root, tmp_path, prefix) -> None:
    file = root / 'annotations/val/000003_test.json'
    data = json.loads(file.read_text())
    for image in data['images']:
        image['file_name'] = prefix.format(root=root) + image['file_name']
    file.write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match='000003_test.json: an image is .*000000.jpg, exp'):
        write_distinct_set(root, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('threshold', [float('nan'), float('inf'), -1])
def test_thresholds_that_are_none(root, tmp_path, threshold) -> None:
    with pytest.raises(ValueError, match=f'threshold is {threshold}, expected a number from 0 on'):
        write_distinct_set(root, tmp_path / 'out', threshold=threshold)
    assert not (tmp_path / 'out').exists()


def test_labeled_frames_are_kept_before_others(root, tmp_path) -> None:
    """Also if another label file labels them, as two splits of one video do."""
    data = coco([[], [SOMEONE], [], []], '000001_test', 100)
    write(root / 'annotations/train/000001_test.json', data)
    other = coco([[], [], [], [SOMEONE]], '000001_test', 100)
    write(root / 'annotations/val/000001_test.json', other)
    result = write_distinct_set(root, tmp_path / 'out')
    kept = [f'images/val/000001_test/{number:06d}.jpg' for number in (1, 3)]
    assert frames(tmp_path / 'out', 'annotations/train')[0] == kept
    assert frames(tmp_path / 'out', 'annotations/val')[0] == kept
    labeled = [
        len(video.frames[i].keypoints)
        for split in ('train', 'val')
        for video in read_videos(tmp_path / 'out/annotations' / split)[:1]
        for i in (0, 1)
    ]
    assert labeled == [1, 0, 0, 1]
    assert result.dropped_labels == 4  # of video 3


def test_unlisted_frames_stay_as_neighbors(root, tmp_path) -> None:
    """Frames on disk that no label file lists count as frames of the video."""
    data = json.loads((root / 'annotations/train/000001_test.json').read_text())
    data['images'] = data['images'][::2]
    ids = {image['id'] for image in data['images']}
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] in ids]
    write(root / 'annotations/train/000001_test.json', data)
    write_image(root / 'images/val/000001_test/000004.jpg', 50)
    write_distinct_set(root, tmp_path / 'out')
    assert sorted(os.listdir(tmp_path / 'out/images/val/000001_test')) == [
        '000000.jpg', '000002.jpg', '000004.jpg',
    ]  # fmt: skip


def test_annolists_and_merged_files(root, tmp_path) -> None:
    files = [
        json.loads((root / f'annotations/train/00000{n}_test.json').read_text()) for n in (1, 2)
    ]
    write(root / 'annotations/all.json', merged(*files))
    write(root / 'annotations/old/000001_test.json', annolist(files[0]))
    labels = ['annotations/all.json', 'annotations/old']
    result = write_distinct_set(root, tmp_path / 'out', labels=labels)
    assert result.dropped_labels == 2 + 2 and result.videos == 2
    assert [len(v) for v in frames(tmp_path / 'out', 'annotations/all.json')] == [2, 4]
    assert [len(v) for v in frames(tmp_path / 'out', 'annotations/old')] == [2]
    assert not (tmp_path / 'out/annotations/train').exists()


def test_frames_in_a_renamed_folder(root, tmp_path) -> None:
    (root / 'images').rename(root / 'images_renamed')
    with pytest.raises(AnnotationError, match='has no image, expected the frames that the labels'):
        write_distinct_set(root, tmp_path / 'a')
    result = write_distinct_set(root, tmp_path / 'b', image_root='images_renamed')
    assert result.dropped_frames == 5
    for name in frames(tmp_path / 'b', 'annotations/train')[0]:
        assert (tmp_path / 'b' / name).is_file()


def test_labels_of_missing_frames_are_kept(root, tmp_path) -> None:
    (root / 'images/val/000001_test/000003.jpg').unlink()
    result = write_distinct_set(root, tmp_path / 'out')
    assert result.missing_frames == 1
    assert len(frames(tmp_path / 'out', 'annotations/train')[0]) == 3


def test_the_table_of_clips_has_new_counts(root, tmp_path) -> None:
    fields = ['sequence', 'split', 'frames', 'labelled_frames', 'film']
    rows = [['000001_test', 'train', 4, 4, 'F'], ['000003_test', 'val', 4, 4, 'G']]
    with open(root / 'clips.csv', 'w', newline='') as file:
        csv.writer(file).writerows([fields, *rows])
    write_distinct_set(root, tmp_path / 'out')
    with open(tmp_path / 'out/clips.csv', newline='') as file:
        found = list(csv.reader(file))
    assert found == [
        fields, ['000001_test', 'train', '2', '2', 'F'], ['000003_test', 'val', '1', '1', 'G'],
    ]  # fmt: skip


@pytest.mark.parametrize(
    'labels', ['annotations/train', 'annotations/part', 'annotations/train/000001_test.json']
)
def test_the_table_lists_the_copied_clips(root, tmp_path, labels) -> None:
    """Also those of a part of a split, as `tools/list_clips.py` writes such folders."""
    shutil.copytree(root / 'annotations/train', root / 'annotations/part')
    rows = [
        ['sequence', 'split', 'film'],
        ['000003_test', 'val', 'G'],
        ['000001_test', 'train', 'F'],
    ]
    with open(root / 'clips.csv', 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    write_distinct_set(root, tmp_path / 'out', labels=[labels])
    with open(tmp_path / 'out/clips.csv', newline='') as file:
        assert list(csv.DictReader(file)) == [
            dict(sequence='000001_test', split='train', film='F', frames='2', labelled_frames='2')
        ]


def test_names_that_are_not_utf8(root, tmp_path) -> None:
    file = root / 'annotations/train/000001_test.json'
    data = json.loads(file.read_text())
    data['annotations'][0]['comment'] = 'caf\udce9'
    file.write_text(json.dumps(data))
    write_distinct_set(root, tmp_path / 'out')
    copied = json.loads((tmp_path / 'out/annotations/train/000001_test.json').read_text())
    assert copied['annotations'][0]['comment'] == 'caf\udce9'


def test_the_command(root, tmp_path) -> None:
    command = [sys.executable, TOOL, root, '--out', tmp_path / 'out']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '7 of 12 frames of 3 videos; 5 (41.7 %) repeated the one before' in done.stdout
    assert 'with 6 labeled persons' in done.stdout
    command = [sys.executable, TOOL, tmp_path / 'nothing', '--out', tmp_path / 'out']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 1 and 'found no labels, expected' in done.stderr


def test_real_clips(real_data, tmp_path) -> None:
    """About a quarter of JHMDB's frames repeat the one before; here in a few clips of it."""
    root = real_data / 'jhmdb'
    sequences = sorted(path.stem for path in (root / 'videos/test').iterdir())[::20]
    for sequence in sequences:
        extract_frames(root / f'videos/test/{sequence}.mp4', tmp_path / 'set/images/test')
        target = tmp_path / f'set/annotations/test/{sequence}.json'
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / f'annotations/test/{sequence}.json', target)
    result = write_distinct_set(tmp_path / 'set', tmp_path / 'out')
    assert 0.1 < result.dropped_frames / result.frames < 0.4
    assert result.dropped_labels == result.dropped_frames
    again = write_distinct_set(tmp_path / 'out', tmp_path / 'again')
    assert again.dropped_frames == 0
