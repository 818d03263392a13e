"""The three detection formats, and what happens to detections that can't be used."""

from __future__ import annotations

import json

import numpy as np
import pytest
from posetrack_samples import person, save_json, write_annolist_video, write_coco_video

from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.detections import read_detections


@pytest.fixture
def videos(tmp_path):
    for name in ('000001_a', '000002_b'):
        write_coco_video(tmp_path, 'val', name, [[person()], [person()], []], images=False)
    return read_videos(tmp_path / 'annotations/val')


def ids_of(videos):
    return [[frame.image_id for frame in video.frames] for video in videos]


def coco(image_id, bbox=(10, 20, 30, 40), score=0.5, category_id=1, **more):
    return dict(image_id=image_id, bbox=list(bbox), score=score, category_id=category_id, **more)


def read(tmp_path, content, videos, **kwargs):
    save_json(tmp_path / 'boxes.json', content)
    return read_detections(str(tmp_path / 'boxes.json'), videos, **kwargs)


def test_coco_list(tmp_path, videos):
    (a0, a1, _), (b0, _, _) = ids_of(videos)
    content = [coco(b0, (1, 2, 3, 4), 0.9), coco(a1, (5, 6, 7, 8), 0.1), coco(b0, (9, 9, 1, 2), 1)]
    got = read(tmp_path, content, videos)
    assert set(got) == {a1, b0}
    np.testing.assert_array_equal(got[b0][0], [[1, 2, 4, 6], [9, 9, 10, 11]])
    np.testing.assert_array_equal(got[b0][1], [0.9, 1])
    np.testing.assert_array_equal(got[a1][0], [[5, 6, 12, 14]])
    assert got[b0][0].dtype == got[b0][1].dtype == np.float64


def test_image_ids_as_pandas_writes_them(tmp_path, videos):
    (a0, _, _), (b0, _, _) = ids_of(videos)
    assert a0 > 2**33
    content = [coco(float(b0), category_id=1.0), coco(float(a0)), coco(a0 + 0.5)]
    problems = []
    assert set(read(tmp_path, content, videos, problems=problems)) == {a0, b0}
    assert len(problems) == 1 and '1 detections dropped: its image is not in' in problems[0]


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32'])
def test_encodings(tmp_path, videos, encoding):
    content = [coco(ids_of(videos)[0][0], image_name='images/val/000001_a/000001.jpg')]
    (tmp_path / 'boxes.json').write_text(json.dumps(content), encoding=encoding)
    got = read_detections(str(tmp_path / 'boxes.json'), videos)
    assert set(got) == {ids_of(videos)[0][1]}


def test_image_names_decide_over_image_ids(tmp_path, videos):
    (a0, _, _), (b0, b1, _) = ids_of(videos)
    # Other roots before video and file don't matter; the ids are those of another reader.
    content = [
        coco(77, image_name='images_renamed/val/000002_b/000001.jpg', nframes=3, frame_id=2),
        coco(b0, image_name='000001_a\\000000.jpg'),
    ]
    assert set(read(tmp_path, content, videos)) == {b1, a0}


def test_image_names_find_posetrack17_frames(tmp_path):
    write_annolist_video(tmp_path, 'val', '000342_mpii', [[person()], [person()]])
    videos = read_videos(tmp_path / 'annotations/val')
    content = [coco(1, image_name='bonn_5sec/000342_mpii/00000002.jpg')]
    assert set(read(tmp_path, content, videos)) == {videos[0].frames[1].image_id}


def test_ids_of_other_labels_without_ids_are_refused(tmp_path):
    """Those of a whole split, read with a part of it: that they are of other images shows here."""
    for name in ('000001_bonn', '000002_bonn'):
        write_annolist_video(tmp_path, 'val', name, [[person()], [person()]])
    write_annolist_video(tmp_path, 'part', '000002_bonn', [[person()], [person()]])
    whole, part = (read_videos(tmp_path / f'annotations/{split}') for split in ('val', 'part'))
    content = [coco(frame.image_id) for video in whole for frame in video.frames]
    assert set(read(tmp_path, content, whole)) == {i for ids in ids_of(whole) for i in ids}
    for problems in (None, []):
        with pytest.raises(ValueError, match='detection 2, image_id 2000000 .* have image_name'):
            read(tmp_path, content, part, problems=problems)
    problems = []
    without_id = dict(coco(0))
    del without_id['image_id']
    assert len(read(tmp_path, [*content, without_id], whole, problems=problems)) == 4
    assert '1 detections dropped: its image is not in the label file' in problems[0]
    named = [coco(1, image_name='bonn/000002_bonn/00000001.jpg')]
    assert set(read(tmp_path, named, part)) == {part[0].frames[0].image_id}


