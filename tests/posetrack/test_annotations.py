"""Readers of PoseTrack label and prediction files."""

from __future__ import annotations

import copy
import json
from dataclasses import fields

import numpy as np
import pytest
from label_files import ORDER_15, ORDER_17, POINT_IDS, annolist, coco, merged, person, write
from scipy.io import savemat

from cmpose_mm.posetrack.annotations import (
    AnnotationError,
    Frame,
    frames_by_id,
    read_videos,
)
from cmpose_mm.posetrack.joints import JOINT_GROUPS, JOINT_NAMES, POSETRACK17_POINT_IDS
from cmpose_mm.posetrack.predictions import write_predictions

SQUARE = [(0, 0), (100.5, 0), (100.5, 50), (0, 50)]


def sample(name: str = '000001_test', first_id: int = 100) -> dict:
    """Two frames with persons and one without; 2.5 of everything that can differ."""
    joints = {joint: (10 * i + 0.5, 5 * i) for i, joint in enumerate(ORDER_15)}
    occluded = {'nose': (3, 4, 0), 'left_wrist': (0, 7, 1)}
    frames = [
        [person(joints, track_id=3, scores={'nose': 0.25}), person(occluded, head=(5, 6, 7.5, 8))],
        [],
        [person({}, head=None, track_id=4)],
    ]
    return coco(frames, name, first_id, {0: [SQUARE, [(1, 1)]]})


def assert_same(a: Frame, b: Frame, but: tuple = ()) -> None:
    for field in fields(Frame):
        if field.name in but:
            continue
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name == 'ignore_regions':
            assert len(left) == len(right)
            for x, y in zip(left, right):
                np.testing.assert_array_equal(x, y)
        else:
            np.testing.assert_array_equal(left, right, err_msg=field.name)


def test_names_and_ids_of_joints() -> None:
    assert list(JOINT_NAMES) == ORDER_15
    assert [POSETRACK17_POINT_IDS[i] for i in range(15)] == POINT_IDS
    assert sorted(joint for group in JOINT_GROUPS.values() for joint in group) == sorted(ORDER_15)


def test_posetrack18_file(tmp_path) -> None:
    data = sample()
    data['images'][0].update(width=640, height=480)
    data['annotations'][0]['bbox'] = [1, 2, 3, 4]
    path = write(tmp_path / 'a.json', data)
    (video,) = read_videos(path)
    assert (video.name, video.source, video.has_image_ids) == ('000001_test', str(path), True)
    first, second, third = video.frames
    assert [f.image_id for f in video.frames] == [100, 101, 102]
    assert [f.number for f in video.frames] == [0, 1, 2]
    assert [f.is_labeled for f in video.frames] == [True, False, True]
    assert (first.file_name, first.width, first.height) == (
        'images/val/000001_test/000000.jpg',
        640,
        480,
    )
    assert first.keypoints.shape == (2, 15, 3) and first.keypoints.dtype == np.float64
    for place, joint in enumerate(JOINT_NAMES):
        expected = [10 * place + 0.5, 5 * place, 1]
        np.testing.assert_array_equal(first.keypoints[0, place], expected, err_msg=joint)
    assert first.keypoints[1, 0].tolist() == [3, 4, 0]
    assert first.scores[0, 0] == 0.25 and (first.scores[1] == -9999).all()
    np.testing.assert_array_equal(first.head_boxes, [[0, 0, 30, 40], [5, 6, 7.5, 8]])
    np.testing.assert_array_equal(first.boxes, [[1, 2, 3, 4], [np.nan] * 4])
    assert first.track_ids.tolist() == [3, -1] and first.ids.tolist() == [10000, 10001]
    np.testing.assert_array_equal(first.ignore_regions[0], SQUARE)
    assert first.ignore_regions[1].shape == (1, 2)
    assert second.keypoints.shape == (0, 15, 3) and second.ids.dtype == np.int64
    assert third.keypoints.any() == np.False_ and np.isnan(third.head_boxes).all()
    assert (second.width, second.height) == (None, None)


