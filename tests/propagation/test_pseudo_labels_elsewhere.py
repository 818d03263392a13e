"""What readers, evaluation, the check and the training dataset do with pseudo-labels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from posetrack_samples import person, write_annolist_video, write_coco_video
from run_tools import run_tool

from cmpose_mm.datasets import PoseTrackVideoDataset, posetrack_metainfo
from cmpose_mm.evaluation import select_scored
from cmpose_mm.metrics import PoseTrackMetric, PoseTrackPCK
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.check import check_root, missing_splits
from cmpose_mm.posetrack.joints import JOINT_NAMES
from cmpose_mm.propagation import Linear, propagate_labels, sparsify_labels
from cmpose_mm.visualization.layout import CAPTION_HEIGHT
from cmpose_mm.visualization.propagation_strip import first_gap, propagation_strip

TOOLS = Path(__file__).parents[2] / 'tools'
CODEC = dict(type='UDPHeatmap', input_size=(48, 64), heatmap_size=(12, 16), sigma=2)


@pytest.fixture(autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture
def root(tmp_path) -> Path:
    """Five frames of two persons; training labels at 0 and 4, propagated; validation likewise."""
    frames = [[person(0), person(1)] for _ in range(5)]
    for split in ('train', 'val'):
        write_coco_video(tmp_path, split, f'000001_{split}', frames)
        labels = tmp_path / 'annotations' / split
        sparsify_labels(labels, tmp_path / 'sparse' / split, 4)
        propagate_labels(tmp_path / 'sparse' / split, tmp_path / 'dense' / split, Linear())
    return tmp_path


# ---- evaluation --------------------------------------------------------------------------------


def test_evaluation_refuses_them_in_one_sentence(root):
    gt, dense = root / 'annotations' / 'val', root / 'dense' / 'val'
    done = run_tool(TOOLS / 'eval_posetrack.py', dense, dense)
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert '6 of 10 persons of video' in done.stderr
    assert '"pseudo": true), expected ground truth that people labeled.' in done.stderr
    done = run_tool(TOOLS / 'eval_posetrack.py', gt, dense, '--pck')  # as predictions they may be
    assert done.returncode == 0 and '| AP' in done.stdout, done.stderr


def test_videos_that_are_not_scored_may_have_them(root):
    dense, truth = read_videos(root / 'dense' / 'val'), read_videos(root / 'annotations' / 'train')
    scored = select_scored(dense + truth, truth, videos=[truth[0].name])
    assert scored.num_persons == 10


@pytest.mark.parametrize('metric', [PoseTrackMetric, PoseTrackPCK])
def test_the_metric_refuses_them_before_the_run_starts(root, metric):
    made = metric(ann_file=str(root / 'dense' / 'val'))
    with pytest.raises(AnnotationError, match='6 of 10 persons .* are pseudo-labels'):
        made.dataset_meta = parsed_meta()
    only_written = PoseTrackMetric(
        ann_file=str(root / 'dense' / 'val'), format_only=True, outfile_prefix=str(root / 'out/a')
    )
    only_written.dataset_meta = parsed_meta()


def parsed_meta() -> dict:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    return parse_pose_metainfo(posetrack_metainfo('posetrack18'))


# ---- check -------------------------------------------------------------------------------------


def test_check_counts_them_and_does_not_test_on_them(root):
    for split in ('train', 'val'):
        target = root / 'annotations' / split / f'000001_{split}.json'
        target.write_bytes((root / 'dense' / split / f'000001_{split}.json').read_bytes())
    train, val = check_root(str(root))
    assert (train.persons, train.pseudo_persons, train.pseudo_frames) == (10, 6, 3)
    assert train.errors == [] and train.usable_persons == 10
    assert '  pseudo-labels: 6 of the persons, 3 of the labeled frames have no others' in str(train)
    assert len(val.errors) == 1 and '6 persons are pseudo-labels, expected labels' in val.errors[0]
    assert missing_splits([train, val]) == ['val']


def test_check_says_nothing_where_there_are_none(root):
    train, val = check_root(str(root))
    assert 'pseudo' not in str(train) and val.errors == []


# ---- training ----------------------------------------------------------------------------------


def training_set(root: Path, flip: float = 0.0, **more) -> PoseTrackVideoDataset:
    return PoseTrackVideoDataset(
        ann_file=str(root / 'dense' / 'train'),
        data_prefix=dict(img=str(root)),
        pipeline=[
            dict(type='LoadClip'),
            dict(type='GetBBoxCenterScale', padding=1.25),
            dict(type='RandomFlip', prob=flip),
            dict(type='TopdownAffine', input_size=(48, 64), use_udp=True),
            dict(type='GenerateTarget', encoder=CODEC),
            dict(type='PackClipInputs'),
        ],
        **more,
    )


def set_scores(root: Path) -> None:
    """Gives propagated joints scores by their place: 0.3, 0.31, ...; one score is above 1."""
    file = root / 'dense' / 'train' / '000001_train.json'
    data = json.loads(file.read_text())
    for annotation in data['annotations']:
        if annotation.get('pseudo'):
            annotation['scores'] = [0.3 + place / 100 for place in range(17)]
            annotation['scores'][0] = 1.7
    file.write_text(json.dumps(data))


def weights_of(dataset) -> list[torch.Tensor]:
    return [
        dataset[index]['data_samples'].gt_instance_labels.keypoint_weights[0]
        for index in range(len(dataset))
    ]


def test_they_are_samples_and_weigh_as_labels_do(root):
    dataset = training_set(root)
    assert len(dataset) == 10
    for index, weights in enumerate(weights_of(dataset)):
        visible = dataset.get_data_info(index)['keypoints_visible'][0] > 0
        assert set(weights[torch.from_numpy(visible)].tolist()) <= {0.0, 1.0}
        assert weights.sum() > 10


@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_they_weigh_by_their_scores(root, flip):
    """Joint by joint, by name; a mirrored left wrist has the weight of the right one's score."""
    set_scores(root)
    plain = weights_of(training_set(root, flip))
    weighted = weights_of(training_set(root, flip, pseudo_weight='score'))
    expected = dict(zip(JOINT_NAMES, [1.0, 0.31, 0.32, *(0.3 + n / 100 for n in range(5, 17))]))
    if flip:
        other = {'left': 'right', 'right': 'left'}
        names = [n.split('_', 1) if n[:5] in ('left_', 'right') else [n] for n in JOINT_NAMES]
        swapped = ['_'.join([other.get(parts[0], parts[0]), *parts[1:]]) for parts in names]
        expected = {name: expected[source] for name, source in zip(JOINT_NAMES, swapped)}
    dataset = training_set(root)
    pseudo = 0
    for index, (a, b) in enumerate(zip(plain, weighted)):
        if dataset.get_data_info(index)['frame_number'] in (0, 4):
            assert torch.equal(a, b)
        else:
            pseudo += 1
            np.testing.assert_allclose(b.numpy(), a.numpy() * [*expected.values()], atol=1e-6)
    assert pseudo == 6