def test_a_name_that_two_frames_share_matches_neither(tmp_path):
    for split, name in (('x', 'v'), ('y', 'v')):
        write_coco_video(tmp_path / split, split, name, [[person()]], images=False)
    videos = read_videos(tmp_path / 'x/annotations/x') + read_videos(tmp_path / 'y/annotations/y')
    videos[1].frames[0].image_id += 1
    content = [coco(0, image_name='images/v/000000.jpg')]
    with pytest.raises(ValueError, match='its image is not in the label file'):
        read(tmp_path, content, videos)


@pytest.mark.parametrize('nested', [False, True])
@pytest.mark.parametrize('suffix', ['', '.json'])
def test_dict_by_video(tmp_path, videos, nested, suffix):
    (_, a1, a2), (b0, _, _) = ids_of(videos)
    frames = {'2': [[1, 2, 3, 4, 0.5], [2, 3, 4, 5, 0.25]], '3': [[0, 0, 9, 9, 1]], '1': []}
    if nested:  # one list a class around the rows
        frames = {number: [rows] for number, rows in frames.items()}
    content = {f'000001_a{suffix}': frames, f'000002_b{suffix}': {'1': [[5, 5, 6, 6, 0.75]]}}
    got = read(tmp_path, content, videos)
    assert set(got) == {a1, a2, b0}
    np.testing.assert_array_equal(got[a1][0], [[1, 2, 3, 4], [2, 3, 4, 5]])
    np.testing.assert_array_equal(got[a1][1], [0.5, 0.25])


def test_dict_by_folders_written_on_windows(tmp_path):
    write_coco_video(tmp_path, 'val', 'one', [[person()]], images=False)
    path = tmp_path / 'annotations/val/one.json'
    content = json.loads(path.read_text())
    content['images'][0]['file_name'] = r'images\val\000342_mpii\000000.jpg'
    path.write_text(json.dumps(content))
    videos = read_videos(tmp_path / 'annotations/val')
    got = read(tmp_path, {'000342_mpii': {'1': [[1, 2, 3, 4, 0.5]]}}, videos)
    assert set(got) == {videos[0].frames[0].image_id}


def test_dict_frames_count_the_label_file_not_the_file_names(tmp_path):
    write_coco_video(tmp_path, 'val', 'v', [[person()]] * 3, first_number=7, images=False)
    videos = read_videos(tmp_path / 'annotations/val')
    got = read(tmp_path, {'v': {'1': [[1, 2, 3, 4, 0.5]]}}, videos)
    assert set(got) == {videos[0].frames[0].image_id}
    assert videos[0].frames[0].number == 7


BAD_RECORDS = {
    'not a dict': 3,
    r'category_id is not 1 \(person\)': coco(None, category_id=2),
    'its image is not in the label file': coco(123),
    'its image is not in the label file ': coco([1]),
    'bbox .* missing or not finite': coco(None, bbox=(1, 2, 3)),
    'bbox .* missing or not finite ': coco(None, bbox=(1, 2, 3, float('nan'))),
    'bbox .* missing or not finite  ': coco(None, bbox=(1, 2, 3, 10**400)),
    'score .* missing or not finite': coco(None, score=None),
    'score .* missing or not finite ': coco(None, score=True),
    'box of zero or negative size': coco(None, bbox=(1, 2, 0, 3)),
    'box of zero or negative size ': coco(None, bbox=(1, 2, 3, -1)),
}


@pytest.mark.parametrize('message', BAD_RECORDS)
def test_bad_records_raise_or_are_counted(tmp_path, videos, message):
    good_id = ids_of(videos)[0][0]
    bad = BAD_RECORDS[message]
    if isinstance(bad, dict) and bad['image_id'] is None:
        bad = dict(bad, image_id=good_id)
    content = [coco(good_id), bad, bad]
    with pytest.raises(ValueError, match=rf'boxes\.json: detection 1.*{message.strip()}'):
        read(tmp_path, content, videos)
    problems = []
    got = read(tmp_path, content, videos, problems=problems)
    assert {image_id: len(scores) for image_id, (_, scores) in got.items()} == {good_id: 1}
    assert len(problems) == 1
    assert '2 detections dropped' in problems[0] and 'first: detection 1' in problems[0]