def test_folder_and_merged_file_are_the_same(tmp_path) -> None:
    files = {'000002_b': sample('000002_b', 200), '000001_a': sample('000001_a', 100)}
    for name, data in files.items():
        write(tmp_path / 'val' / f'{name}.json', data)
    (tmp_path / 'val' / 'notes.txt').write_text('not a label file')
    write(tmp_path / 'val.json', merged(*files.values()))
    apart, together = read_videos(tmp_path / 'val'), read_videos(tmp_path / 'val.json')
    assert [v.name for v in apart] == [v.name for v in together] == ['000001_a', '000002_b']
    for left, right in zip(apart, together):
        for a, b in zip(left.frames, right.frames):
            assert_same(a, b)


def test_keypoints_are_mapped_by_name(tmp_path) -> None:
    data = sample()
    order = list(reversed(ORDER_17))
    order[order.index('head_bottom')] = 'neck'  # as some releases call it
    data['categories'][0]['keypoints'] = order
    for annotation in data['annotations']:
        triplets = np.reshape(annotation['keypoints'], (17, 3))[::-1]
        annotation['keypoints'] = triplets.ravel().tolist()
        if 'scores' in annotation:
            annotation['scores'] = annotation['scores'][::-1]
    write(tmp_path / 'a.json', data)
    write(tmp_path / 'b.json', sample())
    for a, b in zip(*(read_videos(tmp_path / f)[0].frames for f in ('a.json', 'b.json'))):
        assert_same(a, b)


def test_fifteen_keypoints(tmp_path) -> None:
    data = sample()
    places = [ORDER_17.index(name) for name in ORDER_15]
    data['categories'][0]['keypoints'] = ORDER_15
    for annotation in data['annotations']:
        annotation['keypoints'] = (
            np.reshape(annotation['keypoints'], (17, 3))[places].ravel().tolist()
        )
        if 'scores' in annotation:
            annotation['scores'] = [annotation['scores'][place] for place in places]
    write(tmp_path / 'a.json', data)
    write(tmp_path / 'b.json', sample())
    for a, b in zip(*(read_videos(tmp_path / f)[0].frames for f in ('a.json', 'b.json'))):
        assert_same(a, b)


@pytest.mark.parametrize('value', ['false', [0], 0.5])
def test_is_labeled_that_is_no_yes_or_no(tmp_path, value) -> None:
    data = sample()
    data['images'][0]['is_labeled'] = value
    write(tmp_path / 'a.json', data)
    with pytest.raises(
        AnnotationError, match=r'images\[0\] .*"is_labeled" is .*, expected true or f'
    ):
        read_videos(tmp_path / 'a.json')


@pytest.mark.parametrize('value, meant', [(['0'], False), ('1', True), ([0], False), (2, True)])
def test_posetrack17_is_labeled(tmp_path, value, meant) -> None:
    data = annolist(sample())
    data['annolist'][0]['is_labeled'] = value
    write(tmp_path / 'a.json', data)
    assert read_videos(tmp_path / 'a.json')[0].frames[0].is_labeled is meant
    data['annolist'][0]['is_labeled'] = ['false']
    write(tmp_path / 'a.json', data)
    with pytest.raises(AnnotationError, match='"is_labeled" is \'false\', expected true or false'):
        read_videos(tmp_path / 'a.json')


@pytest.mark.parametrize('form', [copy.deepcopy, annolist])
def test_marks_of_pseudo_labels_that_are_no_yes_or_no(tmp_path, form) -> None:
    data = form(sample())
    persons = data['annotations'] if 'annotations' in data else data['annolist'][0]['annorect']
    persons[0]['pseudo'] = 'false'
    write(tmp_path / 'a.json', data)
    with pytest.raises(AnnotationError, match='"pseudo" is \'false\', expected true or false'):
        read_videos(tmp_path / 'a.json')
    persons[0]['pseudo'] = 1
    write(tmp_path / 'a.json', data)
    assert read_videos(tmp_path / 'a.json')[0].num_pseudo == 1


