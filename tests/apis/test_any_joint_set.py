"""MMPose's single-frame models of many joint sets, with random weights, against MMPose itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.apis import MMPoseInferencer
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from run_tools import run_tool
from sample_videos import make_video, noise_frames

from cmpose_mm.apis import CsvWriter, PoseTrackWriter, VideoPoseInferencer, open_frames
from cmpose_mm.apis.loading import find_config
from cmpose_mm.apis.person_boxes import read_boxes
from cmpose_mm.evaluation import evaluate_files
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.visualization import explain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings('ignore:The metainfo config file', 'ignore:.*autocast'),
]

TOOL = str(Path(__file__).parents[2] / 'tools' / 'infer_video.py')

RES18 = 'backbone=dict(depth=18, base_channels=16, stem_channels=16), head=dict(in_channels=128'
DECONV = RES18 + ', deconv_out_channels=(16,) * 3)'
MODELS_OF_SETS = {  # name by which the config is found -> number of joints, what makes it small
    'res50-coco': (17, DECONV),
    'res50-wholebody': (133, DECONV),
    'res50-ap10k': (17, DECONV),
    'res50-jhmdb': (15, DECONV),
    'res50-posetrack18': (17, DECONV),
    'rtmpose-t-halpe26': (26, ''),
    'td-reg_res50_8xb64-210e_mpii-256x256': (16, RES18 + ')'),
    'res50-onehand10k': (21, DECONV),  # has no sigmas
}


@pytest.fixture(autouse=True)
def double():
    """Heatmaps of random weights are so flat that the order of float32 sums moves their peaks."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def small_model(tmp_path):
    """Writes config and checkpoint of a small model of a joint set, by its published name."""

    def write(name: str) -> tuple[str, str]:
        path = tmp_path / f'small_{name}.py'
        path.write_text(
            f'_base_ = [{find_config(name)!r}]\nmodel = dict({MODELS_OF_SETS[name][1]})'
        )
        config = Config.fromfile(path)
        init_default_scope('mmpose')
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        checkpoint = path.with_suffix('.pth')
        meta = dict(dataset_meta=dataset_meta_from_config(config, 'train'))
        torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
        return str(path), str(checkpoint)

    return write


@pytest.fixture
def video(tmp_path) -> str:
    """A video whose pixels every decoder gives alike."""
    images = noise_frames(2, 96, 128)
    return make_video(tmp_path / 'clip.avi', images, codec='ffv1', pix_fmt='bgr0')


BOXES = np.array([[4, 6, 52, 90], [60, 10, 120, 84]], np.float32)
SCORES = np.array([0.9, 0.8], np.float32)


class GivenBoxes:
    """Takes the place of MMPose's detector."""

    def __call__(self, image: np.ndarray, return_datasamples: bool) -> dict:
        found = InstanceData(
            bboxes=torch.tensor(BOXES, dtype=torch.float32),
            scores=torch.tensor(SCORES, dtype=torch.float32),
            labels=torch.zeros(len(BOXES), dtype=torch.long),
        )
        return dict(predictions=[PoseDataSample(pred_instances=found)])


def reference(config: str, checkpoint: str, video: str) -> list[InstanceData]:
    """What MMPose's inferencer finds in the same boxes."""
    inferencer = MMPoseInferencer(config, checkpoint, device='cpu', det_model='whole_image')
    inferencer.inferencer.detector, inferencer.inferencer.det_cat_ids = GivenBoxes(), (0,)
    results = inferencer(video, return_datasamples=True)
    return [result['predictions'][0].pred_instances for result in results]