@pytest.mark.parametrize(
    'content, message',
    [
        ({'000009_x': {'1': [[1, 2, 3, 4, 1]]}}, 'video 000009_x, frame 1: its image is not in'),
        ({'000001_a': {'4': [[1, 2, 3, 4, 1]]}}, 'frame 4: its image is not in the label file'),
        ({'000001_a': {'0': [[1, 2, 3, 4, 1]]}}, 'frame 0: its image is not in the label file'),
        ({'000001_a': {'x': [[1, 2, 3, 4, 1]]}}, 'frame x: its image is not in the label file'),
        ({'000001_a': [1]}, 'video 000001_a: not a dict by frame'),
        ({'000001_a': {'1': [[1, 2, 3, 4]]}}, 'not five finite numbers'),
        ({'000001_a': {'1': [[3, 2, 1, 4, 1]]}}, 'box of zero or negative size'),
        ('text', 'expected a list of detections or a dict by video, found str'),
    ],
)
def test_bad_dicts_raise(tmp_path, videos, content, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content, videos)


def test_nothing_usable_raises_also_when_problems_are_collected(tmp_path, videos):
    with pytest.raises(ValueError, match='no detection can be used; 2 of 2: its image is not in'):
        read(tmp_path, [coco(1), coco(2)], videos, problems=[])


@pytest.mark.parametrize('content', [b'', b'[{"image_id": 1', b'\xff\xfe\x00'])
def test_unreadable_files_raise_with_their_name(tmp_path, videos, content):
    (tmp_path / 'boxes.json').write_bytes(content)
    with pytest.raises(ValueError, match=r'boxes\.json: (not valid JSON|is empty)'):
        read_detections(str(tmp_path / 'boxes.json'), videos, problems=[])


def test_real_detections_equal_the_plain_list(real_data):
    folder = real_data / 'posetrack18_mini/annotations'
    path = folder / 'test_posetrack18_human_detections.json'
    got = read_detections(str(path), read_videos(folder / 'test_posetrack18_val.json'))
    records = json.loads(path.read_text())
    assert sum(len(scores) for _, scores in got.values()) == len(records) == 278
    seen = {image_id: 0 for image_id in got}
    for record in records:
        boxes, scores = got[record['image_id']]
        place = seen[record['image_id']]
        x, y, w, h = record['bbox']
        assert boxes[place].tolist() == [x, y, x + w, y + h]
        assert scores[place] == record['score']
        seen[record['image_id']] += 1


def test_names_of_videos_in_the_dict_are_whole(tmp_path):
    """A dot is a part of them; only endings of label files are not."""
    for name in ('cam', 'cam.1'):
        write_coco_video(tmp_path, 'val', name, [[person()]], images=False)
    (cam,), (dotted,) = ids_of(videos := read_videos(tmp_path / 'annotations/val'))
    row = [[1, 2, 3, 4, 0.5]]
    assert {*read(tmp_path, {'cam.1': {'1': row}}, videos)} == {dotted}
    assert {*read(tmp_path, {'cam.json': {'1': row}}, videos)} == {cam}
    assert {*read(tmp_path, {'cam.1.json': {'1': row}}, videos)} == {dotted}
    problems = []
    found = read(tmp_path, {'cam.2': {'1': row}, 'cam': {'1': row}}, videos, problems=problems)
    assert {*found} == {cam} and 'video cam.2, frame 1' in problems[0]


def test_a_folder_name_of_two_videos_is_of_neither(tmp_path):
    for name, folder in (('one', 'bonn'), ('two', 'mpii')):
        write_coco_video(tmp_path, 'val', name, [[person()]], images=False)
        file = tmp_path / 'annotations' / 'val' / f'{name}.json'
        content = json.loads(file.read_text())
        content['images'][0]['file_name'] = f'images/{folder}/0042/000000.jpg'
        save_json(file, content)
    videos = read_videos(tmp_path / 'annotations/val')
    rows = {'0042': {'1': [[1, 2, 3, 4, 0.5]]}}
    with pytest.raises(ValueError, match='video 0042, frame 1: its image is not in the label'):
        read(tmp_path, rows, videos)