def test_an_empty_head_box_hides_no_other(tmp_path) -> None:
    data = sample()
    for annotation in data['annotations']:
        if 'bbox_head' in annotation:
            annotation['head_box'], annotation['bbox_head'] = annotation['bbox_head'], []
    write(tmp_path / 'a.json', data)
    write(tmp_path / 'b.json', sample())
    for a, b in zip(*(read_videos(tmp_path / f)[0].frames for f in ('a.json', 'b.json'))):
        assert_same(a, b)


def test_a_link_to_nothing_is_no_video_less(tmp_path) -> None:
    """As git-annex leaves files that it did not fetch."""
    write(tmp_path / 'labels' / 'a.json', sample())
    (tmp_path / 'labels' / 'b.json').symlink_to('gone.json')
    with pytest.raises(AnnotationError, match='b.json: is a link to nothing, expected a file of'):
        read_videos(tmp_path / 'labels')


def test_merged_supplement_with_head_box_and_one_based_frame_ids(tmp_path) -> None:
    data = sample()
    for number, image in enumerate(data['images']):
        image.update(frame_id=number + 1, nframes=3, vid_id='000001')
        del image['is_labeled']
    for annotation in data['annotations']:
        if 'bbox_head' in annotation:
            annotation['head_box'] = annotation.pop('bbox_head')
    write(tmp_path / 'a.json', data)
    write(tmp_path / 'b.json', sample())
    for a, b in zip(*(read_videos(tmp_path / f)[0].frames for f in ('a.json', 'b.json'))):
        assert_same(a, b)


def test_posetrack21_fields(tmp_path) -> None:
    data = sample()
    for image in data['images']:
        image.setdefault('ignore_regions_x', [])
        image.setdefault('ignore_regions_y', [])
        image['has_labeled_person'] = True
    data['images'][1]['is_labeled'] = True  # although it lists nobody
    for annotation in data['annotations']:
        annotation['person_id'] = 7
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert [f.is_labeled for f in video.frames] == [True, True, True]


@pytest.mark.parametrize(
    ('file_name', 'frame_id', 'number'),
    [
        ('images/val/a/000007.jpg', 10000010007, 7),
        ('images/a/0012_crop.jpg', None, 12),
        ('images/000342_mpii/00000001.jpg', None, 1),
        ('images/a/first.jpg', 0, 0),
        ('images/a/first.jpg', 5, 5),
        ('images/a/first.jpg', None, 0),
        ('images/a/0012_crop.jpg', 3, 12),
    ],
)
def test_number_of_a_single_frame(tmp_path, file_name, frame_id, number) -> None:
    data = sample()
    data['images'][2]['file_name'] = file_name
    if frame_id is not None:
        data['images'][2]['frame_id'] = frame_id
    videos = read_videos(write(tmp_path / 'a.json', data))
    assert number in [f.number for v in videos for f in v.frames if f.image_id == 102]


@pytest.mark.parametrize(
    ('names', 'frame_ids', 'numbers'),
    [
        # what the names count, wherever it stands in them
        (['000004', '000007', '000011'], [0, 1, 2], [4, 7, 11]),
        (['frame_04_cam2', 'frame_07_cam2', 'frame_11_cam2'], [8, 9, 10], [4, 7, 11]),
        (['t1', 't2_crop5', 't10'], None, [1, 2, 10]),
        # else frame_id, if all differ
        (['left', 'middle', 'right'], [4, 7, 11], [4, 7, 11]),
        (['12-59-59.9', '13-00-00.1', '13-00-00.5'], [4, 7, 11], [4, 7, 11]),
        (['f1_cam1', 'f1_cam2', 'f2_cam1'], [4.0, 7.0, 11.0], [4, 7, 11]),
        # else the position
        (['left', 'middle', 'right'], [4, 4, 11], [0, 1, 2]),
        (['left', 'middle', 'right'], [4, None, 11], [0, 1, 2]),
        (['a' + '9' * 20, 'b', 'c'], None, [0, 1, 2]),
    ],
)
def test_numbers_of_frames(tmp_path, names, frame_ids, numbers) -> None:
    data = sample()
    for index, (image, name) in enumerate(zip(data['images'], names)):
        image['file_name'] = f'images/val/v/{name}.jpg'
        if frame_ids is not None:
            image['frame_id'] = frame_ids[index]
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert [f.number for f in video.frames] == numbers
    assert [f.image_id for f in video.frames] == [100, 101, 102]


