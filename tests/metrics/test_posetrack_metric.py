"""`PoseTrackMetric` in MMPose's runner: protocols, boxes, processes, datasets, errors."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import os
import random
from pathlib import Path

import mmpose
import numpy as np
import pytest
import torch
from label_files import HEAD, ORDER_15, ORDER_17, annolist, coco, merged, person, write
from mmengine.config import Config, ConfigDict
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.functional import oks_nms
from mmpose.evaluation.metrics import posetrack18_metric
from mmpose.registry import DATASETS, METRICS
from mmpose.structures import PoseDataSample
from posetrack_samples import person as sample_person
from posetrack_samples import write_coco_video
from processes import start_processes

from cmpose_mm.datasets import PoseTrackVideoDataset
from cmpose_mm.datasets.body.posetrack_video_dataset import posetrack_metainfo
from cmpose_mm.evaluation import PROTOCOLS, evaluate_files
from cmpose_mm.metrics import PoseTrackMetric, PoseTrackPCK
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

NAMES = ['Head AP', 'Shou AP', 'Elb AP', 'Wri AP', 'Hip AP', 'Knee AP', 'Ankl AP']
HRNET_CONFIG = (
    'body_2d_keypoint/topdown_heatmap/posetrack18/td-hm_hrnet-w32_8xb64-20e_posetrack18-256x192.py'
)
COLUMNS = ['Head', 'Shoulder', 'Elbow', 'Wrist', 'Hip', 'Knee', 'Ankle']


def meta(dataset_name: str = 'posetrack18') -> dict:
    return parse_pose_metainfo(posetrack_metainfo(dataset_name))


def mmpose_config(name: str) -> Config:
    return Config.fromfile(Path(mmpose.__file__).parent / '.mim' / 'configs' / name)


def make_labels(num_videos: int = 2, num_frames: int = 3, num_persons: int = 3) -> dict:
    """Label files by name; persons far apart."""
    rng = random.Random(0)
    files = {}
    for video in range(num_videos):
        frames = [
            [
                person(
                    {
                        name: (300 * index + rng.uniform(1, 99), rng.uniform(1, 400))
                        for name in ORDER_15
                    },
                    track_id=index + 40,
                    bbox=[300 * index, 0, 100, 400],
                    area=40000,
                    iscrowd=0,
                )
                for index in range(num_persons)
            ]
            for _ in range(num_frames)
        ]
        name = f'{video:06d}_test'
        files[name] = coco(frames, name, 1000 * (video + 1))
        for image in files[name]['images']:
            image.update(width=1000, height=500)
    return files


def make_samples(files: dict, order=ORDER_15, noise: float = 12, detected: bool = True) -> list:
    """Model outputs as data samples: one for each labeled person, and some strangers."""
    rng = np.random.default_rng(1)
    samples = []
    places = [ORDER_17.index(name) for name in order]
    for data in files.values():
        for annotation in data['annotations']:
            keypoints = np.reshape(annotation['keypoints'], (17, 3))[places, :2].astype(np.float32)
            for stranger in (False, True) if detected and rng.random() < 0.5 else (False,):
                moved = keypoints + rng.normal(0, 60 if stranger else noise, keypoints.shape)
                box = np.array([*moved.min(0), *moved.max(0)], np.float32)[None]
                score = rng.random(1, np.float32) if detected else np.ones(1, np.float32)
                info = dict(
                    id=len(samples),
                    img_id=annotation['image_id'],
                    track_id=-1 if detected else annotation['track_id'],
                    box_source='val_boxes.json' if detected else 'ground_truth',
                )
                sample = PoseDataSample(metainfo=info)
                sample.pred_instances = InstanceData(
                    keypoints=moved[None].astype(np.float32),
                    keypoint_scores=rng.random((1, len(order)), np.float32),
                    bboxes=box,
                    bbox_scores=score,
                )
                sample.gt_instances = InstanceData(
                    bboxes=box, bbox_scores=score, bbox_scales=(box[:, 2:] - box[:, :2]) * 1.25
                )
                samples.append(sample)
    return samples


def run(metric: PoseTrackMetric, samples: list, dataset_meta: dict | None = None) -> dict:
    """As the runner does it: batches of four."""
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dataset_meta or meta()
    for start in range(0, len(samples), 4):
        evaluator.process(samples[start : start + 4], None)
    return evaluator.evaluate(len(samples))


@pytest.fixture
def labels(tmp_path) -> tuple[str, dict]:
    """A folder of label files and what is in them."""
    files = make_labels()
    for name, data in files.items():
        write(tmp_path / 'annotations' / 'val' / f'{name}.json', data)
    write(tmp_path / 'annotations' / 'posetrack18_val.json', merged(*files.values()))
    return str(tmp_path / 'annotations' / 'val'), files


@pytest.fixture
def log():
    """What was logged."""
    messages = []

    class Handler(logging.Handler):
        def emit(self, record) -> None:
            messages.append(record.getMessage())

    handler = Handler()
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def expect(folder: str, files: dict, samples: list, score, keep, tmp_path: Path) -> dict:
    """The result by hand: predictions written in plain loops and scored by the function."""
    for name, data in files.items():
        images = [image['id'] for image in data['images']]
        content = {'images': data['images'], 'categories': data['categories'], 'annotations': []}
        for sample in samples:
            if sample.img_id not in images or not keep(sample):
                continue
            keypoints, scores = np.zeros((17, 3)), np.zeros(17)
            for k, joint in enumerate(ORDER_15):
                place = ORDER_17.index(joint)
                keypoints[place] = [*sample.pred_instances.keypoints[0, k].tolist(), 1]
                scores[place] = score(sample, k)
            content['annotations'].append(
                {
                    'image_id': sample.img_id,
                    'keypoints': keypoints.ravel().tolist(),
                    'scores': scores.tolist(),
                }
            )
        write(tmp_path / 'expected' / f'{name}.json', content)
    return evaluate_files(folder, tmp_path / 'expected')


# ------------------------------------------------------------------------------- protocols


def test_dcpose_protocol(labels, tmp_path, log) -> None:
    """Boxes of 0.2 and more, joint score = keypoint x box score, no NMS, all 15 joints."""
    folder, files = labels
    samples = make_samples(files)
    result = run(PoseTrackMetric(folder), samples)
    expected = expect(
        folder,
        files,
        samples,
        lambda s, k: (
            float(s.pred_instances.keypoint_scores[0, k]) * float(s.pred_instances.bbox_scores[0])
        ),
        lambda s: s.pred_instances.bbox_scores[0] >= 0.2,
        tmp_path,
    )
    assert 5 < expected['Total'] < 95
    for name, column in zip(NAMES, COLUMNS):
        assert result[f'posetrack18/{name}'] == pytest.approx(expected[column], abs=1e-9)
    assert result['posetrack18/Total AP'] == result['posetrack18/AP']
    assert result['posetrack18/AP'] == pytest.approx(expected['Total'], abs=1e-9)
    assert result['posetrack18/mean7 AP'] == pytest.approx(expected['mean7'], abs=1e-9)
    assert len(result) == 10

    text = '\n'.join(log)
    dropped = sum(bool(s.pred_instances.bbox_scores[0] < 0.2) for s in samples)
    assert dropped > 0
    assert "Protocol dcpose: Protocol(bbox_score_thr=0.2, joint_score_mode='bbox_keypoint'" in text
    assert f'Boxes: val_boxes.json. {len(samples)} persons predicted, {dropped} dropped' in text
    assert 'Scored 2 of 2 videos (0 without any prediction left out): 6 frames, 18 persons' in text
    assert 'by the rules of PoseTrack18' in text
    for joint in ORDER_15:
        assert f'| {joint} ' in text


def test_mmpose_protocol_equals_what_mmpose_writes(labels, tmp_path, monkeypatch) -> None:
    """MMPose's own metric writes its files (its scoring needs `poseval`); we score them alike."""
    folder, files = labels
    samples = make_samples(files, ORDER_17)
    samples = [s for s in samples if s.pred_instances.bbox_scores[0] >= 0.4]
    twin = make_samples(files, ORDER_17, noise=2)[0]  # nearly the first one again
    twin.set_metainfo({'id': 10_000})
    twin.pred_instances.bbox_scores = np.full(1, 0.45, np.float32)
    samples.append(twin)
    dataset_meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))

    monkeypatch.setattr(posetrack18_metric, 'has_poseval', True)
    ann_file = str(Path(folder).parent / 'posetrack18_val.json')
    theirs = posetrack18_metric.PoseTrack18Metric(
        ann_file, format_only=True, outfile_prefix=str(tmp_path / 'theirs' / 'x')
    )
    run(theirs, samples, dataset_meta)
    expected = evaluate_files(folder, tmp_path / 'theirs')
    written = [json.loads(f.read_text()) for f in (tmp_path / 'theirs').iterdir()]
    assert sum(len(data['annotations']) for data in written) < len(samples)  # NMS took some

    result = run(PoseTrackMetric(ann_file, protocol='mmpose'), samples, dataset_meta)
    for name, column in zip(NAMES, COLUMNS):
        assert result[f'posetrack18/{name}'] == pytest.approx(expected[column], abs=1e-9)
    assert result['posetrack18/AP'] == pytest.approx(expected['Total'], abs=1e-9)


