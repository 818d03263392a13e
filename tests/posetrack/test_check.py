"""What check_posetrack finds in each layout, and that its verdict is the dataset's."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from posetrack_samples import (
    HEIGHT,
    WIDTH,
    person,
    save_json,
    write_annolist_video,
    write_coco_video,
)

from cmpose_mm.posetrack.check import check_root, missing_splits, other_label_folders


@pytest.fixture
def root(tmp_path):
    """PoseTrack18 in the official layout: one training and one validation video of three frames."""
    frames = [[person(0), person(1)], [], [person(2)]]
    write_coco_video(tmp_path, 'train', '000001_a', frames)
    write_coco_video(tmp_path, 'val', '000002_b', frames)
    return tmp_path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    save_json(path, content)


def test_official_layout(root):
    train, val = check_root(str(root))
    for report, split in ((train, 'train'), (val, 'val')):
        assert (report.layout, report.split, report.path) == (
            'official',
            split,
            f'annotations/{split}',
        )
        assert report.dataset == 'posetrack18'
        assert (report.videos, report.frames, report.labeled_frames) == (1, 3, 2)
        assert (report.persons, report.usable_persons) == (3, 3)
        assert (report.missing_frames, report.image_root) == (0, '')
        assert report.errors == report.dropped == report.notes == []
    assert missing_splits([train, val]) == []
    assert "ann_file='annotations/train', data_prefix=dict(img='')" in str(train)


def test_mmpose_layout_with_detections(root):
    for split, name in (('train', '000001_a'), ('val', '000002_b')):
        source = root / f'annotations/{split}/{name}.json'
        shutil.move(source, root / f'annotations/posetrack18_{split}.json')
        source.parent.rmdir()
    val = json.loads((root / 'annotations/posetrack18_val.json').read_text())
    boxes = [
        dict(image_id=image['id'], category_id=1, bbox=[1, 2, 3, 4], score=1.0)
        for image in val['images']
    ]
    boxes.append(dict(boxes[0], bbox=[1, 2, 0, 4]))
    save_json(root / 'annotations/posetrack18_val_human_detections.json', boxes)
    reports = check_root(str(root))
    assert [(r.layout, r.path) for r in reports] == [
        ('MMPose', 'annotations/posetrack18_train.json'),
        ('MMPose', 'annotations/posetrack18_val.json'),
    ]
    assert missing_splits(reports) == []
    name = 'annotations/posetrack18_val_human_detections.json'
    assert reports[0].detections == {} and reports[0].notes == []  # those are of val
    assert reports[1].detections == {name: '2 boxes in 2 of 2 labeled frames'}
    last = str(reports[1]).splitlines()[-1]
    assert last == f"  config of tests on detected boxes: bbox_file='{name}'"
    assert '1 detections dropped: box of zero or negative size' in reports[1].dropped[0]


def test_a_labeled_test_split_serves_as_val(root):
    """As in JHMDB."""
    shutil.move(root / 'annotations/val', root / 'annotations/test')
    reports = check_root(str(root))
    assert [report.split for report in reports] == ['train', 'test']
    assert missing_splits(reports) == []

    def unlabel(content):
        content['annotations'] = []

    edit(root / 'annotations/test/000002_b.json', unlabel)
    assert missing_splits(check_root(str(root))) == ['val']


def test_images_of_another_size_than_the_labels_say_are_told(root):
    def resize(content):
        for image in content['images']:
            image.update(width=WIDTH, height=2 * HEIGHT)

    edit(root / 'annotations/val/000002_b.json', resize)
    train, val = check_root(str(root))
    assert train.notes == []
    (note,) = val.notes
    assert note.startswith('the images of 1 videos have another size than the labels say')
    assert note.endswith(f'000000.jpg: {WIDTH} x {HEIGHT}, in the labels {WIDTH} x {2 * HEIGHT})')


def test_persons_without_head_boxes_are_told_where_ap_is_measured(root):
    def behead(content):
        for annotation in content['annotations'][:2]:
            del annotation['bbox_head']

    for path in (root / 'annotations').glob('*/*.json'):
        edit(path, behead)
    train, val = check_root(str(root))
    assert train.notes == [] and len(val.notes) == 1
    assert val.notes[0].startswith('2 persons have no head box: AP needs one of each')


def test_detections_that_a_test_cannot_use(root):
    path = root / 'annotations/val/000002_b.json'

    def nobody(content):  # labeled, but lists nobody: a key frame for detections alone
        content['images'][1]['is_labeled'] = True

    edit(path, nobody)
    images = json.loads(path.read_text())['images']
    os.remove(root / images[1]['file_name'])
    outside = dict(image_id=images[0]['id'], category_id=1, bbox=[900, 2, 3, 4], score=1.0)
    save_json(
        root / 'annotations/val_detections.json',
        [outside, dict(outside, image_id=images[1]['id'], bbox=[1, 2, 9, 9])],
    )
    val = check_root(str(root))[1]
    name = 'annotations/val_detections.json'
    note = f'{name}: has boxes in 1 frames that are not on disk (first: {images[1]["file_name"]})'
    assert any(found.startswith(note) for found in val.notes)
    (dropped,) = val.dropped
    assert dropped.startswith(f'{name}: ') and 'box outside the image' in dropped


def test_detections_in_a_video_whose_first_file_is_no_image(root):
    shutil.move(root / 'annotations/val', root / 'annotations/test')
    path = root / 'annotations/test/000002_b.json'

    def unlabel(content):
        content['annotations'] = []
        for image in content['images']:
            image['is_labeled'] = False

    edit(path, unlabel)
    first = json.loads(path.read_text())['images'][0]
    (root / first['file_name']).write_bytes(b'no image')
    box = dict(image_id=first['id'], category_id=1, bbox=[1, 2, 9, 9], score=1.0)
    save_json(root / 'annotations/test_detections.json', [box])
    (error,) = check_root(str(root))[1].errors
    assert first['file_name'] in error


def test_dcpose_layout(root):
    """Its labels name frames without ``images/``, and the frames lie in ``images_renamed``."""
    shutil.move(root / 'images', root / 'images_renamed')
    for split, name in (('train', '000001_a'), ('val', '000002_b')):
        target = root / f'posetrack17_json_files/posetrack_{split}.json'
        target.parent.mkdir(exist_ok=True)
        shutil.move(root / f'annotations/{split}/{name}.json', target)

        def rename(content):
            for image in content['images']:
                image['file_name'] = image['file_name'][len('images/') :]

        edit(target, rename)
    shutil.copytree(root / 'posetrack17_json_files', root / 'posetrack17_annotation_dirs/jsons/val')
    os.remove(root / 'posetrack17_annotation_dirs/jsons/val/posetrack_train.json')
    shutil.rmtree(root / 'annotations')
    image_name = 'val/000002_b/000000.jpg'
    box = dict(image_id=5, image_name=image_name, category_id=1, bbox=[1, 2, 3, 4], score=1.0)
    save_json(root / 'posetrack17_precomputed_boxes/val_boxes.json', [box])
    reports = check_root(str(root))
    assert [(r.layout, r.split, r.dataset) for r in reports] == [
        ('DCPose', 'train', 'posetrack17'),
        ('DCPose', 'val', 'posetrack17'),
        ('DCPose', 'val', 'posetrack17'),
    ]
    assert all(r.image_root == 'images_renamed' and not r.errors for r in reports)
    assert list(reports[1].detections.values()) == ['1 boxes in 1 of 2 labeled frames']


def test_posetrack17_annolist(tmp_path):
    for split in ('train', 'val'):
        write_annolist_video(tmp_path, split, '000342_mpii', [[person(0)], [], [person(1)]])
    reports = check_root(str(tmp_path))
    assert [(r.dataset, r.persons, r.usable_persons) for r in reports] == [
        ('posetrack17', 2, 2)
    ] * 2
    assert missing_splits(reports) == []


def test_posetrack21_by_its_fields(root):
    shutil.move(root / 'annotations', root / 'posetrack_data')
    for path in (root / 'posetrack_data').glob('*/*.json'):
        edit(path, lambda content: content['images'][0].update(has_labeled_person=True))
    reports = check_root(str(root))
    assert [(r.dataset, r.path) for r in reports] == [
        ('posetrack21', 'posetrack_data/train'),
        ('posetrack21', 'posetrack_data/val'),
    ]


def test_posetrack21_in_another_encoding(root):
    for path in (root / 'annotations').glob('*/*.json'):
        edit(path, lambda content: content['images'][0].update(has_labeled_person=True))
        path.write_text(path.read_text(), encoding='utf-16')
    assert [r.dataset for r in check_root(str(root))] == ['posetrack21', 'posetrack21']


def test_hidden_files_are_neither_labels_nor_detections(root):
    """As a Mac's archives leave them beside the merged labels and the detections."""
    for name in ('posetrack18_train.json', 'posetrack18_val_detections.json'):
        (root / f'annotations/._{name}').write_bytes(b'\0\5\26\7 Mac OS X')
    (root / 'annotations/val/._000002_b.json').write_bytes(b'\0\5\26\7 Mac OS X')
    reports = check_root(str(root))
    assert [r.path for r in reports] == ['annotations/train', 'annotations/val']
    assert all(r.errors == r.notes == [] and not r.detections for r in reports)