def test_frames_come_in_temporal_order(tmp_path) -> None:
    """Whatever their order in the file: trackers and detections count them."""
    names = [f'{n}.jpg' for n in range(1, 13)]
    data = coco([[person({'nose': (n, 5)})] for n in range(1, 13)], 'v')
    for image, name in zip(data['images'], names):
        image['file_name'] = f'images/val/v/{name}'
    shuffled = copy.deepcopy(data)
    shuffled['images'].sort(key=lambda image: image['file_name'])  # 1, 10, 11, 12, 2 ...
    assert shuffled['images'] != data['images']
    write(tmp_path / 'sorted.json', data)
    write(tmp_path / 'shuffled.json', shuffled)
    (a,), (b,) = read_videos(tmp_path / 'sorted.json'), read_videos(tmp_path / 'shuffled.json')
    assert [f.number for f in b.frames] == list(range(1, 13))
    assert [f.keypoints[0, 0, 0] for f in b.frames] == list(range(1, 13))
    for left, right in zip(a.frames, b.frames):
        assert_same(left, right)


def test_videos_of_one_name_in_two_sources_keep_apart(tmp_path) -> None:
    files = [sample(first_id=100), sample(first_id=200), sample('other', 300)]
    for image in files[1]['images']:
        image['file_name'] = image['file_name'].replace('images/val', 'images\\bonn_5sec')
    videos = read_videos(write(tmp_path / 'a.json', merged(*files)))
    names = ['images/bonn_5sec/000001_test', 'images/val/000001_test', 'other']
    assert [v.name for v in videos] == names


def test_images_without_folder_are_named_by_vid_id_or_file(tmp_path) -> None:
    data = sample()
    for image in data['images']:
        image['file_name'] = image['file_name'].rpartition('/')[2]
    assert read_videos(write(tmp_path / 'clip.json', data))[0].name == 'clip'
    for image in data['images']:
        image['vid_id'] = '000342'
    assert read_videos(write(tmp_path / 'clip.json', data))[0].name == '000342'


# ---------------------------------------------------------------------------- PoseTrack17


def mat_structs(data: dict) -> dict:
    """The annolist as MATLAB struct arrays all the way down."""
    return {'annolist': struct_array(data['annolist'])}


def struct_array(items: list):
    """A 1 x n struct array; fields that an item lacks are empty, as MATLAB has it."""
    names = sorted({name for item in items for name in item})
    array = np.zeros((1, len(items)), dtype=[(name, object) for name in names])
    for index, item in enumerate(items):
        for name in names:
            value = item.get(name, np.zeros((0, 0)))
            if isinstance(value, list) and value and isinstance(value[0], dict):
                value = struct_array(value)
            array[0, index][name] = value
    return array


def mat_cells(data: dict) -> dict:
    """The annolist as cell arrays of structs, which savemat makes of lists of dicts."""
    return {'annolist': data['annolist']}