def test_mmpose_protocol_has_the_values_of_mmpose() -> None:
    theirs = inspect.signature(posetrack18_metric.PoseTrack18Metric.__init__).parameters
    settings = PoseTrackMetric(protocol='mmpose').settings
    for name in ('score_mode', 'keypoint_score_thr', 'nms_mode', 'nms_thr'):
        assert getattr(settings, name) == theirs[name].default
    config = mmpose_config(HRNET_CONFIG)
    assert settings.bbox_score_thr == config.val_dataloader.dataset.filter_cfg.bbox_score_thr
    # every argument of theirs is taken by its name
    defaults = {
        name: parameter.default
        for name, parameter in theirs.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert PoseTrackMetric(**defaults).settings.nms_mode == 'oks_nms'


def test_arguments_override_the_protocol(labels, tmp_path, log) -> None:
    folder, files = labels
    samples = make_samples(files)
    metric = PoseTrackMetric(folder, bbox_score_thr=0.5, joint_score_mode='keypoint')
    result = run(metric, samples)
    expected = expect(
        folder,
        files,
        samples,
        lambda s, k: float(s.pred_instances.keypoint_scores[0, k]),
        lambda s: s.pred_instances.bbox_scores[0] >= 0.5,
        tmp_path,
    )
    assert result['posetrack18/AP'] == pytest.approx(expected['Total'], abs=1e-9)
    assert 'Protocol dcpose, changed: Protocol(bbox_score_thr=0.5, joint_score_mode' in '\n'.join(
        log
    )
    assert PoseTrackMetric(protocol='mmpose', nms_thr=0.5).settings.nms_thr == 0.5
    assert PoseTrackMetric(protocol='mmpose', bbox_score_thr=0.0).settings.bbox_score_thr == 0.0
    for same in (
        dict(name='mmpose', nms_thr=0.5),
        ConfigDict(name='mmpose', nms_thr=0.5),
        dataclasses.replace(PROTOCOLS['mmpose'], name='mmpose, changed', nms_thr=0.5),
    ):
        metric = PoseTrackMetric(protocol=same)
        assert metric.settings == PoseTrackMetric(protocol='mmpose', nms_thr=0.5).settings


@pytest.mark.parametrize('nms_mode', ['oks_nms', 'soft_oks_nms'])
@pytest.mark.parametrize('score_mode', ['bbox', 'keypoint', 'bbox_keypoint', 'bbox_rle'])
def test_nms_ranks_by_the_score_of_the_person(labels, tmp_path, nms_mode, score_mode) -> None:
    folder, files = labels
    samples = make_samples(files, noise=1) + make_samples(files, noise=8)
    for index, sample in enumerate(samples):
        sample.set_metainfo({'id': index})
        sample.pred_instances.bbox_scores *= np.float32(1 - 0.001 * index)
        sample.pred_instances.keypoint_scores *= np.float32(1 - 0.001 * index)
    metric = PoseTrackMetric(
        folder,
        score_mode=score_mode,
        nms_mode=nms_mode,
        nms_thr=0.3,
        keypoint_score_thr=0.5,
        outfile_prefix=str(tmp_path / 'out' / 'x'),
    )
    run(metric, samples)
    kept = {
        frame.image_id: frame.keypoints[:, 0, 0].astype(np.float32).tolist()
        for video in read_videos(tmp_path / 'out')
        for frame in video.frames
    }
    assert kept.keys() == {sample.img_id for sample in samples}
    for image, found in kept.items():
        persons = []
        for sample in samples:
            pred = sample.pred_instances
            if sample.img_id != image or pred.bbox_scores[0] < 0.2:
                continue
            box, joints = pred.bbox_scores[0], pred.keypoint_scores[0]
            score = {
                'bbox': box,
                'keypoint': joints.mean(),
                'bbox_keypoint': box * joints[joints > 0.5].mean(),
                'bbox_rle': box + joints.mean() + joints.max(),
            }[score_mode]
            area = np.prod(sample.gt_instances.bbox_scales)
            persons.append({'keypoints': pred.keypoints[0], 'score': score, 'area': area})
        if nms_mode == 'oks_nms':
            flat = [
                {**p, 'keypoints': np.c_[p['keypoints'], np.zeros(15, np.float32)]} for p in persons
            ]
            keep = oks_nms(flat, 0.3, sigmas=meta()['sigmas'])
            assert len(keep) < len(persons)
            assert sorted(found) == sorted(persons[i]['keypoints'][0, 0].item() for i in keep)
        else:
            assert len(found) == min(len(persons), 20)  # soft NMS only orders
            best = max(persons, key=lambda p: p['score'])
            assert found[0] == best['keypoints'][0, 0].item()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(protocol='coco'), "protocol is 'coco', expected one of dcpose, mmpose."),
        (dict(score_mode='area'), "score_mode is 'area', expected one of bbox, keypoint, bbox_key"),
        (dict(nms_mode='nms'), "nms_mode is 'nms', expected one of none, oks_nms, soft_oks_nms."),
        (dict(joint_score_mode='x'), "joint_score_mode is 'x', expected one of keypoint, bbox_key"),
        (dict(tie_break='x'), "tie_break is 'x', expected one of stable, poseval."),
        (dict(dataset='22'), "dataset is '22', expected one of 17, 18, 21."),
        (dict(format_only=True), 'format_only needs outfile_prefix, found none.'),
        (dict(oks_thr=0.9), "there is no setting 'oks_thr', expected one of bbox_score_thr, joint"),
        (dict(protocol=dict(nms=1)), "there is no setting 'nms', expected one of bbox_score_thr"),
        (dict(reach=0), 'reach is 0 and stride 1, expected both to be at least 1'),
    ],
)
def test_wrong_arguments(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        PoseTrackMetric(**arguments)


# -------------------------------------------------------------------------- data and boxes


def test_ground_truth_boxes_and_perfect_poses(labels, tmp_path, log) -> None:
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)
    prefix = str(tmp_path / 'out' / 'x')
    result = run(PoseTrackMetric(folder, outfile_prefix=prefix), samples)
    assert set(result.values()) == {100.0}
    assert 'Boxes: ground_truth. 18 persons predicted, 0 dropped by box score' in '\n'.join(log)
    boxes = iter(sample.pred_instances.bboxes[0] for sample in samples)
    for video in read_videos(tmp_path / 'out'):  # the track ids of the boxes are kept
        assert [f.track_ids.tolist() for f in video.frames] == [[40, 41, 42]] * 3
        for x, y, w, h in np.concatenate([frame.boxes for frame in video.frames]):
            np.testing.assert_allclose([x, y, x + w, y + h], next(boxes), rtol=1e-6)


