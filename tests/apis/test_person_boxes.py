from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from cmpose_mm.apis import FrameReader, VideoFrame, VideoPoseInferencer, open_frames
from cmpose_mm.apis.loading import find_config
from cmpose_mm.apis.person_boxes import PersonDetector, read_boxes
from cmpose_mm.compat import import_mmdet
from cmpose_mm.posetrack.annotations import read_videos
from cmpose_mm.posetrack.detections import read_detections
from cmpose_mm.posetrack.joints import JOINT_NAMES

TINY_FASTER_RCNN = """
_base_ = [{base!r}]
model = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=2),
    ),
    test_cfg=dict(rcnn=dict(max_per_img=5000)),
)
"""
THRESHOLD = 0.33  # of three classes with drawn weights
FRAME = VideoFrame(np.full((90, 120, 3), 100, np.uint8), 0)


def write_detector(config, path, **meta):
    """A checkpoint of drawn weights."""
    import_mmdet()
    from mmdet.apis import init_detector

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = init_detector(config, None, device='cpu')
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


@pytest.fixture
def tiny_detector(tmp_path):
    config = tmp_path / 'tiny_faster_rcnn.py'
    base = find_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    config.write_text(TINY_FASTER_RCNN.format(base=base))
    meta = dict(dataset_meta=dict(classes=('person', 'car')))
    return str(config), write_detector(str(config), tmp_path / 'detector.pth', **meta)


# ---- detectors ------------------------------------------------------------------------------


@pytest.mark.full_stack
def test_persons_of_a_detector(tiny_detector):
    from mmdet.apis import inference_detector, init_detector

    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    boxes, scores = PersonDetector(*tiny_detector, score_thr=THRESHOLD)(VideoFrame(image, 0))
    found = inference_detector(init_detector(*tiny_detector, device='cpu'), image).pred_instances
    expected = [
        (score, box)
        for score, label, box in zip(found.scores, found.labels, found.bboxes)
        if label == 0 and score >= THRESHOLD
    ]
    assert 0 < len(expected) < len(found) and 0 < found.labels.sum()
    np.testing.assert_allclose(scores, sorted((float(s) for s, _ in expected), reverse=True))
    assert {tuple(box) for box in boxes.tolist()} == {tuple(b.tolist()) for _, b in expected}
    boxes, scores = PersonDetector(*tiny_detector, score_thr=1.1)(VideoFrame(image, 0))
    assert boxes.shape == (0, 4) and scores.shape == (0,)


@pytest.mark.full_stack
def test_video_with_a_detector(tiny_detector, tiny_model, clip_folder):
    config, checkpoint = tiny_model()
    detector = PersonDetector(*tiny_detector, score_thr=0.45)
    results = list(VideoPoseInferencer(config, checkpoint, detector=detector)(clip_folder))
    assert len(results) == 5
    for result in results:
        boxes, scores = detector(result.frame)
        pred = result.data_sample.pred_instances
        np.testing.assert_allclose(pred.bboxes, boxes)
        np.testing.assert_allclose(pred.bbox_scores, scores)
    assert sum(len(r.data_sample.pred_instances) for r in results) > 0
    pair = VideoPoseInferencer(config, checkpoint, detector=tiny_detector)
    assert isinstance(pair.detector, PersonDetector) and pair.detector.score_thr == 0.3