def test_targets_of_low_scores_are_drawn_whole(root):
    """The codec draws nothing for a joint that is visible by less than a half."""
    set_scores(root)
    for plain, weighted in zip(training_set(root), training_set(root, pseudo_weight='score')):
        a, b = (each['data_samples'].gt_fields.heatmaps for each in (plain, weighted))
        assert torch.equal(a, b) and b.max() > 0.5


def test_weights_by_scores_need_scores(root):
    file = root / 'dense' / 'train' / '000001_train.json'
    data = json.loads(file.read_text())
    data['annotations'][-1]['scores'] = []
    file.write_text(json.dumps(data))
    training_set(root).full_init()
    with pytest.raises(ValueError, match='is a pseudo-label without scores; expected them for'):
        training_set(root, pseudo_weight='score')
    with pytest.raises(ValueError, match="pseudo_weight must be 1 or 'score', got 0.5"):
        training_set(root, pseudo_weight=0.5)


def test_annolists_know_them_too(tmp_path):
    write_annolist_video(tmp_path, 'train', '000001', [[person(0)], [], [person(0)]])
    propagate_labels(tmp_path / 'annotations' / 'train', tmp_path / 'dense', Linear())
    (video,) = read_videos(tmp_path / 'dense')
    assert [frame.num_pseudo for frame in video.frames] == [0, 1, 0] and video.num_pseudo == 1


# ---- pictures ----------------------------------------------------------------------------------


def test_strip(root):
    (video,) = read_videos(root / 'dense' / 'train')
    assert first_gap(video) == 0
    strip = propagation_strip(video, str(root), num_frames=3, height=96, per_row=2)
    assert strip.shape[0] > 2 * (96 + CAPTION_HEIGHT) and strip.std() > 0
    # the same frame without poses differs where joints are drawn
    for frame in video.frames:
        frame.keypoints, frame.scores = frame.keypoints[:0], frame.scores[:0]
        frame.track_ids, frame.pseudo = frame.track_ids[:0], frame.pseudo[:0]
    bare = propagation_strip(video, str(root), num_frames=3, height=96, per_row=2)
    assert (strip != bare).any(axis=-1).mean() > 0.02


def test_strip_from_the_command_line(root):
    arguments = [root / 'dense' / 'train', root / 'strip.jpg', '--images', root]
    done = run_tool(TOOLS / 'draw_propagation.py', *arguments, '--frames', 4)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(root / 'strip.jpg')) is not None
    for more, message in ((['--first', 9], 'has the frames 0 to 4, not 9'),
                          (['--video', 'b'], "has no video 'b', expected one like")):  # fmt: skip
        done = run_tool(TOOLS / 'draw_propagation.py', *arguments, *more)
        assert done.returncode == 1 and message in done.stderr
    for name in ('--frames', '--per-row', '--height'):
        done = run_tool(TOOLS / 'draw_propagation.py', *arguments, name, 0)
        assert done.returncode == 2 and f'{name} 0: expected at least 1.' in done.stderr
    arguments[1] = root / 'strip.foo'
    done = run_tool(TOOLS / 'draw_propagation.py', *arguments)
    assert done.returncode == 1 and 'strip.foo: is no name of a picture' in done.stderr