def test_videos_without_predictions_are_left_out_and_told(labels, log) -> None:
    folder, files = labels
    first = dict([next(iter(files.items()))])
    result = run(PoseTrackMetric(folder), make_samples(first, noise=0))
    assert result['posetrack18/AP'] > 50
    assert 'Scored 1 of 2 videos (1 without any prediction left out): 3 frames' in '\n'.join(log)


def test_video_whose_boxes_all_score_too_little_counts_as_missed(labels) -> None:
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)
    for sample in samples[9:]:
        sample.pred_instances.bbox_scores = np.full(1, 0.1, np.float32)
    assert run(PoseTrackMetric(folder), samples)['posetrack18/AP'] == 50


@pytest.mark.parametrize('threshold', [None, 0.2])
def test_it_does_not_matter_where_weak_boxes_are_dropped(tmp_path, log, threshold) -> None:
    """By the dataset, by the metric, or by the detector, which finds nobody in the third video."""
    persons = [[sample_person(0)], [sample_person(1)]]
    for name in ('000001_a', '000002_b', '000003_c'):
        write_coco_video(tmp_path, 'val', name, persons)
    folder = tmp_path / 'annotations' / 'val'
    boxes = [
        dict(image_id=frame.image_id, category_id=1, bbox=[1, 1, 20, 20], score=score)
        for video, score in zip(read_videos(folder), (0.9, 0.1))  # nothing in the third
        for frame in video.frames
    ]
    write(tmp_path / 'boxes.json', boxes)
    with DefaultScope.overwrite_default_scope('mmpose'):
        dataset = PoseTrackVideoDataset(
            ann_file=str(folder),
            data_prefix=dict(img=str(tmp_path)),
            bbox_file=str(tmp_path / 'boxes.json'),
            filter_cfg=None if threshold is None else dict(bbox_score_thr=threshold),
            test_mode=True,
            pipeline=[],
        )
    frames = {frame.image_id: frame for video in read_videos(folder) for frame in video.frames}
    samples = []
    for info in map(dataset.get_data_info, range(len(dataset))):
        sample = PoseDataSample(metainfo=dict(id=info['id'], img_id=info['img_id'], track_id=-1))
        sample.pred_instances = InstanceData(
            keypoints=frames[info['img_id']].keypoints[:1, :, :2],
            keypoint_scores=np.ones((1, 15)),
            bbox_scores=info['bbox_score'],
        )
        sample.gt_instances = InstanceData(bbox_scores=info['bbox_score'])
        samples.append(sample)
    assert len(samples) == (4 if threshold is None else 2)
    metric = PoseTrackMetric(str(folder), outfile_prefix=str(tmp_path / 'out' / 'x'))
    result = run(metric, samples, dataset.metainfo)
    assert result['posetrack18/AP'] == pytest.approx(100 / 3)
    lines = '\n'.join(log)
    assert 'Scored 3 of 3 videos (0 without any prediction left out): 6 frames' in lines
    frames, videos = (2, 1) if threshold is None else (4, 2)
    assert (
        f'{frames} frames with {frames} labeled persons have no sample, among them those of '
        f'{videos} whole videos; all these joints count as missed'
    ) in lines
    # What is written scores the same.
    written = evaluate_files(folder, tmp_path / 'out')
    assert written['Total'] == pytest.approx(100 / 3)
    # A part of the data is scored alone.
    with DefaultScope.overwrite_default_scope('mmpose'):
        part = PoseTrackVideoDataset(
            ann_file=str(folder),
            data_prefix=dict(img=str(tmp_path)),
            bbox_file=str(tmp_path / 'boxes.json'),
            test_mode=True,
            pipeline=[],
            indices=[0, 1],
        )
    result = run(PoseTrackMetric(str(folder)), samples[:2], part.metainfo)
    assert result['posetrack18/AP'] == 100
    assert 'Scored 1 of 3 videos (2 without any prediction left out): 2 frames' in '\n'.join(log)