@pytest.mark.parametrize('name', MODELS_OF_SETS)
def test_poses_are_those_of_mmpose(small_model, video, name, tmp_path):
    config, checkpoint = small_model(name)
    inferencer = VideoPoseInferencer(config, checkpoint, batch_size=4)
    names = dataset_meta_from_config(Config.fromfile(config), 'train')['keypoint_id2name']
    assert inferencer.joints.joints == tuple(names[index] for index in range(len(names)))
    assert len(inferencer.joints) == MODELS_OF_SETS[name][0]
    boxes = dict.fromkeys(range(2), (BOXES, SCORES))
    results = list(inferencer(video, boxes))
    expected = reference(config, checkpoint, video)
    assert len(results) == len(expected) == 2
    for result, other in zip(results, expected):
        pred = result.data_sample.pred_instances
        assert np.ptp(pred.keypoints, axis=1).min() > 1  # no pose is a point
        np.testing.assert_allclose(pred.keypoints, other.keypoints, rtol=0, atol=1e-3)
        np.testing.assert_allclose(pred.keypoint_scores, other.keypoint_scores, rtol=1e-4)
        np.testing.assert_array_equal(pred.bboxes, BOXES)
        assert pred.track_ids.tolist() == [0, 1]
    assert np.abs(np.diff([r.data_sample.pred_instances.keypoints for r in results], axis=0)).max()

    with PoseTrackWriter(tmp_path / 'p.json', 'clip', inferencer.joints) as poses:
        with CsvWriter(tmp_path / 'p.csv', inferencer.joints) as table:
            for result in results:
                poses.write(result)
                table.write(result)
    content = json.loads((tmp_path / 'p.json').read_bytes())
    assert content['categories'][0]['keypoints'] == list(inferencer.joints.joints)
    keypoints = np.array([a['keypoints'] for a in content['annotations']]).reshape(2, 2, -1, 3)
    rows = list(csv.DictReader((tmp_path / 'p.csv').open(newline='')))
    for place, joint in enumerate(inferencer.joints.joints):
        found = [r.data_sample.pred_instances.keypoints[:, place] for r in results]
        np.testing.assert_allclose(keypoints[:, :, place, :2], found, atol=1e-9)
        written = [[float(row[f'{joint}_{axis}']) for axis in 'xy'] for row in rows]
        np.testing.assert_allclose(written, np.concatenate(found), atol=5.1e-3)
    for file in ('p.json', 'p.csv'):  # both serve as boxes again
        source = read_boxes(tmp_path / file, open_frames(video))
        np.testing.assert_allclose(source(results[1].frame)[0], BOXES, atol=1e-3)