def test_repeated_annotation_ids_are_noted(root):
    """Predictions as labels: the persons of each file are numbered."""
    shutil.copytree(root / 'images/train/000001_a', root / 'images/train/000003_c')
    write_coco_video(root, 'train', '000003_c', [[person(0), person(1)], [], [person(2)]])
    for path in (root / 'annotations/train').iterdir():

        def renumber(content):
            for index, annotation in enumerate(content['annotations']):
                annotation['id'] = index

        edit(path, renumber)
    train = check_root(str(root))[0]
    assert (train.persons, train.usable_persons, train.dropped) == (6, 6, [])
    (note,) = train.notes
    assert note.startswith('3 persons have an annotation id that was there before (first: ')
    assert '000003_c.json: images/train/000003_c/000000.jpg, annotation 0)' in note


def test_test_videos_without_annotations(root):
    content = write_coco_video(root, 'test', '000009_t', [[], [], []])
    path = root / 'annotations/test/000009_t.json'
    del content['annotations']
    for image in content['images']:
        del image['is_labeled']
    save_json(path, content)
    boxes = [
        dict(image_id=image['id'], category_id=1, bbox=[1, 2, 3, 4], score=1.0)
        for image in content['images'][:2]
    ]
    save_json(root / 'annotations/test_detections.json', boxes)
    report = check_root(str(root))[2]
    assert (report.split, report.errors, report.dropped) == ('test', [], [])
    assert (report.videos, report.frames, report.labeled_frames) == (1, 3, 0)
    name = 'annotations/test_detections.json'
    assert report.detections == {name: '2 boxes in 2 of 3 frames'}
    # Among the videos to train on, the same file is an error.
    shutil.move(path, root / 'annotations/train/000009_t.json')
    assert 'expected "annotations" to be a list' in check_root(str(root))[0].errors[0]