@pytest.mark.parametrize('form', ['json', mat_structs, mat_cells])
def test_posetrack17_equals_posetrack18(tmp_path, form) -> None:
    data = sample()
    write(tmp_path / '18' / '000001_test.json', data)
    if form == 'json':
        write(tmp_path / '17' / '000001_test.json', annolist(data))
    else:
        (tmp_path / '17').mkdir()
        savemat(tmp_path / '17' / '000001_test.mat', form(annolist(data)))
    (a,), (b,) = read_videos(tmp_path / '17'), read_videos(tmp_path / '18')
    assert a.name == b.name and not a.has_image_ids
    assert [f.image_id for f in a.frames] == [1_000_000, 1_000_001, 1_000_002]
    assert [f.number for f in a.frames] == [1, 2, 3]  # imgnum is 1-based
    for left, right in zip(a.frames, b.frames):
        assert_same(left, right, but=('image_id', 'number', 'ids', 'scores'))
        assert (left.ids == -1).all()
    # a point that is not listed has no score
    assert a.frames[0].scores[0, 0] == 0.25


def test_posetrack17_plain_values_and_leftovers(tmp_path) -> None:
    """Bare numbers in place of lists of one, empty points, no marks, head boxes alone."""
    point = {'id': 13, 'x': 5, 'y': 6.5}
    data = {
        'annolist': [
            {'image': {'name': 'v/1.jpg'}, 'annorect': [{'annopoints': {'point': point}}]},
            {'image': [{'name': 'v/2.jpg'}], 'annorect': []},
            {
                'image': [{'name': 'v/3.jpg'}],
                'annorect': [
                    {'annopoints': [], 'x1': [1], 'y1': [2], 'x2': [4], 'y2': [6]},
                    {'annopoints': [{}], 'track_id': [20000]},
                    {'annopoints': [{'point': [{**point, 'is_visible': '0'}]}]},
                    {},
                ],
            },
        ]
    }
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    first, second, third = video.frames
    assert video.name == 'v'
    assert first.keypoints[0, 0].tolist() == [5, 6.5, 1]
    assert (first.is_labeled, second.is_labeled, third.is_labeled) == (True, False, True)
    assert [f.number for f in video.frames] == [1, 2, 3]
    assert len(third.keypoints) == 4
    assert third.head_boxes[0].tolist() == [1, 2, 3, 4]
    assert third.track_ids.tolist() == [-1, 20000, -1, -1]
    assert third.keypoints[2, 0].tolist() == [5, 6.5, 0]


def test_posetrack17_ids_follow_from_the_path_alone(tmp_path) -> None:
    for name in ('b', 'a', 'c'):
        write(tmp_path / f'{name}.json', annolist(sample(name)))
    ids = [[f.image_id for f in v.frames] for v in read_videos(tmp_path)]
    assert ids == [[1_000_000 * k + i for i in range(3)] for k in (1, 2, 3)]
    assert ids == [[f.image_id for f in v.frames] for v in read_videos(tmp_path)]


@pytest.mark.parametrize('imgnum', ['of the frame', 'of the entry', 'always 1', 'none'])
def test_posetrack17_frames_come_in_temporal_order(tmp_path, imgnum) -> None:
    data = annolist(coco([[person({'nose': (n, 5)})] for n in range(1, 13)], 'v'))
    for number, entry in enumerate(data['annolist'], 1):
        entry['image'] = [{'name': f'images/v/{number}.jpg'}]
        entry['imgnum'] = [number]
    data['annolist'].sort(key=lambda entry: entry['image'][0]['name'])  # 1, 10, 11, 12, 2 ...
    for index, entry in enumerate(data['annolist'], 1):
        entry['imgnum'] = {
            'of the frame': entry['imgnum'],
            'of the entry': [index],
            'always 1': [1],
            'none': [],
        }[imgnum]
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert [f.number for f in video.frames] == list(range(1, 13))
    assert [f.keypoints[0, 0, 0] for f in video.frames] == list(range(1, 13))
    assert [f.image_id for f in video.frames] == list(range(1_000_000, 1_000_012))


