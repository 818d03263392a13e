"""Malformed label and prediction files: each gets a sentence with file, place, found, expected."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from label_files import ORDER_15, annolist, coco, person
from scipy.io import savemat

from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

JOINTS = {name: (10 + i, 20 + i) for i, name in enumerate(ORDER_15)}


def sample() -> dict:
    frames = [[person(JOINTS, track_id=1, scores=0.5), person(JOINTS)], []]
    return coco(frames, regions={0: [[(0, 0), (5, 0), (5, 5)]]})


RAW = {
    'empty file': ('', 'a.json: is empty; expected JSON.'),
    'white space': (' \n', 'a.json: is empty; expected JSON.'),
    'truncated': (json.dumps(sample())[:200], r'a.json: not valid JSON \('),
    'not JSON': ('keypoints: 3', r'a.json: not valid JSON \('),
    'NaN': (
        json.dumps(sample()).replace('0.5', 'NaN', 1),
        'a.json: annotation with id 10000, image_id 100: "scores" is a list of 17 with nan, '
        'expected 17 finite numbers.',
    ),
    'Infinity': (
        json.dumps(sample()).replace('"image_id": 100', '"image_id": Infinity', 1),
        '"image_id" is inf, expected an integer.',
    ),
    'not UTF-8': (b'{"images": "\xff"}', r'a.json: not valid JSON \('),
    'UTF-16, cut': (json.dumps(sample()).encode('utf-16')[:-3], r'a.json: not valid JSON \('),
    'byte order mark alone': (b'\xef\xbb\xbf', 'a.json: is empty; expected JSON.'),
    'nested too deep': ('[' * 100_000, r'a.json: not valid JSON \('),
    'list of results': (
        '[{"image_id": 1, "keypoints": [], "score": 1}]',
        r'a.json: expected a JSON object with "images" or "annolist", found \[\{',
    ),
    'number': ('3', 'a.json: expected a JSON object with "images" or "annolist", found 3.'),
    'null': ('null', 'expected a JSON object with "images" or "annolist", found missing.'),
    'other object': (
        '{"info": 1, "data": 2}',
        r'expected "images" \(PoseTrack18 and 21\) or "annolist" \(PoseTrack17\), found "info", '
        '"data".',
    ),
    'empty object': ('{}', r'"annolist" \(PoseTrack17\), found nothing in it.'),
}


def test_a_table_is_not_read_as_json(tmp_path):
    table = tmp_path / 'poses.CSV'
    table.write_text('frame,nose_x,nose_y\n')
    with pytest.raises(AnnotationError, match=r'poses\.CSV: is a table; expected JSON \(`cmpose'):
        read_videos(table)


def field(*path, to):
    """A change of one place of the sample; `to` Ellipsis deletes it."""

    def change(data: dict) -> None:
        for key in path[:-1]:
            data = data[key]
        if to is ...:
            del data[path[-1]]
        else:
            data[path[-1]] = to

    return change


def keypoint(place: int, value):
    def change(data: dict) -> None:
        data['annotations'][0]['keypoints'][place] = value

    return change


def duplicate(kind: str):
    def change(data: dict) -> None:
        data[kind].append(dict(data[kind][0]))

    return change


ANNOTATION = r'a.json: annotation with id 10000, image_id 100: '
COCO = {
    'no annotations': (
        field('annotations', to=...),
        'a.json: expected "annotations" to be a list, found no such field.',
    ),
    'annotations is an object': (
        field('annotations', to={'a': 1}),
        'expected "annotations" to be a list, found an object with "a".',
    ),
    'no categories': (
        field('categories', to=...),
        'expected "categories" to be a list, found no such field.',
    ),
    'images is null': (field('images', to=None), 'expected "images" to be a list, found missing.'),
    'no images': (field('images', to=[]), '"images" is empty, expected the frames of a video.'),
    'category without keypoints': (
        field('categories', 0, 'keypoints', to=...),
        '0 of 1 categories have a list of "keypoints", expected one',
    ),
    'two categories with keypoints': (duplicate('categories'), '2 of 2 categories have a list'),
    'joint lacking': (
        field('categories', 0, 'keypoints', 0, to='left_eye'),
        "the category names 0 keypoints 'nose', expected one.",
    ),
    'joint twice': (
        field('categories', 0, 'keypoints', 3, to='nose'),
        "the category names 2 keypoints 'nose', expected one.",
    ),
    'category id': (
        field('categories', 0, 'id', to='person'),
        'the "id" of the category is \'person\', expected an integer.',
    ),
    'image is a string': (
        field('images', 0, to='a.jpg'),
        r"images\[0\] is 'a.jpg', expected an object.",
    ),
    'image without id': (
        field('images', 1, 'id', to=...),
        r'images\[1\]: "id" is missing, expected an integer.',
    ),
    'image id is text': (
        field('images', 0, 'id', to='100'),
        r'images\[0\]: "id" is \'100\', expected an integer.',
    ),
    'image id is true': (field('images', 0, 'id', to=True), '"id" is True, expected an integer.'),
    'image id is too large': (
        field('images', 0, 'id', to=2**63),
        '"id" is 9223372036854775808, expected an integer.',
    ),
    'no file name': (
        field('images', 0, 'file_name', to=...),
        r'images\[0\]: "file_name" is missing, expected a path.',
    ),
    'empty file name': (field('images', 0, 'file_name', to=''), '"file_name" is \'\', expected a'),
    'file name is a number': (field('images', 0, 'file_name', to=7), '"file_name" is 7, expected'),
    'image id twice': (
        field('images', 1, 'id', to=100),
        r'images\[1\] \(images/val/000001_test/000001.jpg\): "id" 100 is also that of '
        'images/val/000001_test/000000.jpg, expected unique ids.',
    ),
    'region x without y': (
        field('images', 0, 'ignore_regions_y', to=...),
        r'"ignore_regions_x" and "ignore_regions_y" must be two lists of as many polygons, each '
        r'a list of numbers, found \[\[0, 5, 5\]\] and \[\].',
    ),
    'half a region is flat': (
        field('images', 0, 'ignore_regions_x', to=[0, 5, 5]),
        'must be two lists of as many polygons',
    ),
    'region of a number': (
        field('images', 0, 'ignore_regions_x', to=[3]),
        r'ignore region 0 must have as many x as y, found 3 and \[0, 0, 5\].',
    ),
    'region with unequal lists': (
        field('images', 0, 'ignore_regions_x', 0, to=[0, 5]),
        r'ignore region 0 must have as many x as y, found \[0, 5\] and \[0, 0, 5\].',
    ),
    'region with text': (
        field('images', 0, 'ignore_regions_x', 0, 0, to='0'),
        r'images\[0\] \(.*000000.jpg\): ignore region 0 must consist of finite numbers.',
    ),
    'annotation is a list': (
        field('annotations', 0, to=[1, 2]),
        r'annotations\[0\] is \[1, 2\], expected an object.',
    ),
    'annotation of no image': (
        field('annotations', 0, 'image_id', to=...),
        'annotation with id 10000, image_id None: "image_id" is missing, expected an integer.',
    ),
    'annotation of unknown image': (
        field('annotations', 0, 'image_id', to=555),
        'annotation with id 10000, image_id 555: "image_id" is that of no image in the file.',
    ),
    'track id is a fraction': (
        field('annotations', 0, 'track_id', to=1.5),
        ANNOTATION + '"track_id" is 1.5, expected an integer.',
    ),
    'track id is a list': (
        field('annotations', 0, 'track_id', to=[3]),
        ANNOTATION + r'"track_id" is \[3\], expected an integer.',
    ),
    'other category': (
        field('annotations', 0, 'category_id', to=2),
        ANNOTATION + r'"category_id" is 2, expected 1 \(person\).',
    ),
    'a crowd': (
        field('annotations', 0, 'iscrowd', to=1),
        ANNOTATION + '"iscrowd" is set, expected a person.',
    ),
    'no keypoints': (
        field('annotations', 0, 'keypoints', to=...),
        ANNOTATION + '"keypoints" is missing, expected 51 finite numbers.',
    ),
    'empty keypoints': (
        field('annotations', 0, 'keypoints', to=[]),
        ANNOTATION + r'"keypoints" is \[\], expected 51 finite numbers.',
    ),
    'too few keypoints': (
        field('annotations', 0, 'keypoints', to=[1, 2, 3] * 16),
        ANNOTATION + '"keypoints" is a list of 48, expected 51 finite numbers.',
    ),
    'fifteen keypoints under seventeen names': (
        field('annotations', 0, 'keypoints', to=[1, 2, 3] * 15),
        ANNOTATION + '"keypoints" is a list of 45, expected 51 finite numbers.',
    ),
    'nested keypoints': (
        field('annotations', 0, 'keypoints', to=[[1, 2, 3]] * 17),
        r'"keypoints" is a list of 17 with \[1, 2, 3\], expected 51 finite numbers.',
    ),
    'keypoint is null': (
        keypoint(5, None),
        '"keypoints" is a list of 51 with None, expected 51 finite numbers.',
    ),
    'keypoint is text': (
        keypoint(5, '12.5'),
        '"keypoints" is a list of 51 with \'12.5\', expected 51 finite numbers.',
    ),
    'keypoint is a list': (keypoint(5, [1]), r'"keypoints" is a list of 51 with \[1\], expected'),
    'keypoint is huge': (keypoint(0, 10**400), r'not valid JSON|"keypoints" is a list of 51'),
    'keypoints of text': (
        field('annotations', 0, 'keypoints', to='1 2 3'),
        '"keypoints" is \'1 2 3\', expected 51 finite numbers.',
    ),
    'too few scores': (
        field('annotations', 0, 'scores', to=[0.5] * 15),
        ANNOTATION + '"scores" is a list of 15, expected 17 finite numbers.',
    ),
    'one score': (
        field('annotations', 0, 'scores', to=0.5),
        ANNOTATION + '"scores" is 0.5, expected 17 finite numbers.',
    ),
    'score is null': (
        field('annotations', 0, 'scores', to=[0.5] * 16 + [None]),
        '"scores" is a list of 17 with None, expected 17 finite numbers.',
    ),
    'box of two': (
        field('annotations', 0, 'bbox', to=[1, 2]),
        ANNOTATION + r'"bbox" is \[1, 2\], expected 4 finite numbers.',
    ),
    'head box as object': (
        field('annotations', 0, 'bbox_head', to={'x': 1}),
        ANNOTATION + '"bbox_head" is an object with "x", expected 4 finite numbers.',
    ),
    'head box with text': (
        field('annotations', 0, 'bbox_head', to=[1, 2, 3, 'w']),
        ANNOTATION + r'"bbox_head" is \[1, 2, 3, \'w\'\], expected 4 finite numbers.',
    ),
}

RECT = ('annolist', 0, 'annorect', 0)
POINT = (*RECT, 'annopoints', 0, 'point', 2)
PLACE = r'a.json: annolist\[0\] \(images/val/000001_test/000000.jpg\)'
ANNOLIST = {
    'no frames': (field('annolist', to=[]), '"annolist" is empty, expected the frames'),
    'frame without image': (
        field('annolist', 1, 'image', to=...),
        r'annolist\[1\]: "image.name" is missing, expected a path.',
    ),
    'frame is a number': (
        field('annolist', 1, to=4),
        r'annolist\[1\]: "image.name" is missing, expected a path.',
    ),
    'image name is a number': (
        field('annolist', 0, 'image', 0, 'name', to=4),
        r'annolist\[0\]: "image.name" is 4, expected a path.',
    ),
    'region without points': (
        field('annolist', 0, 'ignore_regions', 0, to=3),
        PLACE + ': an ignore region is 3, expected points with x and y.',
    ),
    'region without anything known': (
        field('annolist', 0, 'ignore_regions', 0, to={'polygon': [1]}),
        PLACE + ': an ignore region is an object with "polygon", expected points with x and y.',
    ),
    'region point without y': (
        field('annolist', 0, 'ignore_regions', 0, 'point', 0, to={'x': [1]}),
        PLACE + ': an ignore region is an object with "point", expected points with x and y.',
    ),
    'person is text': (
        field(*RECT, to='x'),
        PLACE + r", annorect\[0\]: is 'x', expected an object.",
    ),
    'head box without corner': (
        field(*RECT, 'x2', to=...),
        r'annorect\[0\]: the head box x1, y1, x2, y2 is \[0, 0, None, 40\], expected finite',
    ),
    'track id is text': (
        field(*RECT, 'track_id', to=['one']),
        r'annorect\[0\]: "track_id" is \'one\', expected an integer.',
    ),
    'annopoints is a number': (
        field(*RECT, 'annopoints', to=[3]),
        r'annorect\[0\]: "annopoints" is \[3\], expected one set of points.',
    ),
    'two sets of points': (
        field(*RECT, 'annopoints', to=[{'point': []}] * 2),
        r'expected one set of points.',
    ),
    'point is a number': (field(*POINT, to=3), 'point 2 is 3, expected an object.'),
    'point without id': (
        field(*POINT, 'id', to=...),
        r'annorect\[0\]: point 2: "id" is missing, expected 0 to 14.',
    ),
    'point id out of range': (
        field(*POINT, 'id', to=[15]),
        'point 2: "id" is 15, expected 0 to 14.',
    ),
    'point id twice': (
        field(*POINT, 'id', to=[13]),
        'two points have the id 13, expected each once.',
    ),
    'point without x': (
        field(*POINT, 'x', to=[]),
        r'point 2: x, y, is_visible, score are \[None, 22, 1, 0.5\], expected finite numbers.',
    ),
    'point with text': (
        field(*POINT, 'y', to=['22']),
        r"point 2: x, y, is_visible, score are \[12, '22', 1, 0.5\], expected finite numbers.",
    ),
    'score is a list': (
        field(*POINT, 'score', to=[1, 2]),
        r'score are \[12, 22, 1, \[1, 2\]\], expected finite numbers.',
    ),
}


def check(path, message: str) -> None:
    with pytest.raises(AnnotationError) as error:
        read_videos(path)
    assert re.search(message, str(error.value)), str(error.value)
    assert str(path.parent) in str(error.value)
    assert len(str(error.value)) < 500


def test_there_are_enough_of_them() -> None:
    assert len(RAW) + len(COCO) + len(ANNOLIST) >= 40


def test_the_sample_itself_is_fine(tmp_path) -> None:
    (tmp_path / 'a.json').write_text(json.dumps(sample()))
    (tmp_path / 'b.json').write_text(json.dumps(annolist(sample())))
    assert len(read_videos(tmp_path)) == 2


@pytest.mark.parametrize('case', RAW)
def test_content(tmp_path, case) -> None:
    content, message = RAW[case]
    path = tmp_path / 'a.json'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(path, message)


@pytest.mark.parametrize('case', COCO)
def test_posetrack18(tmp_path, case) -> None:
    change, message = COCO[case]
    data = json.loads(json.dumps(sample()))
    change(data)
    (tmp_path / 'a.json').write_text(json.dumps(data))
    check(tmp_path / 'a.json', message)


@pytest.mark.parametrize('case', ANNOLIST)
def test_posetrack17(tmp_path, case) -> None:
    change, message = ANNOLIST[case]
    data = annolist(sample())
    change(data)
    (tmp_path / 'a.json').write_text(json.dumps(data))
    check(tmp_path / 'a.json', message)


def test_mat_files(tmp_path) -> None:
    path = tmp_path / 'a.mat'
    path.write_bytes(b'')
    check(path, 'a.mat: not a readable .mat file')
    path.write_bytes(b'no matrix at all, but text of some length' * 10)
    check(path, 'a.mat: not a readable .mat file')
    path.write_bytes(b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM' + bytes(64))
    check(path, r'a.mat: is a MATLAB v7.3 file, expected v7 \(save it with "-v7"\).')
    savemat(path, annolist(sample()))
    path.write_bytes(path.read_bytes()[:-400])
    check(path, 'a.mat: not a readable .mat file')
    savemat(path, {'boxes': np.zeros(3)})
    check(path, r'"annolist" \(PoseTrack17\), found "boxes".')
    broken = annolist(sample())
    broken['annolist'][0]['annorect'][0]['annopoints'][0]['point'][2]['id'] = [16]
    savemat(path, broken)
    check(path, r'a.mat: annolist\[0\] .*: point 2: "id" is 16, expected 0 to 14.')


def test_paths(tmp_path) -> None:
    with pytest.raises(AnnotationError, match='nowhere: not found; expected a folder or a file'):
        read_videos(tmp_path / 'nowhere')
    (tmp_path / 'labels' / 'train').mkdir(parents=True)
    (tmp_path / 'labels' / 'val').mkdir()
    message = 'labels: no .json or .mat file; it has the folders train, val; expected one file a'
    with pytest.raises(AnnotationError, match=message):
        read_videos(tmp_path / 'labels')


def test_one_video_in_two_files(tmp_path) -> None:
    text = json.dumps(sample())
    (tmp_path / 'a.json').write_text(text)
    savemat(tmp_path / 'a.mat', annolist(sample()))
    with pytest.raises(
        AnnotationError, match="a.mat: video 'a' is also in .*a.json; expected each"
    ):
        read_videos(tmp_path)


def test_every_wrong_annotation_gets_its_sentence(tmp_path) -> None:
    data = sample()
    data['annotations'][0]['keypoints'] = [0]
    data['annotations'][0]['track_id'] = 'x'
    data['annotations'][1]['scores'] = [0]
    (tmp_path / 'a.json').write_text(json.dumps(data))
    with pytest.raises(AnnotationError) as error:
        read_videos(tmp_path)
    assert len(error.value.problems) == 3