@pytest.mark.parametrize('videos, release', [(74, '0.2'), (170, '0.45'), (75, '')])
def test_label_release_by_number_of_validation_videos(root, videos, release):
    for index in range(videos - 1):
        name = f'{index + 10:06d}_c'
        write_coco_video(root, 'val', name, [[person()]], images=False)
    # Distinct image ids, whatever the helper makes of similar names.
    for number, path in enumerate(sorted((root / 'annotations/val').iterdir())):

        def renumber(content, number=number):
            for image in content['images']:
                image['id'] += number * 10**7
            for annotation in content['annotations']:
                annotation['image_id'] += number * 10**7

        edit(path, renumber)
    assert check_root(str(root))[1].release == release


def test_missing_frames_and_folders(root):
    os.remove(root / 'images/train/000001_a/000002.jpg')  # labeled
    os.remove(root / 'images/val/000002_b/000001.jpg')  # not labeled
    train, val = check_root(str(root))
    assert train.missing_frames == val.missing_frames == 1
    (error,) = train.errors
    assert error.endswith('000001_a/000002.jpg (video 000001_a): labeled, but not on disk')
    assert val.errors == []
    assert val.notes[0].startswith('1 frames without labels are not on disk')
    assert missing_splits([train, val]) == ['train']

    shutil.rmtree(root / 'images/train/000001_a')
    error = check_root(str(root))[0].errors[0]
    assert 'train/000001_a (video 000001_a): folder is not on disk, 2 key frames expected' in error
    (root / 'images/train/000001_a').mkdir()
    error = check_root(str(root))[0].errors[0]
    assert 'train/000001_a (video 000001_a): folder has no images' in error