@pytest.mark.parametrize('name', ['posetrack17', 'posetrack18', 'posetrack21'])
def test_three_datasets(tmp_path, name, log) -> None:
    """PoseTrack17 comes as annolists, whose image ids the reader makes up."""
    files = make_labels()
    for video, data in files.items():
        content = annolist(data) if name == 'posetrack17' else data
        write(tmp_path / 'val' / f'{video}.json', content)
    samples = make_samples(files, noise=0, detected=False)
    if name == 'posetrack17':
        ids = iter(frame.image_id for v in read_videos(tmp_path / 'val') for frame in v.frames)
        known = {image['id']: next(ids) for data in files.values() for image in data['images']}
        for sample in samples:
            sample.set_metainfo({'img_id': known[sample.img_id]})
    prefix = str(tmp_path / 'out' / 'x')
    metric = PoseTrackMetric(str(tmp_path / 'val'), outfile_prefix=prefix)
    result = run(metric, samples, meta(name))
    assert set(result) == {f'{name}/{n}' for n in [*NAMES, 'Total AP', 'AP', 'mean7 AP']}
    assert set(result.values()) == {100.0}
    assert f'by the rules of PoseTrack{name[-2:]}' in '\n'.join(log)
    # the files it writes give the command the same numbers
    again = evaluate_files(tmp_path / 'val', tmp_path / 'out', dataset=name[-2:])
    assert again['Total'] == 100


def test_images_of_other_labels_without_ids_are_refused(tmp_path) -> None:
    """A subset of PoseTrack17's videos: the ids made up for them are other videos' in the whole."""
    files = make_labels()
    for video, data in files.items():
        for split in ('val', 'subset') if video == '000001_test' else ('val',):
            write(tmp_path / split / f'{video}.json', annolist(data))
    ids = [frame.image_id for v in read_videos(tmp_path / 'subset') for frame in v.frames]
    (images,) = (data['images'] for name, data in files.items() if name == '000001_test')
    known = {image['id']: (i, f'/data/{image["file_name"]}') for i, image in zip(ids, images)}
    samples = make_samples({'000001_test': files['000001_test']}, noise=0, detected=False)
    for sample in samples:
        image_id, path = known[sample.img_id]
        sample.set_metainfo(dict(img_id=image_id, img_path=path))
    scores = run(PoseTrackMetric(str(tmp_path / 'subset')), samples, meta('posetrack17'))
    assert scores['posetrack17/AP'] == 100
    with pytest.raises(AnnotationError, match='000001_test/.* as image id 1000000, which is '):
        run(PoseTrackMetric(str(tmp_path / 'val')), samples, meta('posetrack17'))


def test_ids_of_the_labels_decide_over_names(labels) -> None:
    """Whatever the images are called on this disk."""
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)
    for sample in samples:
        sample.set_metainfo(dict(img_path=f'/elsewhere/{sample.img_id}.png'))
    assert run(PoseTrackMetric(folder), samples)['posetrack18/AP'] == 100


@pytest.mark.parametrize(
    'name, release',
    [
        ('posetrack17', '17'),
        ('my_PoseTrack21', '21'),
        ('posetrack_17', '17'),
        ('PoseTrack-2021', '21'),
        ('dance2021', '18'),
        ('gym_v21', '18'),
        ('posetrack99', '18'),
        ('jhmdb', '18'),
    ],
)
def test_rules_of_a_release_go_by_its_whole_name(labels, name, release) -> None:
    metric = PoseTrackMetric(labels[0])
    metric.dataset_meta = {**meta(), 'dataset_name': name}
    assert metric.release == release


