"""Propagators with a model: what it sees, and what it gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmpose.registry import KEYPOINT_CODECS, MODELS
from run_tools import run_tool

from cmpose_mm import config_path
from cmpose_mm.engine.clip_layout_hook import build_dataset
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.persons import clip_box
from cmpose_mm.propagation import (
    Copy,
    Filter,
    Label,
    Query,
    build_propagator,
    plan_queries,
    propagate_labels,
    score_posewarper,
    sparsify_labels,
    sparsify_video,
)
from cmpose_mm.propagation.propagators import one_sided
from cmpose_mm.propagation.pseudo_labels import answer

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture(scope='module', autouse=True)
def mmpose_scope():
    with DefaultScope.overwrite_default_scope('mmpose'):
        yield


@pytest.fixture(scope='module')
def saved(tmp_path_factory, synthetic_root):
    """Saves an untrained model with its config; returns the two paths."""
    folder = tmp_path_factory.mktemp('models')

    def save(name: str, **changes) -> tuple[str, str]:
        init_default_scope('mmpose')
        config = Config.fromfile(config_path(name))
        config.merge_from_dict(changes)
        for loader in ('train_dataloader', 'test_dataloader'):
            config[loader].dataset.data_root = f'{synthetic_root}/'
        path = folder / f'{len(list(folder.glob("*.py")))}_{Path(name).name}'
        config.dump(path)
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        torch.save(dict(state_dict=model.state_dict(), meta={}), path.with_suffix('.pth'))
        return str(path), str(path.with_suffix('.pth'))

    return save


@pytest.fixture
def video(synthetic_root):
    return read_videos(Path(synthetic_root) / 'annotations' / 'train')[0]


def test_untrained_warp_is_copy_up_to_decoding(saved, synthetic_root, video):
    """Exactly what the codec makes of the label: heatmap, maximum, sub-cell step."""
    model = saved('heatmap_warp/heatmap_warp_tiny.py', **{'model.method.sigma': 2.0})
    warp = build_propagator('warp', *model, image_root=synthetic_root, batch_size=3)
    codec = Config.fromfile(config_path('_base_/tiny.py')).codec
    codec = KEYPOINT_CODECS.build(dict(codec, sigma=2))
    queries = plan_queries(sparsify_video(video, 4), 4).queries
    assert len(queries) >= 3
    warp.model.test_cfg.flip_test = False
    found, scores = warp(queries)
    copied, _ = Copy()(queries)
    for query, xy, score, label in zip(queries, found, scores, copied):
        sample = warp.pipeline(warp._sample(query, warp._box(query)))['data_samples'].metainfo
        place = 0 if query.nearest is query.before else 2
        pose = sample['neighbor_poses'][place]
        assert sample['neighbor_poses'][2 - place].max() == 0  # one label alone
        assert sample['frame_paths'][1].endswith(query.frame.file_name)
        assert sample['frame_paths'][place].endswith(query.nearest.frame.file_name)
        heatmaps = codec.encode(pose[None, :, :2], pose[None, :, 2])['heatmaps']
        decoded, maximum = codec.decode(heatmaps)
        scale, center = sample['input_scale'], sample['input_center']
        expected = decoded[0] / codec.input_size * scale + center - 0.5 * scale
        present = (pose[:, 2] > 0) & (maximum[0] > 0)
        np.testing.assert_allclose(xy[present], expected[present], atol=0.02)
        np.testing.assert_allclose(score[present], maximum[0, present], atol=1e-5)
        assert (score[pose[:, 2] == 0] == 0).all()
        pixel = scale[0] / codec.input_size[0]  # of the input, in pixels of the image
        assert np.abs(xy - label)[present].max() < 1.5 * pixel


def test_flip_test_of_an_untrained_warp_mirrors_the_labels(saved, synthetic_root, video):
    warp = build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py'),
                            image_root=synthetic_root)  # fmt: skip
    queries = plan_queries(sparsify_video(video, 4), 4).queries
    warp.model.test_cfg.flip_test = False
    plain, scores = warp(queries)
    warp.model.test_cfg.flip_test = True
    flipped, _ = warp(queries)
    np.testing.assert_allclose(flipped[scores > 0.5], plain[scores > 0.5], atol=0.05)


@pytest.mark.slow
def test_agreement_asks_for_one_label_at_a_time(saved, synthetic_root, video):
    """Both sides of an untrained warp are copies: joints that moved go."""
    warp = build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py'),
                            image_root=synthetic_root)  # fmt: skip
    queries = [q for q in plan_queries(sparsify_video(video, 4), 4).queries if q.other is not None]
    a, _ = warp([one_sided(query, 'before') for query in queries])
    b, _ = warp([one_sided(query, 'after') for query in queries])
    assert np.isfinite(a).all() and np.abs(a - b).max() > 1
    _, all_kept = answer(warp, queries, Filter())
    _, some = answer(warp, queries, Filter(agreement=0.2))
    assert some.joints_disagreeing > 0
    assert some.joints < all_kept.joints


@pytest.mark.slow
def test_estimate_is_the_test_of_the_model(saved, synthetic_root, video):
    """Within the labeled box of the frame itself; also for a model of clips."""
    for name in ('baselines/key_frame_only_tiny.py', 'cmpose/cmpose_tiny.py'):
        config, checkpoint = saved(name)
        estimate = build_propagator('estimate', config, checkpoint, image_root=synthetic_root)
        place = 2
        frame = video.frames[place]
        queries = [
            Query(video, frame, track, Label(frame, index, 0), None)
            for index, track in enumerate(frame.track_ids.tolist())
        ]
        found, scores = estimate(queries)
        loaded = Config.fromfile(config)
        loaded.test_dataloader.dataset.ann_file = 'annotations/train'
        dataset = build_dataset(loaded, 'test_dataloader')
        samples = [
            dataset[index]
            for index in range(len(dataset))
            if dataset.get_data_info(index)['file_name'] == frame.file_name
        ]
        assert len(samples) == len(queries)
        with torch.no_grad():
            expected = estimate.model.test_step(pseudo_collate(samples))
        for pose, score, sample in zip(found, scores, expected):
            np.testing.assert_allclose(pose, sample.pred_instances.keypoints[0], atol=1e-2)
            np.testing.assert_allclose(score, sample.pred_instances.keypoint_scores[0], atol=1e-5)


def test_a_person_outside_of_the_image_gets_no_joints(saved, synthetic_root, video):
    estimate = build_propagator('estimate', *saved('baselines/key_frame_only_tiny.py'),
                                image_root=synthetic_root)  # fmt: skip
    frame = video.frames[0]
    frame.boxes[0] = [5000, 5000, 40, 40]
    label = Label(frame, 0, 0)
    found, scores = estimate([Query(video, frame, 0, label, None)])
    assert scores.max() == 0 and found.shape == (1, 15, 2)


def test_a_box_that_reaches_out_of_the_image_is_cut(saved, synthetic_root, video):
    estimate = build_propagator('estimate', *saved('baselines/key_frame_only_tiny.py'),
                                image_root=synthetic_root)  # fmt: skip
    frame = video.frames[0]
    width, height = estimate.table.size_of(frame)
    frame.boxes[0] = [-20, -30, width + 90, height + 50]
    box = estimate._box(Query(video, frame, 0, Label(frame, 0, 0), None))
    np.testing.assert_array_equal(box, clip_box(np.array([-20, -30, 9999, 9999]), width, height))
    assert (box[:2] == 0).all() and box[2] <= width and box[3] <= height


def test_joints_that_a_label_lacks_are_not_given(saved, synthetic_root, video):
    warp = build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py'),
                            image_root=synthetic_root)  # fmt: skip
    query = plan_queries(sparsify_video(video, 4), 4).queries[0]
    label = query.nearest
    label.frame.keypoints[label.index, [2, 7]] = 0
    place = 0 if label is query.before else 2
    visible = warp.clip(query)['neighbor_visible']
    expected = np.zeros(visible.shape)
    expected[place, warp.places] = (label.keypoints != 0).any(axis=1)
    np.testing.assert_array_equal(visible, expected)
    assert visible[place].sum() <= len(warp.joints) - 2


def test_models_that_do_not_fit(saved, synthetic_root):
    with pytest.raises(AnnotationError, match='method KeyFrameOnly, expected HeatmapWarp for'):
        build_propagator('warp', *saved('baselines/key_frame_only_tiny.py'),
                         image_root=synthetic_root)  # fmt: skip
    changes = {'model.method.num_frames': 5}
    with pytest.raises(AnnotationError, match='has 5 frames with the key frame at 2, expected 3'):
        build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py', **changes),
                         image_root=synthetic_root)  # fmt: skip
    with pytest.raises(AnnotationError, match='model.method.labels is None, so the model does not'):
        build_propagator('stdpose', *saved('stdpose/stdpose_tiny.py'),
                         image_root=synthetic_root)  # fmt: skip


@pytest.mark.slow
def test_posewarper_s_protocol_runs_labeled_frames_through_the_model(saved, synthetic_root):
    videos = read_videos(Path(synthetic_root) / 'annotations' / 'train')
    warp = build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py'),
                            image_root=synthetic_root)  # fmt: skip
    asked = []
    call = type(warp).__call__

    class Recording(type(warp)):
        def __call__(self, queries):
            asked.extend(queries)
            return call(self, queries)

    warp.__class__ = Recording
    scores = score_posewarper(videos, warp)
    assert sum(query.nearest.distance == 0 for query in asked) > 0
    assert scores.result['counts']['frames'] == 10
    assert scores.result['Total'] > 50  # copies of labels at most three frames away


@pytest.mark.slow
def test_two_runs_with_a_model_give_equal_bytes(saved, synthetic_root, tmp_path):
    model = saved('heatmap_warp/heatmap_warp_tiny.py')
    sparsify_labels(Path(synthetic_root) / 'annotations' / 'train', tmp_path / 'sparse', 4)
    for out in ('a', 'b'):
        warp = build_propagator('warp', *model, image_root=synthetic_root)
        propagate_labels(tmp_path / 'sparse', tmp_path / out, warp, image_root=synthetic_root)
    for file in (tmp_path / 'a').iterdir():
        assert file.read_bytes() == (tmp_path / 'b' / file.name).read_bytes()
        made = json.loads(file.read_text())['propagation']
        assert made['propagator'] == 'warp' and len(made['checkpoint_sha256']) == 64


@pytest.mark.slow
def test_stdpose_learns_from_labels_on_both_sides_and_propagates(synthetic_root, tmp_path):
    """As in configs/stdpose/stdpose_propagate.py, at the size of the tests."""
    sparsify_labels(Path(synthetic_root) / 'annotations' / 'train', tmp_path / 'sparse', 2)
    config = Config.fromfile(config_path('stdpose/stdpose_tiny.py'))
    large = Config.fromfile(config_path('stdpose/stdpose_propagate.py'))
    config.model.method.update(labels=config.codec, dam_normalize=True)
    assert large.model.method.labels == large.codec
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = config[loader].dataset
        dataset.data_root, dataset.label_every = f'{synthetic_root}/', 2
        types = [step.type for step in dataset.pipeline]
        dataset.pipeline[types.index('TopdownAffine')].type = 'ClipTopdownAffine'
        assert [s.type for s in dataset.pipeline] == [
            s.type for s in large[loader].dataset.pipeline
        ]
    config.train_dataloader.dataset.ann_file = str(tmp_path / 'sparse')
    config.val_evaluator.ann_file = config.test_evaluator.ann_file = (
        f'{synthetic_root}/annotations/val'
    )
    config.work_dir = str(tmp_path / 'work')
    runner = Runner.from_cfg(config)
    start = runner.model.method.aggregation.weight.clone()
    runner.train()
    assert not torch.equal(runner.model.method.aggregation.weight, start)
    config.dump(tmp_path / 'stdpose.py')
    done = run_tool(
        TOOLS / 'propagate_poses.py', tmp_path / 'sparse', '--out', tmp_path / 'dense',
        '--images', synthetic_root, '--propagator', 'stdpose', '--config', tmp_path / 'stdpose.py',
        '--checkpoint', tmp_path / 'work' / 'epoch_1.pth', '--min-score', 0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(video.num_pseudo for video in read_videos(tmp_path / 'dense'))


@pytest.mark.slow
def test_train_propagate_and_train_on_it(synthetic_root, tmp_path):
    """The whole way: sparse labels, a trained warp, dense labels, a model that learns from them."""
    sparsify_labels(Path(synthetic_root) / 'annotations' / 'train', tmp_path / 'sparse', 4)

    def config_of(name: str, labels: Path) -> Config:
        config = Config.fromfile(config_path(name))
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            config[loader].dataset.data_root = f'{synthetic_root}/'
        config.train_dataloader.dataset.ann_file = str(labels)
        config.val_evaluator = config.test_evaluator = dict(
            type='PoseTrackMetric', ann_file=f'{synthetic_root}/annotations/val', prefix='posetrack'
        )
        config.work_dir = str(tmp_path / Path(name).stem)
        config.train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
        config.experiment_name = Path(name).stem
        return config

    config = config_of('heatmap_warp/heatmap_warp_tiny.py', tmp_path / 'sparse')
    runner = Runner.from_cfg(config)
    start = runner.model.method.warp.offsets[0].weight.abs().sum().item()
    runner.train()
    assert start == 0 < runner.model.method.warp.offsets[0].weight.abs().sum().item()
    config.dump(tmp_path / 'warp.py')
    arguments = [tmp_path / 'sparse', '--out', tmp_path / 'dense', '--images', synthetic_root,
                 '--propagator', 'warp', '--config', tmp_path / 'warp.py', '--checkpoint',
                 tmp_path / 'heatmap_warp_tiny' / 'epoch_1.pth', '--min-score', 0.05]  # fmt: skip
    done = run_tool(TOOLS / 'propagate_poses.py', *arguments)
    assert done.returncode == 0, done.stderr
    dense = read_videos(tmp_path / 'dense')
    assert all(video.num_pseudo for video in dense)
    config = config_of('baselines/key_frame_only_tiny.py', tmp_path / 'dense')
    config.train_dataloader.dataset.pseudo_weight = 'score'
    runner = Runner.from_cfg(config)
    runner.train()
    persons = sum(len(frame.keypoints) for video in dense for frame in video.frames)
    assert len(runner.train_dataloader.dataset) == persons

    done = run_tool(TOOLS / 'eval_propagation.py', Path(synthetic_root, 'annotations', 'val'),
                    *arguments[3:11])  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split('|')[1].strip() for line in done.stdout.splitlines() if '|' in line]
    assert rows[2:5] == ['copy', 'linear', 'warp']


def test_a_label_whose_image_is_missing_counts_as_missing(saved, synthetic_root, video, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(synthetic_root, root)
    warp = build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py'),
                            image_root=str(root))  # fmt: skip
    queries = plan_queries(sparsify_video(video, 4), 4).queries
    (query, *_) = (q for q in queries if q.other is not None)
    nearest, other = query.nearest, query.other
    (root / nearest.frame.file_name).unlink()
    with pytest.warns(UserWarning, match='not on disk; poses next to it come from the label on'):
        clip = warp.clip(query)
    place = 2 if nearest is query.before else 0
    assert clip['frame_valid'].tolist() == [place == 0, True, place == 2]
    assert clip['frame_paths'][place].endswith(other.frame.file_name)
    assert clip['frame_offsets'][place] == (1 if place else -1) * other.distance
    assert clip['frame_paths'][2 - place] == clip['frame_paths'][1]
    (root / other.frame.file_name).unlink()
    warp = build_propagator('warp', *saved('heatmap_warp/heatmap_warp_tiny.py'),
                            image_root=str(root))  # fmt: skip
    with pytest.warns(UserWarning, match='not on disk'):
        keypoints, scores = warp([query])
    assert not keypoints.any() and not scores.any()