def test_a_clip_model_of_other_joints(tiny_model, clip_folder, clip_labels, tmp_path):
    """This package's models too: files, tracks, and the pictures of their details."""
    jhmdb = "dict(from_file='configs/_base_/datasets/jhmdb.py')"
    extra = f"\ntrain_dataloader['dataset'].update(metainfo={jhmdb})\n"
    config, checkpoint = tiny_model(extra)
    options = [clip_folder, '--config', config, '--checkpoint', checkpoint, '--boxes', clip_labels]
    options += ['--out-json', 'p.json', '--causal-tokens', 't.mp4', '--joint', 'belly']
    result = run_tool(TOOL, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'model: tiny, 15 joints of jhmdb\n' in result.stderr
    (category,) = json.loads((tmp_path / 'p.json').read_bytes())['categories']
    assert category['keypoints'][:3] == ['neck', 'belly', 'head']
    assert category['joint_set'] == 'jhmdb'
    assert len(list(open_frames(str(tmp_path / 't.mp4')))) == 5
    inferencer = VideoPoseInferencer(config, checkpoint, details=True)
    for result in inferencer(clip_folder, clip_labels):
        sample = result.data_sample
        if len(sample.pred_instances):
            values = np.asarray(sample.pred_instances.similarity[0])
            shown = explain(sample, result.frame.image, joint='belly').similarity_map
            np.testing.assert_array_equal(shown.ravel(), values[1])


def test_persons_of_other_joints_are_followed(small_model, video):
    config, checkpoint = small_model('res50-coco')
    content = torch.load(checkpoint)
    content['state_dict']['head.final_layer.bias'] += 1  # sure of its joints
    torch.save(content, checkpoint)
    for joints in ('model', 'derived'):
        inferencer = VideoPoseInferencer(
            config, checkpoint, detector='whole_frame', joints=joints, batch_size=2
        )
        results = [result.data_sample.pred_instances for result in inferencer(video)]
        assert [len(pred) for pred in results] == [1, 1]
        assert results[0].keypoints.shape == (1, 17 if joints == 'model' else 15, 2)


def test_no_warning_says_that_mmdetection_is_missing(small_model, logged):
    """Each layer of RTMPose's backbone names MMDetection's scope, and is there without it."""
    config, checkpoint = small_model('rtmpose-t-halpe26')
    before = logged()  # of building it once
    VideoPoseInferencer(config, checkpoint)
    assert logged() == before


@pytest.mark.parametrize('name', ['rtmpose-t-halpe26', 'res50-coco'])
def test_half_precision_of_every_head(small_model, video, name):
    torch.set_default_dtype(torch.float32)  # autocast leaves float64 as it is
    config, checkpoint = small_model(name)
    options = {'model.test_cfg.flip_test': False}
    full, half = (
        list(
            VideoPoseInferencer(config, checkpoint, half=half, cfg_options=options)(
                video, {0: (BOXES[:1], SCORES[:1])}
            )
        )
        for half in (None, 'bf16')
    )
    full, half = full[:1], half[:1]
    for one, other in zip(full, half):
        one, other = one.data_sample.pred_instances, other.data_sample.pred_instances
        assert other.keypoint_scores.dtype == np.float32
        assert not np.array_equal(one.keypoint_scores, other.keypoint_scores)
        np.testing.assert_allclose(one.keypoint_scores, other.keypoint_scores, rtol=0.05, atol=0.02)
        assert np.isfinite(other.keypoints).all()


def test_jhmdb_is_not_taken_for_posetrack(small_model, video, tmp_path):
    """It also has 15 joints."""
    config, checkpoint = small_model('res50-jhmdb')
    inferencer = VideoPoseInferencer(config, checkpoint)
    (first, *_) = inferencer(video)
    with PoseTrackWriter(tmp_path / 'p.json', 'clip') as writer:
        with pytest.raises(ValueError, match=r'15 joints of jhmdb \(neck, belly.*expected .* pose'):
            writer.write(first)
    message = "15 joints of jhmdb: there is no nose, head_top, expected all of PoseTrack's 15$"
    for joints in ('posetrack', 'derived'):
        with pytest.raises(ValueError, match=message):
            VideoPoseInferencer(config, checkpoint, joints=joints)
    with PoseTrackWriter(tmp_path / 'own.json', 'clip', inferencer.joints) as writer:
        writer.write(first)
    with pytest.raises(AnnotationError, match="names 0 keypoints 'nose'"):
        read_videos(tmp_path / 'own.json')  # neither are the files


def test_posetracks_17_joints_are_mapped_by_name(small_model, video, tmp_path):
    config, checkpoint = small_model('res50-posetrack18')
    boxes = dict.fromkeys(range(2), (BOXES, SCORES))
    own = VideoPoseInferencer(config, checkpoint)
    inferencer = VideoPoseInferencer(config, checkpoint, joints='posetrack')
    assert inferencer.joints.joints == JOINT_NAMES and not inferencer.joints.derived
    with PoseTrackWriter(tmp_path / 'p.json', 'clip', inferencer.joints) as writer:
        for result, other in zip(inferencer(video, boxes), own(video, boxes)):
            pred, all_17 = (r.data_sample.pred_instances for r in (result, other))
            for place, joint in enumerate(JOINT_NAMES):
                source = own.joints.joints.index(joint)
                np.testing.assert_array_equal(pred.keypoints[:, place], all_17.keypoints[:, source])
                np.testing.assert_array_equal(
                    pred.keypoint_scores[:, place], all_17.keypoint_scores[:, source]
                )
            writer.write(result)
    (written,) = read_videos(tmp_path / 'p.json')
    assert written.frames[0].keypoints.shape == (2, 15, 3)
    content = json.loads((tmp_path / 'p.json').read_bytes())
    assert 'derived' not in content['categories'][0]


def test_cocos_head_is_derived_on_request(small_model, video, tmp_path):
    """The command: what is asked for, said on the terminal and in both files, scored, drawn."""
    config, checkpoint = small_model('res50-coco')
    (tmp_path / 'boxes.csv').write_text('frame,x1,y1,x2,y2\n0,4,6,52,90\n1,5,6,52,90\n')
    arguments = [video, '--config', config, '--checkpoint', checkpoint, '--boxes', 'boxes.csv']
    refused = run_tool(TOOL, *arguments, '--joints', 'posetrack', cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        'infer_video: 17 joints of coco: there is no head_bottom, head_top, expected all of '
        "PoseTrack's 15; 'derived' computes head_bottom and head_top"
    )
    arguments += ['--out-json', 'p.json', '--out-csv', 'p.csv', '--out-video', 'p.mp4']
    for joints in ('model', 'derived'):
        result = run_tool(TOOL, *arguments, '--joints', joints, '--joint-thr', '-9', cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        if joints == 'model':
            assert 'model: small_res50-coco, 17 joints of coco\n' in result.stderr
            with pytest.raises(AnnotationError, match="names 0 keypoints 'head_bottom'"):
                read_videos(tmp_path / 'p.json')
            own = json.loads((tmp_path / 'p.json').read_bytes())
    assert 'head_top derived: twice the nose minus the midpoint of the shoulders' in result.stderr
    content = json.loads((tmp_path / 'p.json').read_bytes())
    assert list(content['categories'][0]['derived']) == ['head_bottom', 'head_top']
    for row in csv.DictReader((tmp_path / 'p.csv').open(newline='')):
        assert row['derived_joints'] == 'head_bottom+head_top'
    names = own['categories'][0]['keypoints']
    (written,) = read_videos(tmp_path / 'p.json')
    for row in csv.DictReader((tmp_path / 'p.csv').open(newline='')):
        for place, joint in enumerate(JOINT_NAMES):
            xy = written.frames[int(row['frame'])].keypoints[0, place, :2]
            found = [float(row[f'{joint}_{axis}']) for axis in 'xy']
            np.testing.assert_allclose(found, xy, rtol=0, atol=5.001e-3)  # a hundredth, rounded
    for frame, annotation in zip(written.frames, own['annotations']):
        pose = dict(zip(names, np.array(annotation['keypoints']).reshape(-1, 3)[:, :2]))
        middle = (pose['left_shoulder'] + pose['right_shoulder']) / 2
        pose.update(head_bottom=middle, head_top=2 * pose['nose'] - middle)
        expected = [pose[joint] for joint in JOINT_NAMES]
        np.testing.assert_allclose(frame.keypoints[0, :, :2], expected, atol=1e-9)
    images = [frame.image.astype(int) for frame in open_frames(str(tmp_path / 'p.mp4'))]
    plain = [frame.image for frame in open_frames(video)]
    assert len(images) == 2 and np.abs(images[0] - plain[0]).mean() > 1


def test_a_bottom_up_model_is_refused():
    """Before anything is looked for or downloaded."""
    with pytest.raises(ValueError, match='a BottomupPoseEstimator, expected a TopdownPoseEstimat'):
        VideoPoseInferencer('dekr-hrnet-w32', download=True)


def test_a_model_by_name_says_what_to_fetch(video, tmp_path):
    """Put there, the file is taken."""
    result = run_tool(TOOL, video, '--model', 'res50-jhmdb', cwd=tmp_path)
    assert result.returncode == 1
    file = 'res50_jhmdb_sub1_256x256-932cb3b4_20201122.pth'
    url = f'https://download.openmmlab.com/mmpose/top_down/resnet/{file}'
    assert result.stderr == (
        f'infer_video: {url} is not at checkpoints/{file}, and nothing is downloaded without being '
        f'asked for; download it by hand and put it at checkpoints/{file}, or allow the download '
        '(download=True, --download)\n'
    )
    config = Config.fromfile(find_config('res50-jhmdb'))
    small = {'model.backbone.depth': 18, 'model.backbone.base_channels': 16,
             'model.backbone.stem_channels': 16, 'model.head.in_channels': 128}  # fmt: skip
    config.merge_from_dict(small)
    init_default_scope('mmpose')
    model = MODELS.build(config.model)
    (tmp_path / 'checkpoints').mkdir()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'checkpoints' / file)
    options = ['--out-csv', 'p.csv', '--cfg-options', *(f'{k}={v}' for k, v in small.items())]
    result = run_tool(TOOL, video, '--model', 'res50-jhmdb', *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert '15 joints of jhmdb' in result.stderr
    assert 'boxes: the whole frame as one person' in result.stderr
    header = (tmp_path / 'p.csv').read_text().splitlines()[0]
    assert header.startswith('frame,time,track_id,score,x1,y1,x2,y2,neck_x,neck_y,neck_score,belly')


def test_scores_of_a_posetrack_model(small_model, clip_folder, clip_labels, tmp_path):
    """MMPose's 17-joint model is scored against PoseTrack labels with one option."""
    config, checkpoint = small_model('res50-posetrack18')
    result = run_tool(
        TOOL, clip_folder, '--config', config, '--checkpoint', checkpoint, '--boxes', clip_labels,
        '--joints', 'posetrack', '--out-json', 'p.json', '--cfg-options',
        'model.test_cfg.flip_test=False', cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 0 <= evaluate_files(clip_labels, tmp_path / 'p.json')['Total'] <= 100