def test_prefix_and_rules_can_be_chosen(labels, log) -> None:
    folder, files = labels
    metric = PoseTrackMetric(folder, prefix='val', dataset='21')
    assert 'val/Total AP' in run(metric, make_samples(files))
    assert 'by the rules of PoseTrack21' in '\n'.join(log)


def test_labels_of_the_dataset_are_the_default(labels) -> None:
    folder, files = labels
    hub = MessageHub.get_current_instance()
    hub.pop_info('posetrack18_ann_file', None)
    with pytest.raises(ValueError, match='"posetrack18_ann_file" in the MessageHub'):
        run(PoseTrackMetric(), make_samples(files))
    hub.update_info_dict({'posetrack18_ann_file': folder})
    assert (
        run(PoseTrackMetric(), make_samples(files, noise=0, detected=False))['posetrack18/AP']
        == 100
    )


def test_shipped_mmpose_config_with_one_word_changed(labels, tmp_path) -> None:
    """The evaluator and dataset of MMPose's config; 17 keypoints with ears, mapped by name."""
    folder, files = labels
    config = mmpose_config(HRNET_CONFIG)
    ann_file = str(Path(folder).parent / 'posetrack18_val.json')
    config.val_dataloader.dataset.update(
        ann_file=ann_file, data_root=None, bbox_file=None, filter_cfg=None, pipeline=[]
    )
    dataset = DATASETS.build(config.val_dataloader.dataset)
    assert config.val_evaluator.type == 'PoseTrack18Metric'
    config.val_evaluator.update(type='PoseTrackMetric', ann_file=ann_file)
    evaluator = Evaluator([METRICS.build(config.val_evaluator)])
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        info = dataset[index]
        sample = PoseDataSample(metainfo={key: info[key] for key in ('id', 'img_id')})
        sample.gt_instances = InstanceData(
            bboxes=info['bbox'], bbox_scores=info['bbox_score'], bbox_scales=np.full((1, 2), 100.0)
        )
        sample.pred_instances = InstanceData(
            keypoints=info['keypoints'], keypoint_scores=np.full((1, 17), 0.9, np.float32)
        )
        evaluator.process([sample], None)
    result = evaluator.evaluate(len(dataset))
    assert set(result.values()) == {100.0}
    assert config.default_hooks.checkpoint.save_best == 'posetrack18/Total AP'
    assert config.default_hooks.checkpoint.save_best in result


def test_converter_of_another_keypoint_set(labels, tmp_path) -> None:
    """COCO's shoulders to ankles; the head has no counterpart, so it is not predicted at all."""
    folder, files = labels
    dataset_meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    body = [name for name in ORDER_17 if name.split('_')[0] in ('left', 'right')][2:]
    coco_names = [dataset_meta['keypoint_id2name'][i] for i in range(17)]
    mapping = [(0, 0)] + [(coco_names.index(name), ORDER_17.index(name)) for name in body]
    metric = PoseTrackMetric(
        folder,
        prefix='x',
        pred_converter=dict(type='KeypointConverter', num_keypoints=17, mapping=mapping),
        outfile_prefix=str(tmp_path / 'out' / 'x'),
    )
    order = ['nose' if name in ('left_eye', 'right_eye') else name for name in coco_names]
    result = run(metric, make_samples(files, order, noise=0, detected=False), dataset_meta)
    assert result['x/Head AP'] == pytest.approx(100 / 3, abs=1e-9)
    assert {result[f'x/{name}'] for name in NAMES[1:]} == {100.0}
    keypoints = read_videos(tmp_path / 'out')[0].frames[0].keypoints
    assert (keypoints[:, 1:3] == 0).all() and (keypoints[:, 3:, 2] == 1).all()


@pytest.mark.parametrize('nms_mode', ['oks_nms', 'soft_oks_nms'])
def test_converted_keypoints_are_compared_by_their_own_sigmas(tmp_path, nms_mode) -> None:
    """From a set in another order and number: as if the model had had PoseTrack's joints."""
    files = make_labels(num_videos=1, num_frames=1)
    write(tmp_path / 'val' / 'a.json', next(iter(files.values())))
    base = meta()
    order = ['extra', *reversed(ORDER_15), 'other']
    sigma_of = dict(zip(ORDER_15, np.linspace(0.02, 0.2, 15)), extra=0.9, other=0.001)
    rng = np.random.default_rng(0)

    def outcome(names: list[str], **arguments) -> list[list]:
        dataset_meta = {
            **base,
            'keypoint_id2name': dict(enumerate(names)),
            'sigmas': np.array([sigma_of[name] for name in names]),
        }
        samples = []
        for number, shift in enumerate(shifts):
            sample = make_samples(files, noise=0, detected=False)[0]
            joints = dict(zip(ORDER_15, sample.pred_instances.keypoints[0] + shift))
            scores = dict(zip(ORDER_15, np.linspace(0.9 - 0.1 * number, 1 - 0.1 * number, 15)))
            joints.update(extra=np.array([1e4, 0]) * number, other=np.zeros(2))
            sample.set_metainfo(dict(id=number, img_id=1000, track_id=number))
            sample.pred_instances = InstanceData(
                keypoints=np.array([joints[name] for name in names])[None],
                keypoint_scores=np.array([scores.get(name, 0.5) for name in names])[None],
                bbox_scores=np.ones(1),
            )
            sample.gt_instances = InstanceData(
                bbox_scores=np.ones(1), bbox_scales=np.full((1, 2), 200.0)
            )
            samples.append(sample)
        folder = tmp_path / f'out{len(names)}'
        metric = PoseTrackMetric(
            str(tmp_path / 'val'), protocol='mmpose', nms_mode=nms_mode, nms_thr=0.6, prefix='x',
            outfile_prefix=f'{folder}/x', **arguments,
        )  # fmt: skip
        run(metric, samples, dataset_meta)
        (frame,) = read_videos(folder)[0].frames
        return [frame.track_ids.tolist(), frame.keypoints.tolist(), frame.scores.tolist()]

    converter = dict(
        num_keypoints=15, mapping=[(order.index(name), n) for n, name in enumerate(ORDER_15)]
    )
    found = set()
    # Of the last, seven joints with small sigmas move: with those of other joints it is suppressed.
    moves = [rng.normal(0, scale, (15, 2)) for scale in (0, 10, 20, 30, 40, 60)]
    for move in (*moves, np.repeat([[60, 0], [0, 0]], [7, 8], axis=0)):
        shifts = np.stack([np.zeros((15, 2)), move])
        own, converted = outcome(ORDER_15), outcome(order, pred_converter=converter)
        assert own == converted
        found.add(len(own[0]))
    assert len(own[0]) == 2 and found == ({1, 2} if nms_mode == 'oks_nms' else {2})