def test_posetrack17_numbers_without_help_from_names(tmp_path) -> None:
    data = annolist(sample())
    for entry, name, number in zip(data['annolist'], 'xyz', (30, 10, 20)):
        entry['image'], entry['imgnum'] = [{'name': f'v/{name}.jpg'}], [number]
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert [(f.number, f.file_name) for f in video.frames] == [
        (10, 'v/y.jpg'),
        (20, 'v/z.jpg'),
        (30, 'v/x.jpg'),
    ]
    for entry in data['annolist']:
        del entry['imgnum']
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert [f.number for f in video.frames] == [1, 2, 3]


def test_one_annolist_file_of_several_videos(tmp_path) -> None:
    entries = [annolist(sample(name))['annolist'] for name in ('b', 'a')]
    path = write(tmp_path / 'all.json', {'annolist': entries[0] + entries[1]})
    assert [(v.name, len(v.frames)) for v in read_videos(path)] == [('a', 3), ('b', 3)]


# ------------------------------------------------------------------------ kinds of files


@pytest.mark.parametrize(
    'encoding', ['utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32', 'utf-32-be']
)
@pytest.mark.parametrize('form', [dict, annolist])
def test_encodings(tmp_path, encoding, form) -> None:
    data = form(sample())
    text = json.dumps(data).replace('000001_test', '000001_tést')
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    (tmp_path / 'a/v.json').write_text(text, encoding='utf-8')
    (tmp_path / 'b/v.json').write_text(text, encoding=encoding)
    (a,), (b,) = read_videos(tmp_path / 'a'), read_videos(tmp_path / 'b')
    assert len(a.frames) == len(b.frames) == 3
    for left, right in zip(a.frames, b.frames):
        assert '_tést' in left.file_name
        assert_same(left, right)


def test_hidden_files_are_no_labels(tmp_path) -> None:
    """A Mac's archives have a ._NAME beside each NAME."""
    write(tmp_path / 'a.json', sample('a', 100))
    savemat(tmp_path / 'b.mat', annolist(sample('b')))
    for name in ('._a.json', '._b.mat', '.c.json'):
        (tmp_path / name).write_bytes(bytes([0, 5, 22, 7]) + b'Mac OS X')
    assert [v.name for v in read_videos(tmp_path)] == ['a', 'b']
    (tmp_path / 'a.json').unlink()
    (tmp_path / 'b.mat').unlink()
    with pytest.raises(AnnotationError, match='no .json or .mat file'):
        read_videos(tmp_path)


def test_suffixes_in_capitals(tmp_path) -> None:
    write(tmp_path / 'A.JSON', sample('a', 100))
    savemat(tmp_path / 'B.MAT', annolist(sample('b')), appendmat=False)
    assert [v.name for v in read_videos(tmp_path)] == ['A', 'B']


def test_a_polygon_that_is_in_no_list_of_polygons(tmp_path) -> None:
    data = sample()
    image = data['images'][0]
    image['ignore_regions_x'], image['ignore_regions_y'] = [0, 50.5, 50.5], [0, 0, 50]
    pointwise = annolist(sample())
    region = [{'x': [0], 'y': [0]}, {'x': [50.5], 'y': [0]}, {'x': [50.5], 'y': [50]}]
    pointwise['annolist'][0]['ignore_regions'] = region
    single = annolist(sample())
    single['annolist'][0]['ignore_regions'] = {'point': region}
    for content in (data, pointwise, single):
        (video,) = read_videos(write(tmp_path / 'a.json', content))
        (polygon,) = video.frames[0].ignore_regions
        np.testing.assert_array_equal(polygon, [(0, 0), (50.5, 0), (50.5, 50)])


@pytest.mark.parametrize(
    'ids', [[0, 0, 0], [0, 1, 0], [5, 5, -1], ['a', 'b', None], [0.5, [1], True]]
)
def test_annotation_ids_are_of_no_account(tmp_path, ids) -> None:
    """Writers number the persons of each frame, or of each file, or by text."""
    data = sample()
    for annotation, value in zip(data['annotations'], ids):
        annotation['id'] = value
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert [len(f.keypoints) for f in video.frames] == [2, 0, 1]
    found = np.concatenate([f.ids for f in video.frames]).tolist()
    assert found == [value if type(value) is int else -1 for value in ids]


