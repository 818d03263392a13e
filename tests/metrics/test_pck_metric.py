"""`PoseTrackPCK` in MMPose's runner, beside MMPose's own metric on the same samples."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from label_files import ORDER_15, ORDER_17, coco, person, write
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import PCKAccuracy
from mmpose.structures import PoseDataSample

from cmpose_mm.datasets.body.posetrack_video_dataset import posetrack_metainfo
from cmpose_mm.evaluation import evaluate_files
from cmpose_mm.metrics import PoseTrackMetric, PoseTrackPCK
from cmpose_mm.posetrack.annotations import AnnotationError

WIDTH, HEIGHT = 320, 240


def make(path, num_videos: int = 3, num_frames: int = 40) -> list[PoseDataSample]:
    """Label files of one person a frame at `path`, without image sizes, and float32 predictions.

    Half the boxes reach the image's last row, as JHMDB's do.
    """
    rng = np.random.default_rng(0)
    samples = []
    for video in range(num_videos):
        frames, boxes = [], []
        for _ in range(num_frames):
            x, y, w = rng.integers(0, 150, 3) + np.array([0, 0, 20])
            h = HEIGHT - y if rng.random() < 0.5 else rng.integers(30, 90)
            xy = rng.uniform((x, y), (x + w, y + h), (15, 2)).astype(np.float32)
            joints = {
                name: tuple(map(float, point))
                for name, point in zip(ORDER_15, xy)
                if name != 'head_top' and rng.random() < 0.8
            }
            frames.append([person(joints, bbox=[int(v) for v in (x, y, w, h)], track_id=0)])
            boxes.append([x, y, min(x + w, WIDTH - 1), min(y + h, HEIGHT - 1)])
        name = f'{video:06d}_test'
        data = coco(frames, name, 1000 * (video + 1))
        write(path / f'{name}.json', data)
        for annotation, box in zip(data['annotations'], boxes):
            keypoints = np.reshape(annotation['keypoints'], (17, 3)).astype(np.float32)
            keypoints = keypoints[[ORDER_17.index(joint) for joint in ORDER_15]][None]
            sample = PoseDataSample(
                metainfo=dict(
                    id=annotation['id'],
                    img_id=annotation['image_id'],
                    track_id=0,
                    box_source='ground_truth',
                    ori_shape=(HEIGHT, WIDTH),
                )
            )
            box = np.array([box], np.float32)
            sample.gt_instances = InstanceData(
                keypoints=keypoints[..., :2],
                keypoints_visible=keypoints.any(axis=-1).astype(np.float32),
                bboxes=box,
                bbox_scores=np.ones(1, np.float32),
            )
            sample.pred_instances = InstanceData(
                keypoints=keypoints[..., :2] + rng.normal(0, 15, (1, 15, 2)).astype(np.float32),
                keypoint_scores=np.ones((1, 15), np.float32),
                bboxes=box,
                bbox_scores=np.ones(1, np.float32),
            )
            samples.append(sample)
    return samples


def run(metrics: list, samples: list[PoseDataSample]) -> dict[str, float]:
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = parse_pose_metainfo(posetrack_metainfo('posetrack18'))
    for start in range(0, len(samples), 16):
        evaluator.process(samples[start : start + 16], None)
    return evaluator.evaluate(len(samples))


@pytest.mark.parametrize('threshold', [0.5, 0.2, 0.1, 0.05])
def test_equals_mmposes_pck_on_its_own_inputs(tmp_path, threshold) -> None:
    samples = make(tmp_path / 'labels')
    theirs = run([PCKAccuracy(threshold, 'bbox', prefix='x')], copy.deepcopy(samples))['x/PCK']
    ours = run([PoseTrackPCK(str(tmp_path / 'labels'), prefix='x')], samples)
    assert 0.02 < theirs < 0.995
    assert ours[f'x/PCK@{threshold:g}'] / 100 == pytest.approx(theirs, abs=1e-6)


def test_all_norms_and_means_beside_ap(tmp_path) -> None:
    samples = make(tmp_path / 'labels')
    norms = ['box', 'torso', 'head']
    metrics = [
        PoseTrackPCK(str(tmp_path / 'labels'), norms=norms, thresholds=[0.2, 0.05], prefix='a'),
        PoseTrackMetric(
            str(tmp_path / 'labels'), prefix='a', outfile_prefix=str(tmp_path / 'pred' / 'x')
        ),
    ]
    found = run(metrics, samples)
    assert sorted(found) == sorted(name for metric in metrics for name in metric.result_names)
    result = evaluate_files(sized(tmp_path), tmp_path / 'pred', pck_norms=norms)
    assert found['a/AP'] == pytest.approx(result['Total'])
    for norm, name in {'box': 'PCK', 'torso': 'tPCK', 'head': 'PCKh'}.items():
        row = result['pck'][norm][f'{name}@0.2']
        assert found[f'a/{name}@0.2'] == row['Total']
        assert found[f'a/{name}@0.2 mean13'] == row['mean13']
        assert found[f'a/{name}@0.2 mean7'] == row['mean7']
    assert len({found[f'a/{name}@0.2'] for name in ('PCK', 'tPCK', 'PCKh')}) == 3


def sized(folder):
    """The labels again, with the sizes that the samples told the metric."""
    for path in (folder / 'labels').iterdir():
        data = json.loads(path.read_text())
        for image in data['images']:
            image.update(width=WIDTH, height=HEIGHT)
        write(folder / 'sized' / path.name, data)
    return folder / 'sized'


def test_labels_without_head_boxes(tmp_path) -> None:
    """PCK by the box needs none; AP does."""
    labels = [[person({'nose': (5, 5), 'left_hip': (9, 30)}, head=None, bbox=[0, 0, 40, 40])]]
    data = coco(labels)
    write(tmp_path / 'labels' / '000001_test.json', data)
    samples = make(tmp_path / 'other', 1, 1)
    samples[0].set_metainfo(dict(id=1, img_id=data['images'][0]['id']))
    found = run([PoseTrackPCK(str(tmp_path / 'labels'), norms=['box', 'head'])], samples)
    assert found['posetrack18/PCK@0.5'] >= 0 and np.isnan(found['posetrack18/PCKh@0.5'])
    with pytest.raises(AnnotationError, match='has no head box'):
        run([PoseTrackMetric(str(tmp_path / 'labels'))], samples)


def test_wrong_arguments(tmp_path) -> None:
    with pytest.raises(ValueError, match="norm is 'bbox', expected one of box, torso, head"):
        PoseTrackPCK(norms=['bbox'])
    with pytest.raises(ValueError, match='expected numbers above 0'):
        PoseTrackPCK(thresholds=[0])
    make(tmp_path / 'labels', 1, 1)
    with pytest.raises(AnnotationError, match='PoseTrackPCK: predictions for 1 image ids'):
        samples = make(tmp_path / 'other', 1, 1)
        samples[0].set_metainfo(dict(img_id=7))
        run([PoseTrackPCK(str(tmp_path / 'labels'))], samples)


def test_predictions_alone(tmp_path) -> None:
    samples, out = make(tmp_path / 'labels'), tmp_path / 'out'
    metric = PoseTrackPCK(
        str(tmp_path / 'labels'), format_only=True, outfile_prefix=f'{out}/x', prefix='x'
    )
    assert run([metric], samples) == {} and metric.result_names == []
    assert len(list(out.iterdir())) == len(list((tmp_path / 'labels').iterdir()))


@pytest.mark.parametrize('name', ['tie_break', 'visibility', 'reach', 'stride'])
def test_settings_of_average_precision_are_refused(name):
    with pytest.raises(ValueError, match=f'PoseTrackPCK has no {name}, which PoseTrackMetric has'):
        PoseTrackPCK(**{name: 1})