def test_persons_without_a_track_id_take_none_that_is_there(labels, tmp_path) -> None:
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)[:3]
    for sample, track in zip(samples, (-1, 0, -1)):
        sample.set_metainfo(dict(track_id=track))
    assert len({sample.img_id for sample in samples}) == 1
    run(PoseTrackMetric(folder, outfile_prefix=str(tmp_path / 'out' / 'x')), samples)
    assert read_videos(tmp_path / 'out')[0].frames[0].track_ids.tolist() == [1, 0, 2]


def test_bottom_up_samples_hold_whole_images(labels) -> None:
    folder, files = labels
    samples = []
    for data in files.values():
        for image in data['images']:
            persons = [a for a in data['annotations'] if a['image_id'] == image['id']]
            places = [ORDER_17.index(name) for name in ORDER_15]
            joints = np.reshape([a['keypoints'] for a in persons], (-1, 17, 3))[:, places, :2]
            sample = PoseDataSample(metainfo=dict(id=[1, 2, 3], img_id=image['id']))
            sample.gt_instances = InstanceData()
            sample.pred_instances = InstanceData(
                keypoints=joints, keypoint_scores=np.full(joints.shape[:2], 0.7)
            )
            samples.append(sample)
    assert run(PoseTrackMetric(folder), samples)['posetrack18/AP'] == 100


def test_tensors_are_taken_too(labels) -> None:
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)
    for sample in samples:
        sample.pred_instances = sample.pred_instances.to_tensor()
    assert run(PoseTrackMetric(folder), samples)['posetrack18/AP'] == 100


def test_format_only_writes_and_scores_nothing(labels, tmp_path) -> None:
    folder, files = labels
    prefix = str(tmp_path / 'out' / 'x')
    samples = make_samples(files)
    assert run(PoseTrackMetric(folder, format_only=True, outfile_prefix=prefix), samples) == {}
    for name, data in files.items():
        written = json.loads((tmp_path / 'out' / f'{name}.json').read_text())
        assert [i['id'] for i in written['images']] == [i['id'] for i in data['images']]
        for annotation in written['annotations']:
            assert len(annotation['keypoints']) == 51 and len(annotation['scores']) == 17
            assert annotation['track_id'] >= 0
            assert annotation['keypoints'][9:15] == [0] * 6
    expected = run(PoseTrackMetric(folder), samples)
    again = evaluate_files(folder, tmp_path / 'out')
    assert again['Total'] == pytest.approx(expected['posetrack18/AP'], abs=1e-9)


# ---------------------------------------------------------------------------------- errors


def test_wrong_image_ids_are_an_error(labels) -> None:
    folder, files = labels
    samples = make_samples(files)
    samples[3].set_metainfo({'img_id': 77})
    message = 'predictions for 1 image ids that the labels do not have, for example 77; the labels'
    with pytest.raises(AnnotationError, match=message):
        run(PoseTrackMetric(folder), samples)


def test_two_predictions_with_one_id_are_an_error(labels) -> None:
    folder, files = labels
    samples = make_samples(files)
    samples[3].set_metainfo({'id': 1})
    message = '1 sample ids have more than one prediction, for example 1; expected unique ids.'
    with pytest.raises(AnnotationError, match=message):
        run(PoseTrackMetric(folder), samples)


def test_no_predictions_are_an_error(labels) -> None:
    with pytest.raises(AnnotationError, match='no predictions to score'):
        run(PoseTrackMetric(labels[0]), [])


def test_wrong_labels_end_a_run_at_its_start(tmp_path) -> None:
    evaluator = Evaluator(PoseTrackMetric(str(tmp_path / 'nowhere')))
    with pytest.raises(AnnotationError, match='nowhere: not found'):
        evaluator.dataset_meta = meta()


def test_labels_without_head_boxes_end_a_run_at_its_start(tmp_path) -> None:
    files = make_labels(num_videos=1)
    name = next(iter(files))
    del files[name]['annotations'][2]['bbox_head']
    write(tmp_path / f'{name}.json', files[name])
    with pytest.raises(AnnotationError, match=f'{name}.*head'):
        Evaluator(PoseTrackMetric(str(tmp_path))).dataset_meta = meta()
    for metric in (
        PoseTrackPCK(str(tmp_path)),
        PoseTrackMetric(str(tmp_path), format_only=True, outfile_prefix=str(tmp_path / 'out')),
    ):
        Evaluator(metric).dataset_meta = meta()


@pytest.mark.parametrize('joints', [[3], [*range(14)]])
def test_predictions_of_another_number_of_joints_are_an_error(labels, joints) -> None:
    folder, files = labels
    samples = make_samples(files)
    pred = samples[1].pred_instances
    pred.keypoints, pred.keypoint_scores = (
        pred.keypoints[:, joints],
        pred.keypoint_scores[:, joints],
    )
    message = f'the prediction has {len(joints)} joints, the dataset 15; expected the same'
    with pytest.raises(AnnotationError, match=message):
        run(PoseTrackMetric(folder), samples)