def test_labels_in_folders_of_other_names(root, monkeypatch, capsys):
    os.rename(root / 'annotations/val', root / 'annotations/mine')
    (root / 'annotations/notes').mkdir()
    reports = check_root(str(root))
    assert other_label_folders(str(root), reports) == ['annotations/mine']
    assert other_label_folders(str(root / 'annotations/mine'), []) == ['.']
    assert run_tool(monkeypatch, root) == 1
    told = 'Not looked at: annotations/mine. Looked for are annotations/train, '
    assert told in capsys.readouterr().out


def test_images_that_can_not_be_read(root):
    (root / 'images/train/000001_a/000009.jpg').symlink_to('gone.jpg')
    (root / 'images/val/000002_b/000009.jpg').mkdir()
    train, val = check_root(str(root), read_images=True)
    assert [e.split('000001_a/')[-1] for e in train.errors] == [
        '000009.jpg (video 000001_a): image can not be read (No such file or directory)'
    ]
    assert [e.split('000002_b/')[-1] for e in val.errors] == [
        '000009.jpg (video 000002_b): image can not be read (Is a directory)'
    ]


def test_dropped_persons_are_listed_one_by_one(root):
    def change(content):
        content['annotations'][0]['bbox'] = [500, 5, 10, 10]
        content['annotations'][1]['keypoints'] = [0] * 51
        content['annotations'][2]['bbox'] = [1, 2, 3]

    edit(root / 'annotations/train/000001_a.json', change)
    train, val = check_root(str(root))
    assert (train.persons, train.usable_persons) == (3, 0)
    text = '\n'.join(train.dropped)
    assert '000001_a.json: images/train/000001_a/000000.jpg, annotation' in text
    for reason in ('a box outside the image', 'no labeled joint', '"bbox" is'):
        assert text.count(reason) == 1
    assert 'no labeled frame has a person that can be used' in train.errors[0]
    assert missing_splits([train, val]) == ['train']


@pytest.mark.parametrize(
    'content, message',
    [(b'{"images": [', 'not valid JSON'), (b'', 'is empty'), (b'{"a": 1}', 'expected "images"')],
)
def test_unreadable_labels(root, content, message):
    (root / 'annotations/train/000001_a.json').write_bytes(content)
    train, val = check_root(str(root))
    assert '000001_a.json' in train.errors[0] and message in train.errors[0]
    assert 'unreadable' in str(train)
    assert missing_splits([train, val]) == ['train']


def test_truncated_images_are_found_when_images_are_read(root):
    path = root / 'images/train/000001_a/000001.jpg'
    path.write_bytes(path.read_bytes()[:-50])
    assert check_root(str(root))[0].errors == []
    (error,) = check_root(str(root), read_images=True)[0].errors
    assert error.endswith('000001.jpg (video 000001_a): image is truncated or broken')


def test_first_image_without_a_header(root):
    (root / 'images/train/000001_a/000000.jpg').write_bytes(b'no image')
    assert '000000.jpg' in check_root(str(root))[0].errors[0]


def test_image_root_can_be_given(root):
    shutil.move(root / 'images', root / 'elsewhere')
    assert missing_splits(check_root(str(root))) == ['train', 'val']
    assert missing_splits(check_root(str(root), image_root='elsewhere')) == []
    assert missing_splits(check_root(str(root), image_root=str(root / 'elsewhere'))) == []