def test_a_file_without_annotations(tmp_path) -> None:
    """As test videos come; of other videos it would be a silent loss."""
    data = sample()
    del data['annotations']
    for image in data['images']:
        image.pop('is_labeled')
    path = write(tmp_path / 'a.json', data)
    with pytest.raises(AnnotationError, match='"annotations" to be a list, found no such field'):
        read_videos(path)
    (video,) = read_videos(path, allow_unlabeled=True)
    assert [f.image_id for f in video.frames] == [100, 101, 102]
    assert [len(f.keypoints) for f in video.frames] == [0, 0, 0]
    assert [f.is_labeled for f in video.frames] == [False] * 3
    assert len(video.frames[0].ignore_regions) == 2
    del data['categories']
    assert len(read_videos(write(path, data), allow_unlabeled=True)[0].frames) == 3
    for wrong in (None, {}, 3):
        data['annotations'] = wrong
        with pytest.raises(AnnotationError, match='"annotations" to be a list, found'):
            read_videos(write(path, data), allow_unlabeled=True)


# ----------------------------------------------------------------- lenient mode, look-up


def test_lenient_mode_drops_and_tells(tmp_path) -> None:
    data = sample()
    data['annotations'][0]['keypoints'] = [1, 2, 3]
    bad = copy.deepcopy(data['annotations'][1])
    bad['image_id'] = 999
    bad['id'] = 5
    data['annotations'].append(bad)
    path = write(tmp_path / 'a.json', data)
    problems: list[str] = []
    (video,) = read_videos(path, problems=problems)
    assert [len(f.keypoints) for f in video.frames] == [1, 0, 1]
    assert video.frames[0].ids.tolist() == [10001]
    assert len(problems) == 2
    with pytest.raises(AnnotationError) as error:
        read_videos(path)
    assert error.value.problems == problems
    assert str(error.value) == '\n'.join(problems)


def test_lenient_mode_drops_persons_of_annolists(tmp_path) -> None:
    data = annolist(sample())
    data['annolist'][0]['annorect'][0]['annopoints'][0]['point'][0]['id'] = [15]
    problems: list[str] = []
    (video,) = read_videos(write(tmp_path / 'a.json', data), problems=problems)
    assert [len(f.keypoints) for f in video.frames] == [1, 0, 1]
    assert len(problems) == 1 and '"id" is 15, expected 0 to 14' in problems[0]


def test_lenient_mode_does_not_forgive_files(tmp_path) -> None:
    (tmp_path / 'a.json').write_text('{')
    write(tmp_path / 'b.json', sample())
    with pytest.raises(AnnotationError, match='not valid JSON'):
        read_videos(tmp_path, problems=[])


def test_problems_of_all_files_are_told_at_once(tmp_path) -> None:
    (tmp_path / 'a.json').write_text('{')
    write(tmp_path / 'b.json', {})
    data = sample()
    data['annotations'][0]['bbox'] = [1, 2]
    write(tmp_path / 'c.json', data)
    with pytest.raises(AnnotationError) as error:
        read_videos(tmp_path)
    assert [p.split(':')[0][-6:] for p in error.value.problems] == ['a.json', 'b.json', 'c.json']


def test_long_lists_of_problems_are_cut() -> None:
    error = AnnotationError([f'problem {i}' for i in range(250)])
    assert len(error.problems) == 250
    assert str(error).splitlines()[-1] == '... and 150 more problems.'