def test_keypoints_of_another_dataset_are_an_error(labels) -> None:
    dataset_meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    with pytest.raises(AnnotationError, match='found none for head_bottom, head_top'):
        Evaluator(PoseTrackMetric(labels[0])).dataset_meta = dataset_meta


def test_image_ids_of_two_videos_must_differ(tmp_path) -> None:
    for name in ('a', 'b'):
        write(tmp_path / f'{name}.json', coco([[person({'nose': (5, 5)}, head=HEAD)]], name, 100))
    with pytest.raises(AnnotationError, match='expected unique image ids'):
        Evaluator(PoseTrackMetric(str(tmp_path))).dataset_meta = meta()


def test_values_that_are_not_finite_are_told_and_wrong(labels, log) -> None:
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)
    samples[0].pred_instances.keypoints[0, 0] = np.nan
    result = run(PoseTrackMetric(folder), samples)
    assert result['posetrack18/Head AP'] < 100 and result['posetrack18/Hip AP'] == 100
    assert any('1 predicted persons have coordinates or scores that are not' in m for m in log)


@pytest.mark.parametrize('field', ['keypoint_scores', 'bbox_scores'])
def test_scores_that_are_not_finite_are_told(labels, log, field) -> None:
    folder, files = labels
    samples = make_samples(files, noise=0, detected=False)
    samples[0].pred_instances[field][0] = np.nan
    run(PoseTrackMetric(folder), samples)
    assert any('1 predicted persons have coordinates or scores that are not' in m for m in log)
    dropped = int(field == 'bbox_scores')
    assert any(f'{dropped} dropped by box score, 0 by NMS' in m for m in log)


def test_what_is_not_finite_scores_the_same_from_files(labels, tmp_path) -> None:
    folder, files = labels
    samples = make_samples(files)
    samples[0].pred_instances.keypoints[0, 0] = np.nan
    samples[1].pred_instances.keypoint_scores[0, 1] = np.nan
    result = run(PoseTrackMetric(folder, outfile_prefix=str(tmp_path / 'out/x')), samples)
    from_files = evaluate_files(folder, tmp_path / 'out', dataset='18')
    assert result['posetrack18/AP'] == pytest.approx(from_files['Total'], abs=1e-9)
    frames = [frame for video in read_videos(tmp_path / 'out') for frame in video.frames]
    lowest = min(frame.keypoints[..., :2].min(initial=0) for frame in frames)
    assert lowest < -100_000  # where no label can be, unlike (0, 0)


def test_labels_of_nobody_are_told(labels, log) -> None:
    folder, files = labels
    samples = make_samples(files)
    for name, data in files.items():
        write(Path(folder) / f'{name}.json', {**data, 'annotations': []})
    assert run(PoseTrackMetric(folder), samples)['posetrack18/AP'] == 0
    assert any('Nothing is scored: no joint is labeled' in m for m in log)


# --------------------------------------------------------------------------- two processes


def evaluate_on_a_rank(rank: int, world: int, folder: str) -> None:
    """One of the processes; the first writes down what it gets in each case."""
    os.chdir(folder)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=world
    )
    every = make_samples(make_labels())
    found = {}
    for size in (len(every), len(every) - 1, 3, 1):
        samples = every[:size]
        for round_up in (False, True):
            metric = PoseTrackMetric('labels', outfile_prefix=f'{folder}/out{size}{round_up}/x')
            metric.dataset_meta = meta()
            sampler = DefaultSampler(samples, shuffle=False, round_up=round_up)
            indices = list(sampler)
            for start in range(0, len(indices), 4):
                batch = [samples[index].to_dict() for index in indices[start : start + 4]]
                metric.process(None, batch)
            found[f'{size}{round_up}'] = metric.evaluate(size)
    Path(folder, f'rank{rank}.json').write_text(json.dumps(found))


@pytest.mark.slow
def test_two_processes_lose_and_repeat_nothing(tmp_path) -> None:
    files = make_labels()
    for name, data in files.items():
        write(tmp_path / 'labels' / f'{name}.json', data)
    every = make_samples(files)
    assert {len(every) % 2, (len(every) - 1) % 2} == {0, 1}  # divides once, and once not
    start_processes(evaluate_on_a_rank, (2, str(tmp_path)), 2)
    first, second = (json.loads((tmp_path / f'rank{r}.json').read_text()) for r in (0, 1))
    assert first == second
    for case, result in first.items():
        size = int(case.replace('True', '').replace('False', ''))
        alone = PoseTrackMetric(
            str(tmp_path / 'labels'), outfile_prefix=str(tmp_path / f'alone{size}' / 'x')
        )
        assert result == run(alone, every[:size])
        for name in os.listdir(tmp_path / f'alone{size}'):
            written = (tmp_path / f'out{case}' / name).read_text()
            assert written == (tmp_path / f'alone{size}' / name).read_text()


# --------------------------------------------------------------------------------- visibility


def test_recall_by_visibility(labels, log, tmp_path) -> None:
    """The same numbers as from the files that the metric writes; none unless asked for."""
    folder, files = labels
    rng = random.Random(2)
    for name, data in files.items():
        for annotation in data['annotations']:
            annotation['keypoints'][2::3] = [
                v and rng.randrange(2) for v in annotation['keypoints'][2::3]
            ]
        write(Path(folder) / f'{name}.json', data)
    samples = make_samples(files)
    out = str(tmp_path / 'out') + '/'
    result = run(PoseTrackMetric(ann_file=folder, visibility=True, reach=2, outfile_prefix=out),
                 samples)  # fmt: skip
    expected = evaluate_files(folder, out, visibility=True, reach=2)['visibility']
    for name, columns in expected['recall'].items():
        assert result[f'posetrack18/Recall {name}'] == columns['Total']
    assert expected['joints']['recoverable'] > 0 < expected['joints']['lost']
    assert any('| Recall recoverable' in message for message in log)
    metric = PoseTrackMetric(ann_file=folder, visibility=True, prefix='x')
    assert set(metric.result_names) == set(run(metric, samples))
    metric = PoseTrackMetric(ann_file=folder)
    plain = run(metric, samples)
    assert set(metric.result_names) == set(plain)
    assert plain == {k: v for k, v in result.items() if 'Recall' not in k}