def test_the_verdict_is_the_datasets(root):
    """Whatever is wrong with the training data, checker and dataset agree on whether it works."""
    pytest.importorskip('mmpose')
    from cmpose_mm.datasets import PoseTrackVideoDataset

    label = root / 'annotations/train/000001_a.json'
    good = label.read_text()

    def break_box(content):
        content['annotations'][0]['bbox'] = [0, 0, 0, 0]

    def break_all(content):
        for annotation in content['annotations']:
            annotation['keypoints'] = [1, 2, 3]

    def duplicate_image(content):
        content['images'].append(dict(content['images'][0], file_name='images/train/x/0.jpg'))

    def name_absent_frame(content):
        content['images'][0]['file_name'] = 'images/train/000001_a/000099.jpg'

    def unlabel(content):
        for image in content['images']:
            image['is_labeled'] = False

    verdicts = []
    for change in (break_box, break_all, duplicate_image, name_absent_frame, unlabel):
        label.write_text(good)
        edit(label, change)
        report = check_root(str(root))[0]
        try:
            count = len(PoseTrackVideoDataset(data_root=str(root), ann_file='annotations/train'))
        except (ValueError, OSError):
            count = 0
        assert (count > 0) == (not report.errors), change
        if count:
            assert count == report.usable_persons
        verdicts.append(count > 0)
    assert verdicts == [True, False, False, False, False]


def run_tool(monkeypatch, *arguments) -> int:
    tool = Path(__file__).parents[2] / 'tools/check_posetrack.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
    monkeypatch.setitem(sys.modules, 'mmpose', None)  # as the tool does; undone after the test
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(tool), run_name='__main__')
    return stopped.value.code


def test_command_exit_status(root, monkeypatch, capsys):
    assert run_tool(monkeypatch, root) == 0
    out = capsys.readouterr().out
    assert 'annotations/train: posetrack18, train, official layout' in out
    assert out.rstrip().endswith('Training can start.')

    shutil.rmtree(root / 'annotations/val')
    assert run_tool(monkeypatch, root) == 1
    assert 'Training can NOT start: no usable val labels (see above)' in capsys.readouterr().out

    shutil.rmtree(root / 'annotations/train')
    assert run_tool(monkeypatch, root) == 1
    assert 'no usable train and val labels (no labels were found)' in capsys.readouterr().out

    assert run_tool(monkeypatch, root / 'nowhere') == 2
    assert 'nowhere: no such folder' in capsys.readouterr().err


def test_command_help_shows_an_example(monkeypatch, capsys):
    assert run_tool(monkeypatch, '--help') == 0
    assert 'python tools/check_posetrack.py data/posetrack18' in capsys.readouterr().out


def test_real_data(real_data):
    train, val = check_root(str(real_data / 'posetrack_clip'), read_images=True)
    assert (train.videos, train.frames, train.labeled_frames) == (1, 41, 30)
    assert (train.persons, train.usable_persons) == (120, 120)
    assert (val.labeled_frames, val.persons, val.usable_persons) == (11, 44, 44)
    assert train.errors == val.errors == train.dropped == val.dropped == []
    reports = check_root(str(real_data / 'posetrack18_mini'))
    assert missing_splits(reports) == ['train']
    assert {r.layout for r in reports} == {'official', 'MMPose'}
    for report in reports:
        assert list(report.detections.values()) == ['278 boxes in 3 of 3 labeled frames']


def test_every_image_of_the_folders_is_read(root):
    """Also those that the labels do not list, as clips show them."""
    file = root / 'annotations' / 'train' / '000001_a.json'
    edit(file, lambda content: content['images'].pop(1))  # nobody is in it
    image = root / 'images' / 'train' / '000001_a' / '000001.jpg'
    image.write_bytes(image.read_bytes()[:-40])
    assert check_root(str(root))[0].errors == []
    (error,) = check_root(str(root), read_images=True)[0].errors
    assert error == f'{image} (video 000001_a): image is truncated or broken'


def test_persons_of_frames_that_are_not_marked_as_labeled(root):
    file = root / 'annotations' / 'train' / '000001_a.json'
    edit(file, lambda content: content['images'][0].update(is_labeled=False))
    report = check_root(str(root))[0]
    assert (report.persons, report.usable_persons, report.labeled_frames) == (3, 1, 1)
    assert report.dropped == ['2 persons of frames that are not marked as labeled']


def test_videos_that_share_a_folder(root):
    write_coco_video(root, 'train', '000003_c', [[person(0)]])

    def move(content):
        for image in content['images']:
            image['file_name'] = image['file_name'].replace('000003_c', '000001_a')

    edit(root / 'annotations' / 'train' / '000003_c.json', move)
    (note,) = check_root(str(root))[0].notes
    assert '000001_a: holds the frames of 2 videos (000001_a, 000003_c), expected a folder' in note