@pytest.mark.full_stack
@pytest.mark.parametrize(
    'config',
    [
        'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    ],
)
def test_shipped_detectors_build_without_network(config, tmp_path, monkeypatch):
    path = write_detector(find_config(config), tmp_path / 'weights.pth')
    monkeypatch.setattr('torch.hub.download_url_to_file', None)
    boxes, scores = PersonDetector(config, path, score_thr=0.9)(FRAME)
    assert boxes.shape == (len(scores), 4)


@pytest.mark.full_stack
@pytest.mark.parametrize(
    'meta, label',
    [
        (dict(dataset_meta=dict(CLASSES=('car', 'person'))), 1),
        (dict(CLASSES=('car', 'person')), 1),
        (dict(dataset_meta=dict(classes=('pedestrian',))), 0),
        (dict(dataset_meta=dict(classes='pedestrian')), 0),
    ],
)
def test_which_class_is_a_person(tiny_detector, meta, label):
    config, path = tiny_detector
    torch.save(dict(torch.load(path), meta=meta), path)
    assert PersonDetector(config, path).label == label


@pytest.mark.full_stack
def test_detector_without_persons(tiny_detector):
    config, path = tiny_detector
    torch.save(dict(torch.load(path), meta=dict(dataset_meta=dict(classes=('cat', 'dog')))), path)
    with pytest.raises(ValueError, match='expected a detector with the class "person", found cat'):
        PersonDetector(config, path)


@pytest.mark.full_stack
def test_detector_without_checkpoint():
    with pytest.raises(
        FileNotFoundError, match=r'^https://download.*nothing is downloaded without being asked for'
    ):
        PersonDetector('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py', None)


@pytest.mark.full_stack
def test_detector_by_name(tmp_path, monkeypatch):
    """Its published weights are taken from where the message says to put them."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'rtmdet_tiny.*put it at checkpoints/') as error:
        PersonDetector('rtmdet-tiny')
    config = find_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    path = re.search(r'put it at (\S+),', str(error.value)).group(1)
    (tmp_path / 'checkpoints').mkdir()
    write_detector(config, tmp_path / path)
    detector = PersonDetector('rtmdet-tiny', score_thr=0.0)
    assert detector.name == 'rtmdet_tiny_8xb32-300e_coco'
    boxes, scores = detector(FRAME)
    assert boxes.shape == (len(scores), 4)
    with pytest.raises(FileNotFoundError, match='mmdet has no model of this name; .*rtmdet'):
        PersonDetector('rtmdet-tinny')


@pytest.mark.full_stack
def test_detector_checkpoint_of_another_model(tiny_detector, tmp_path):
    config = Config.fromfile(tiny_detector[0])
    config.model.backbone.depth = 34
    config.dump(tmp_path / 'other.py')
    with pytest.raises(ValueError, match='does not fit'):
        PersonDetector(tmp_path / 'other.py', tiny_detector[1])


# ---- files ----------------------------------------------------------------------------------


def as_lists(source, numbers):
    """Boxes and scores of some frames."""
    frames = [VideoFrame(np.zeros((1000, 1000, 3), np.uint8), number) for number in numbers]
    return {f.number: [v.tolist() for v in source(f)] for f in frames}


def test_csv(tmp_path):
    file = tmp_path / 'boxes.csv'
    file.write_text(
        'frame,time,x1,y1,x2,y2,score\n3,0.1,1,2,30.5,40,0.5\n0,0,5,6,7,8,0.25\n1,0.05,,,,,\n'
        '3,0.1,0,0,9,9,\n'
    )
    frames = open_frames([np.zeros((8, 8, 3), np.uint8)] * 4)
    assert as_lists(read_boxes(file, frames), [0, 1, 3]) == {
        0: [[[5, 6, 7, 8]], [0.25]],
        1: [[], []],
        3: [[[1, 2, 30.5, 40], [0, 0, 9, 9]], [0.5, 1]],
    }


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_csv_as_other_programs_write_it(tmp_path, encoding):
    file = tmp_path / 'boxes.csv'
    text = 'frame, x1, y1, x2, y2, name\r\n2.0, 1, 2, 3.5, 4, "Jör\r\ng"\r\n'
    file.write_bytes(text.encode(encoding))
    source = read_boxes(file, open_frames([FRAME.image] * 3))
    assert as_lists(source, [1, 2]) == {1: [[], []], 2: [[[1, 2, 3.5, 4]], [1]]}


@pytest.mark.parametrize(
    'text, message',
    [
        (
            'frame,x1,y1,x2,y2\n0.5,1,2,3,4\n',
            'frame: expected a whole number from 0, found 0.5$',
        ),
        ('frame,x1,y1,x2,y2\ninf,1,2,3,4\n', 'line 2'),
        ('frame,x,y,w,h\n0,1,2,3,4\n', 'columns frame, x1, y1, x2, y2, found frame, x, y, w, h'),
        ('', 'found an empty file'),
        (
            'frame,x1,y1,x2,y2\n0,1,2,3,4\na,1,2,3,4\n',
            'line 3: frame: expected a whole .* found a$',
        ),
        ('frame,x1,y1,x2,y2\n0,1,2,nan,4\n', 'line 2: x2: expected a finite number, found nan$'),
        ('frame,x1,y1,x2,y2,score\n0,1,2,3,4,sure\n', 'line 2: score: expected a finite .* sure$'),
        ('frame,x1,y1,x2,y2,score\n0,1,2,3,4,inf\n', 'line 2: score: expected a finite .* inf$'),
        ('frame,x1,y1,x2,y2,score\n0,1,2,3,4,1e39\n', 'line 2: score: .* below 1,000,000, found'),
        ('frame,x1,y1,x2,y2\n1e9,1,2,3,4\n', 'frame: .* from 0 below 10,000,000, found 1e9$'),
        ('frame,x1,y1,x2,y2,x1\n0,1,2,3,4,60\n', 'has the column x1 2 times, expected it once'),
        ('frame,x1,y1,x2,y2\n0,1,2,3,4,9\n', 'line 2 has more cells, expected 5'),
        ('frame,x1,y1,x2,y2\n-1,1,2,3,4\n', 'line 2'),
        ('frame,x1,y1,x2,y2\n0,1,2\n', 'line 2'),
        ('frame,x1,y1,x2,y2\n0,"1,2,3,4\n', 'line 2: .* expected cells .*, and every quote closed'),
        pytest.param(
            'frame,x1,y1,x2,y2\n0,"1,2,3,4\n' + '1,1,2,3,4\n' * 20_000,
            'line 2: .* quote',
            id='long',
        ),
    ],
)
def test_wrong_csv(tmp_path, text, message):
    file = tmp_path / 'boxes.csv'
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_boxes(file, open_frames([FRAME.image]))


def test_labels_as_the_dataset_reads_them(synthetic_root, clip_folder, clip_labels):
    (video,) = read_videos(clip_labels)
    frames = open_frames(clip_folder)
    source = read_boxes(clip_labels, frames)
    for frame, label in zip(frames, video.frames):
        boxes, scores = source(frame)
        expected = label.boxes.copy()
        expected[:, 2:] += expected[:, :2]
        expected = np.clip(expected, 0, [159, 119, 159, 119])
        np.testing.assert_allclose(boxes, expected, rtol=1e-6)
        assert scores.tolist() == [1] * len(boxes)


def test_labels_by_the_names_of_the_files(tmp_path, clip_folder, clip_labels):
    """A folder that lacks frames still gets the right ones; a video counts."""
    (video,) = read_videos(clip_labels)
    first = video.frames[2].boxes[0, 0]
    images = [cv2.imread(str(path)) for path in sorted(Path(clip_folder).iterdir())]
    for number in (2, 4):
        cv2.imwrite(str(tmp_path / f'{number:06d}.jpg'), images[number])
    frames = open_frames(tmp_path)
    boxes, _ = read_boxes(clip_labels, frames)(next(iter(frames)))
    assert boxes[0, 0] == pytest.approx(first)
    frames = open_frames(images)
    boxes, _ = read_boxes(clip_labels, frames)(VideoFrame(images[2], 2))
    assert boxes[0, 0] == pytest.approx(first)


def posetrack_labels(names, boxes):
    """PoseTrack18 labels with one person a frame, or none where the box is None."""
    category = dict(id=1, name='person', keypoints=list(JOINT_NAMES))
    images = [dict(id=n, file_name=f'walk/{name}') for n, name in enumerate(names)]
    annotations = [
        dict(id=n, image_id=n, category_id=1, keypoints=[0] * 45, **box)
        for n, box in enumerate(boxes)
        if box is not None
    ]
    return dict(images=images, annotations=annotations, categories=[category])


def test_persons_of_labels_that_are_left_out_are_told(tmp_path, logged):
    folder = tmp_path / 'walk'
    folder.mkdir()
    for number in (0, 1, 2):
        cv2.imwrite(str(folder / f'{number:06d}.jpg'), FRAME.image)
    names = [f'{number:06d}.jpg' for number in (0, 1, 2, 7, 8, 9)]
    boxes = [dict(bbox=[1, 2, 10, 20]), {}, None, dict(bbox=[1, 2, 3, 4]), {}, None]
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(posetrack_labels(names, boxes)))
    source = read_boxes(file, open_frames(folder))
    assert as_lists(source, [0, 1, 2]) == {0: [[[1, 2, 11, 22]], [1]], 1: [[], []], 2: [[], []]}
    assert logged() == [
        f'walk: {file}: the persons of 2 frames are left out, whose images are not in the folder '
        '(first: walk/000007.jpg)',
        f'walk: {file}: 1 persons are left out, who have no box and no joint',
    ]


def test_poses_of_a_video_and_of_its_images_are_for_the_same_frames(tmp_path):
    """Predictions of the one as boxes of the other; the images are named from 1, as FFmpeg does."""
    folder = tmp_path / 'walk'
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f'{number + 1:06d}.jpg'), FRAME.image)
    boxes = [dict(bbox=[number, 2, 10, 20]) for number in range(4)]
    of_video, of_earlier, of_images = (
        posetrack_labels([f'{number + first:06d}.jpg' for number in range(4)], boxes)
        for first in (0, 0, 1)
    )
    for number in range(4):
        of_video['images'][number].update(frame_number=number, of_video=True)
        of_earlier['images'][number].update(time=number / 25)
        of_images['images'][number].update(frame_number=number)
    file = tmp_path / 'poses.json'
    video = FrameReader('walk', lambda: iter([]), 4)
    expected = {number: [[[number, 2, number + 10, 22]], [1]] for number in range(4)}
    for content in (of_video, of_earlier, of_images):
        file.write_text(json.dumps(content))
        for frames in (video, open_frames(folder)):
            assert as_lists(read_boxes(file, frames), range(4)) == expected


def test_boxes_of_images_of_another_size_are_refused(tmp_path):
    content = posetrack_labels(['000000.jpg'], [dict(bbox=[0, 2, 10, 20])])
    height, width = FRAME.image.shape[:2]
    file = tmp_path / 'poses.json'
    for size, refused in (((width, height), False), ((2 * width, 2 * height), True)):
        content['images'][0].update(width=size[0], height=size[1])
        file.write_text(json.dumps(content))
        source = read_boxes(file, FrameReader('walk', lambda: iter([]), 1))
        if not refused:
            assert len(source(FRAME)[0]) == 1
            continue
        with pytest.raises(ValueError, match=f'poses.json: .* {size[0]} and {size[1]}, but'):
            source(FRAME)


def test_one_image_has_the_boxes_of_its_name(tmp_path):
    cv2.imwrite(str(tmp_path / '000002.jpg'), FRAME.image)
    boxes = [dict(bbox=[number, 2, 10, 20]) for number in range(1, 4)]
    file = tmp_path / 'poses.json'
    file.write_text(json.dumps(posetrack_labels([f'00000{n}.jpg' for n in (1, 2, 3)], boxes)))
    source = read_boxes(file, open_frames(tmp_path / '000002.jpg'))
    assert as_lists(source, [0]) == {0: [[[2, 2, 12, 22]], [1]]}


def test_a_frame_too_far_is_one_sentence(tmp_path):
    file = tmp_path / 'detections.json'
    file.write_text(json.dumps({'a': {str(10**9): [[1, 2, 3, 4, 0.9]]}}))
    frames = FrameReader('a', lambda: iter([]))
    with pytest.raises(ValueError, match='detections.json: has frame 1000000000, expected numbers'):
        read_boxes(file, frames)


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_encodings_of_json(tmp_path, encoding):
    frames = open_frames([FRAME.image] * 3)
    file = tmp_path / 'boxes.json'
    labels = posetrack_labels(['000002.jpg'], [dict(bbox=[1, 2, 10, 20])])
    for content, score in (([dict(RECORD, image_id=2)], 0.5), (labels, 1)):
        file.write_bytes(json.dumps(content).encode(encoding))
        assert as_lists(read_boxes(file, frames), [1, 2]) == {1: [[], []], 2: [BOX[0], [score]]}


def test_posetrack17_counts_the_frames_of_a_video_from_1(tmp_path):
    points = [dict(id=[n], x=[10 + 5 * n], y=[20 + n], is_visible=[1]) for n in range(15)]
    rect = dict(x1=[1], y1=[2], x2=[3], y2=[4], track_id=[0], annopoints=[dict(point=points)])
    annolist = [
        dict(
            image=[dict(name=f'walk/{number:08d}.jpg')],
            imgnum=[number],
            annorect=[rect] if number == 3 else [],
        )
        for number in (1, 2, 3)
    ]
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(dict(annolist=annolist)))
    boxes = as_lists(read_boxes(file, open_frames([FRAME.image] * 3)), [0, 1, 2])
    assert [len(boxes[number][0]) for number in range(3)] == [0, 0, 1]


def test_merged_labels(tmp_path, clip_folder, synthetic_root):
    folder = Path(synthetic_root) / 'annotations'
    contents = [json.loads(path.read_bytes()) for path in sorted(folder.glob('*/*.json'))]
    merged = dict(contents[0])
    for content in contents[1:]:
        for key in ('images', 'annotations'):
            merged[key] = merged[key] + content[key]
    file = tmp_path / 'merged.json'
    file.write_text(json.dumps(merged))
    (labels,) = (folder / 'val').iterdir()
    frames = open_frames(clip_folder)
    for frame in frames:
        boxes, _ = read_boxes(file, frames)(frame)
        np.testing.assert_array_equal(boxes, read_boxes(labels, frames)(frame)[0])
        assert len(boxes)
    with pytest.raises(ValueError, match="expected one video, or one of the name 'frames'"):
        read_boxes(file, open_frames([FRAME.image]))


RECORD = dict(category_id=1, bbox=[1, 2, 10, 20], score=0.5)
BOX = [[[1, 2, 11, 22]], [0.5]]


def test_detections_by_name_id_and_video(tmp_path):
    folder = tmp_path / '060470_mpii_test'
    folder.mkdir()
    for number in (0, 1, 5):
        cv2.imwrite(str(folder / f'{number:06d}.jpg'), FRAME.image)
    frames = open_frames(folder)
    file = tmp_path / 'boxes.json'
    contents = [
        [dict(RECORD, image_name='images/val/060470_mpii_test/000005.jpg')],
        [dict(RECORD, image_id=10604700005), dict(RECORD, image_id=10128340000)],
        {'060470_mpii_test.json': {'3': [[1, 2, 11, 22, 0.5]]}},
    ]
    for content in contents:
        file.write_text(json.dumps(content))
        expected = {0: [[], []], 1: [[], []], 2: BOX}  # the third frame of the folder
        assert as_lists(read_boxes(file, frames), [0, 1, 2]) == expected
    file.write_text(json.dumps([dict(RECORD, image_id=10128340000)]))
    with pytest.raises(ValueError, match='no detection can be used'):
        read_boxes(file, frames)


def test_detections_of_a_video_by_number(tmp_path, logged):
    """The length of a video may be unknown, or be given wrongly by its header."""
    file = tmp_path / 'boxes.json'
    records = [dict(RECORD, image_id=image_id) for image_id in (2, 700.0, 2.5, -1, 'x', 10**10 + 7)]
    records += [dict(RECORD, image_name='walk/img_3.png'), dict(RECORD, image_name='run/img_3.png')]
    file.write_text(json.dumps(records))
    readers = [
        FrameReader('walk', lambda: iter([(FRAME.image, None, None)] * 3), num_frames)
        for num_frames in (None, 3, 10**9)
    ]
    for reader in readers:
        source = read_boxes(file, reader)
        assert as_lists(source, [1, 2, 3, 700]) == {1: [[], []], 2: BOX, 3: BOX, 700: BOX}
        (told,) = logged()[-1:]
        assert re.fullmatch(
            rf'walk: {file}: 5 detections dropped: .* \(first: detection 2, image_id 2\.5\)', told
        )
    file.write_text(json.dumps({'walk.json': {'3': [[1, 2, 11, 22, 0.5]]}}))
    assert as_lists(read_boxes(file, readers[0]), [1, 2]) == {1: [[], []], 2: BOX}
    file.write_text(json.dumps([dict(RECORD, image_id=10003420001)]))  # of another video
    with pytest.raises(ValueError, match='no detection can be used'):
        read_boxes(file, readers[0])


def test_detections_of_a_video_with_a_name_of_posetrack(tmp_path):
    file = tmp_path / 'boxes.json'
    ids = [10003420000, 10003420007, 10003430001, 10003410001]
    file.write_text(json.dumps([dict(RECORD, image_id=image_id) for image_id in ids]))
    reader = FrameReader('000342_mpii_test', lambda: iter([]), 9)
    source = read_boxes(file, reader)
    assert sorted(source.boxes) == [0, 7]


@pytest.mark.parametrize('name', ['000123', '240115_dance'])
def test_detections_by_number_of_a_video_whose_name_begins_with_six_digits(tmp_path, name):
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps([dict(RECORD, image_id=image_id) for image_id in (0, 2)]))
    assert sorted(read_boxes(file, FrameReader(name, lambda: iter([]), 9)).boxes) == [0, 2]


def test_published_detections(real_data, tmp_path):
    """Real boxes for a real folder, as the reader with the labels gives them."""
    root = real_data / 'posetrack18_mini'
    file = root / 'annotations' / 'test_posetrack18_human_detections.json'
    labels = read_videos(root / 'annotations' / 'test_posetrack18_val.json')
    by_id = read_detections(str(file), labels)
    found = 0
    for folder in (root / 'images' / 'val').iterdir():
        frames = open_frames(folder)
        (image_id,) = [
            frame.image_id
            for video in labels
            for frame in video.frames
            if f'{folder.name}/000000.jpg' in frame.file_name
        ]
        boxes, scores = read_boxes(file, frames)(next(iter(frames)))
        np.testing.assert_allclose(boxes, by_id[image_id][0], rtol=1e-6)
        np.testing.assert_allclose(scores, by_id[image_id][1], rtol=1e-6)
        found += len(boxes)
    assert found


@pytest.mark.parametrize(
    'name, text',
    [
        ('boxes.csv', 'frame,x1,y1,x2,y2\n'),
        ('boxes.json', '[]'),
        ('boxes.json', '{}'),
        ('labels.json', json.dumps(posetrack_labels(['000000.jpg'], [{}]))),
    ],
)
def test_files_without_boxes(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ValueError, match=f'{name}: has no boxes, expected those of persons in'):
        read_boxes(file, open_frames([FRAME.image]))


def test_labels_with_other_joints(tmp_path):
    """Boxes need no joints of PoseTrack; where there is no box, all joints of the file count."""
    labels = posetrack_labels(['000000.jpg'] * 2, [dict(bbox=[1, 2, 10, 20]), None])
    labels['images'][1].update(id=1, file_name='walk/000001.jpg')
    labels['categories'] = [dict(id=1, name='person', keypoints=['paw', 'tail'])]
    labels['annotations'][0]['keypoints'] = [0] * 6
    second = dict(id=1, image_id=1, category_id=1, keypoints=[10, 10, 1, 20, 30, 1])
    labels['annotations'].append(second)
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(labels))
    found = as_lists(read_boxes(file, open_frames([FRAME.image] * 2)), [0, 1])
    assert found[0] == [[[1, 2, 11, 22]], [1]]
    np.testing.assert_allclose(found[1][0], [[8.5, 7, 21.5, 33]])


def test_no_json(tmp_path):
    file = tmp_path / 'boxes.txt'
    file.write_text('nothing')
    with pytest.raises(ValueError, match=r'boxes\.txt: not valid JSON .* Expected boxes in a CSV'):
        read_boxes(file, open_frames([FRAME.image]))