@pytest.mark.parametrize(
    ('num_frames', 'key_index', 'reach'),
    [(None, None, 1), (1, 0, 1), (3, 1, 1), (5, 2, 2), (3, 2, (2, 0)), (4, 1, (1, 2))],
)
def test_reach_is_that_of_the_clips(tmp_path, log, num_frames, key_index, reach) -> None:
    """A joint that a frame shows which the model does not see is not recoverable."""
    visible = [1, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1]
    frames = [
        [person({'nose': (50, 50, v), 'left_hip': (90, 90)}, track_id=3, bbox=[0, 0, 99, 99])]
        for v in visible
    ]
    data = coco(frames, 'a', 100)
    write(tmp_path / 'labels' / 'a.json', data)
    samples = make_samples({'a': data}, noise=0, detected=False)
    for sample in samples:
        if num_frames is not None:
            sample.set_metainfo(dict(key_index=key_index, frame_valid=np.ones(num_frames, bool)))
        sample.pred_instances.keypoints[0, 3:] = sample.pred_instances.keypoints[0, :1]
    before, after = reach if isinstance(reach, tuple) else (reach, reach)
    hidden = [number for number, v in enumerate(visible) if not v]
    shown = [n for n in hidden if any(visible[max(n - before, 0) : n + after + 1])]
    assert 0 < len(shown) < len(hidden)

    metric = PoseTrackMetric(str(tmp_path / 'labels'), visibility=True)
    result = run(metric, samples)
    assert f'Recoverable joints: neighbors up to {reach} x 1 frames' in '\n'.join(log)
    assert f'{len(hidden)} occluded, of which {len(shown)} recoverable' in '\n'.join(log)
    given = PoseTrackMetric(str(tmp_path / 'labels'), visibility=True, reach=reach)
    assert run(given, samples) == pytest.approx(result, nan_ok=True)


@pytest.mark.parametrize(
    ('offsets', 'arguments', 'shown'),
    [
        ([[-2, 0, 2]], {}, {2}),
        ([[-2, 0, 2]], dict(stride=1), {1, 3}),
        ([[-2, 0, 2]], dict(reach=1), {1, 3}),
        ([[-2, 0, 2]], dict(reach=1, stride=2), {2}),
        ([[-1, 0, 1]], {}, {1, 3}),
        ([[-1, 0, 2], [-2, 0, 2]], {}, {1, 3}),  # of two kinds: 1
    ],
)
def test_stride_is_that_of_the_clips(tmp_path, log, offsets, arguments, shown) -> None:
    """Hidden in frames 1 to 3, seen in 0 and 4."""
    frames = [[person({'nose': (50, 50, v)}, track_id=3)] for v in (1, 0, 0, 0, 1)]
    data = coco(frames, 'a', 100)
    write(tmp_path / 'labels' / 'a.json', data)
    samples = make_samples({'a': data}, noise=0, detected=False)
    for number, sample in enumerate(samples):
        clip = np.array(offsets[number % len(offsets)])
        sample.set_metainfo(dict(key_index=1, frame_valid=np.ones(3, bool), frame_offsets=clip))
    run(PoseTrackMetric(str(tmp_path / 'labels'), visibility=True, **arguments), samples)
    assert f'3 occluded, of which {len(shown)} recoverable' in '\n'.join(log)
    stride = 2 if shown == {2} else 1
    assert f'Recoverable joints: neighbors up to 1 x {stride} frames' in '\n'.join(log)


def test_clips_of_two_kinds_need_a_reach(labels) -> None:
    folder, files = labels
    samples = make_samples(files)
    for number, sample in enumerate(samples):
        num_frames = 3 if number % 2 else 5
        sample.set_metainfo(dict(key_index=1, frame_valid=np.ones(num_frames, bool)))
    message = r'the clips show \(1, 1\) or \(1, 3\) frames before and after their key frames'
    with pytest.raises(AnnotationError, match=message):
        run(PoseTrackMetric(folder, visibility=True), samples)
    assert 'posetrack18/AP' in run(PoseTrackMetric(folder, visibility=True, reach=1), samples)


def test_old_places() -> None:
    from cmpose_mm import evaluation
    from cmpose_mm.evaluation import posetrack_metric

    assert METRICS.get('PoseTrackMetric') is PoseTrackMetric
    for module in (evaluation, posetrack_metric):
        with pytest.warns(FutureWarning, match='is called cmpose_mm.metrics.PoseTrackMetric now'):
            assert module.PoseTrackMetric is PoseTrackMetric
    with pytest.warns(FutureWarning):
        assert posetrack_metric.PROTOCOLS is PROTOCOLS


def test_areas_are_those_of_the_poses_where_the_sample_has_none(labels) -> None:
    folder, files = labels
    metric = PoseTrackMetric(folder)
    metric.dataset_meta = meta()
    sample = make_samples(files)[0].to_dict()
    sample['gt_instances'] = dict(bbox_scores=sample['gt_instances']['bbox_scores'])
    metric.process({}, [sample])
    (result,) = metric.results
    (width, height) = np.ptp(result['keypoints'][0], axis=0)
    assert result['areas'] == pytest.approx([width * height])


def test_boxes_at_the_threshold_are_scored(labels) -> None:
    folder, files = labels
    samples = make_samples(files)
    for sample in samples:
        sample.pred_instances.bbox_scores = np.full(1, 0.5, np.float32)
    at, below = (
        run(PoseTrackMetric(folder, bbox_score_thr=threshold, nms_mode='none'), samples)
        for threshold in (0.5, 0.4)
    )
    assert at == below and at['posetrack18/AP'] > 0