def test_frames_by_id(tmp_path) -> None:
    write(tmp_path / 'a.json', sample('a', 100))
    write(tmp_path / 'b.json', sample('b', 200))
    videos = read_videos(tmp_path)
    found = frames_by_id(videos)
    assert len(found) == 6 and found[201] == (videos[1], videos[1].frames[1])
    write(tmp_path / 'b.json', sample('b', 102))
    with pytest.raises(AnnotationError, match=r'image id 102 of .*b/000000.jpg is also that of'):
        frames_by_id(read_videos(tmp_path))
    data = sample('b', 200)
    data['images'][2]['file_name'] = data['images'][0]['file_name']
    write(tmp_path / 'b.json', data)
    with pytest.raises(AnnotationError, match=r'image ids 200 and 202 are both of .*b/000000.jpg;'):
        frames_by_id(read_videos(tmp_path))


# --------------------------------------------------------------------------------- writer


def test_written_predictions_read_back_the_same(tmp_path) -> None:
    data = sample()
    for annotation in data['annotations']:
        annotation['bbox'] = [1.5, 2, 3, 4]
        annotation['track_id'] = 12345
    videos = read_videos(write(tmp_path / 'in' / 'clip.json', data))
    write_predictions(videos, tmp_path / 'out' / 'deep')
    (again,) = read_videos(tmp_path / 'out' / 'deep')
    assert again.name == videos[0].name
    for a, b in zip(again.frames, videos[0].frames):
        assert_same(a, b, but=('ids', 'head_boxes', 'ignore_regions'))


def test_written_predictions_have_the_official_form(tmp_path) -> None:
    videos = read_videos(write(tmp_path / 'clip.json', sample()))
    write_predictions(videos, tmp_path / 'out')
    written = json.loads((tmp_path / 'out' / '000001_test.json').read_text())
    assert set(written) == {'images', 'annotations', 'categories'}
    assert [image['id'] for image in written['images']] == [100, 101, 102]
    assert written['categories'][0]['keypoints'] == ORDER_17
    assert written['categories'][0]['name'] == 'person'
    first = written['annotations'][0]
    assert len(first['keypoints']) == 51 and len(first['scores']) == 17
    assert first['keypoints'][9:15] == [0] * 6 and first['scores'][3:5] == [0, 0]
    assert first['keypoints'] == sample()['annotations'][0]['keypoints']
    assert (first['image_id'], first['track_id']) == (100, 3)


# ------------------------------------------------------------------------------ real data


def test_real_clip(real_data) -> None:
    folder = real_data / 'posetrack_clip' / 'annotations'
    (train,), (val,) = read_videos(folder / 'train'), read_videos(folder / 'val')
    assert train.name == val.name == '060470_mpii_test'
    for video, labeled in ((train, range(30)), (val, range(30, 41))):
        assert [f.number for f in video.frames] == list(range(41))
        assert [f.number for f in video.frames if len(f.keypoints)] == list(labeled)
        assert all(f.is_labeled == (len(f.keypoints) == 4) for f in video.frames)
        present = np.concatenate([(f.keypoints != 0).any(2) for f in video.frames])
        assert not present[:, 0].any() and present[:, 1:].all()  # 14 joints, no nose


def test_real_mini_set(real_data) -> None:
    folder = real_data / 'posetrack18_mini' / 'annotations'
    apart, together = read_videos(folder / 'val'), read_videos(folder / 'test_posetrack18_val.json')
    assert [len(v.frames[0].keypoints) for v in apart] == [1, 2, 11]
    assert [v.name for v in apart] == [v.name for v in together]
    for left, right in zip(apart, together):
        assert_same(left.frames[0], right.frames[0])


def test_the_category_of_persons_may_have_any_id(tmp_path):
    data = coco([[person({'nose': (5, 5)}), person({'nose': (9, 9)})]])
    data['categories'][0]['id'] = data['annotations'][0]['category_id'] = 7
    with pytest.raises(AnnotationError, match=r'"category_id" is 1, expected 7 \(person\)'):
        read_videos(write(tmp_path / 'a.json', data))
    data['annotations'][1]['category_id'] = 7
    (video,) = read_videos(write(tmp_path / 'a.json', data))
    assert len(video.frames[0].keypoints) == 2
