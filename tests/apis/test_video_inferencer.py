from __future__ import annotations

import copy
import json
import pickle
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmpose.apis import init_model

from cmpose_mm import config_path
from cmpose_mm.apis import VideoPoseInferencer, followed_boxes, video_inferencer
from cmpose_mm.apis.person_boxes import whole_frame
from cmpose_mm.apis.track_crops import LinkedFrame, TrackCrops
from cmpose_mm.apis.video_inferencer import READ_AHEAD, sliding_clips
from cmpose_mm.apis.video_io import VideoFrame
from cmpose_mm.tracking import BoxSmoother, box_iou

CAUSAL = """
model['method'].update(key_index=2)
val_dataloader['dataset'].update(causal=True)
test_dataloader = val_dataloader
"""


@pytest.fixture(autouse=True)
def double():
    """Models are built in float64. Untrained heatmaps are so flat that in float32 the order of
    sums, which depends on the size of a batch, moves their peaks by tenths of a pixel."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def noise_frames(count, height=90, width=120):
    """Frames that all differ."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def one_box(count, *box):
    box = np.array([box or (30, 10, 80, 85)], np.float32)
    return {number: (box, np.ones(1)) for number in range(count)}


def moving_boxes(count):
    """Two persons who move and change size."""
    steps = np.arange(count)[:, None, None]
    start = np.array([[10, 10, 50, 80], [60, 5, 100, 60]], np.float64)
    boxes = start + steps * np.array([[1.5, 0.5, 2.5, 1.0], [-2, 1, -1, 1.5]])
    return {number: (boxes[number], np.array([0.9, 0.8])) for number in range(count)}


def keypoints(results):
    return [result.data_sample.pred_instances.keypoints for result in results]


def assert_same_poses(results, expected, atol=1e-4):
    assert len(results) == len(expected)
    for a, b in zip(results, expected):
        a, b = a.data_sample.pred_instances, b.data_sample.pred_instances
        assert np.abs(b.keypoints).max(initial=1) > 0
        np.testing.assert_allclose(a.keypoints, b.keypoints, rtol=0, atol=atol)
        np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, rtol=1e-4)
        np.testing.assert_array_equal(a.track_ids, b.track_ids)


# ---- the same poses as training's own test --------------------------------------------------


def runner_predictions(config, checkpoint, folder, root=None):
    """What the runner's test (``mim test --dump``) predicts, one dict a sample."""
    config = Config.fromfile(config)
    config.load_from = checkpoint
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    if root is not None:
        config.test_dataloader.dataset.data_root = str(root)
        config.test_evaluator.ann_file = f'{root}/annotations/val'
    config.work_dir = str(folder)
    config.test_evaluator = [
        config.test_evaluator,
        dict(type='DumpResults', out_file_path=f'{folder}/predictions.pkl'),
    ]
    Runner.from_cfg(config).test()
    with open(f'{folder}/predictions.pkl', 'rb') as file:
        return pickle.load(file)


def assert_equals_test(results, samples):
    """Every sample's pose is among those of its frame, with its box."""
    by_path = {Path(r.frame.path).name: r.data_sample.pred_instances for r in results}
    assert len(samples) > 4
    for sample in samples:
        frame = by_path[Path(sample['img_path']).name]
        expected = sample['pred_instances']
        person = np.abs(frame.bboxes - np.asarray(expected['bboxes'])).sum(1).argmin()
        np.testing.assert_array_equal(frame.bboxes[person], np.asarray(expected['bboxes'])[0])
        np.testing.assert_allclose(
            frame.keypoints[person], np.asarray(expected['keypoints'])[0], rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(
            frame.keypoint_scores[person], np.asarray(expected['keypoint_scores'])[0], rtol=1e-4
        )
    assert sum(len(pred) for pred in by_path.values()) == len(samples)


@pytest.mark.slow
@pytest.mark.parametrize('extra', ['', CAUSAL], ids=['middle', 'causal'])
def test_equals_the_runners_test(tiny_model, clip_folder, clip_labels, tmp_path, extra):
    stride = "\nval_dataloader['dataset'].update(stride=2)\ntest_dataloader = val_dataloader\n"
    config, checkpoint = tiny_model(extra + stride)
    samples = runner_predictions(config, checkpoint, tmp_path)
    inferencer = VideoPoseInferencer(config, checkpoint, crops='key_frame', batch_size=5)
    assert inferencer.model.test_cfg['flip_test']
    assert_equals_test(list(inferencer(clip_folder, clip_labels)), samples)


@pytest.mark.slow
def test_equals_the_runners_test_on_the_real_clip(tiny_model, real_data, tmp_path):
    root = real_data / 'posetrack_clip'
    config, checkpoint = tiny_model()
    samples = runner_predictions(config, checkpoint, tmp_path, root)
    (labels,) = (root / 'annotations' / 'val').iterdir()
    (folder,) = (root / 'images').iterdir()
    inferencer = VideoPoseInferencer(config, checkpoint, crops='key_frame')
    results = list(inferencer(str(folder), labels))
    assert len(results) == 41
    assert_equals_test(results, samples)


# ---- clips ----------------------------------------------------------------------------------


@pytest.mark.parametrize('length', [1, 2, 5, 12])
@pytest.mark.parametrize(
    'offsets', [[0], [-1, 0, 1], [-2, -1, 0], [-4, -2, 0, 2, 4], [-1, 0, 0], [-2, 0]]
)
def test_sliding_clips(length, offsets):
    read = []

    def stream():
        for item in range(length):
            read.append(item)
            yield item

    clips = []
    for key, clip, exists in sliding_clips(stream(), np.array(offsets)):
        assert len(read) <= key + max(offsets) + 1  # reads no further ahead than it must
        clips.append((key, clip, exists.tolist()))
    expected = [
        (
            key,
            [min(max(key + offset, 0), length - 1) for offset in offsets],
            [0 <= key + offset < length for offset in offsets],
        )
        for key in range(length)
    ]
    assert clips == expected


def test_crops_of_another_size_than_the_decoder_reads_are_refused(tiny_model, clip_folder):
    config, checkpoint = tiny_model()
    options = {'test_dataloader.dataset.pipeline.2.input_size': (192, 256)}
    inferencer = VideoPoseInferencer(config, checkpoint, cfg_options=options)
    message = r'has input_size=\(192, 256\), but model.head.decoder has \(96, 128\)'
    with pytest.raises(ValueError, match=message):
        next(inferencer(clip_folder))


def test_clips_of_a_dataset_with_another_key_frame(tiny_model):
    config, checkpoint = tiny_model("\nmodel['method'].update(key_index=2)\n")
    with pytest.raises(ValueError, match=r'key frame is at 2 .* but at 1 .*causal=False'):
        VideoPoseInferencer(config, checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', [1, 3, 64])
def test_batch_size_does_not_matter(tiny_model, batch_size):
    frames, boxes = noise_frames(5), moving_boxes(5)
    config, checkpoint = tiny_model()
    for crops in ('key_frame', 'track'):
        results, expected = (
            list(
                VideoPoseInferencer(config, checkpoint, crops=crops, batch_size=size)(frames, boxes)
            )
            for size in (batch_size, 4)
        )
        assert_same_poses(results, expected)


@pytest.mark.parametrize('crops', ['key_frame', 'track'])
def test_who_draws_on_the_frames_changes_no_pose(tiny_model, crops):
    """Frames are neighbors in later clips, whatever happens to what was handed out."""
    inferencer = VideoPoseInferencer(*tiny_model(), crops=crops, batch_size=1)
    expected = list(inferencer(noise_frames(5), one_box(5)))
    results = []
    for result in inferencer(noise_frames(5), one_box(5)):
        result.frame.image[:] = 0
        results.append(result)
    assert_same_poses(results, expected)


@pytest.mark.parametrize('crops', ['track', 'key_frame'])
def test_results_may_be_changed(tiny_model, crops):
    """The boxes of a result, such as to x, y, width, height, change no later frame."""
    frames, boxes = noise_frames(6), moving_boxes(6)
    inferencer = VideoPoseInferencer(*tiny_model(), causal=True, crops=crops)
    expected = list(inferencer(frames, boxes))
    found = []
    for result in inferencer(frames, boxes):
        found.append(copy.deepcopy(result))
        pred = result.data_sample.pred_instances
        pred.bboxes[:, 2:] -= pred.bboxes[:, :2]
        pred.bbox_scores[:] = 0
        pred.keypoints[:] = 0
    assert_same_poses(found, expected)


def test_sources_with_a_few_buffers_in_turn_are_refused(tiny_model):
    def stream(count):
        buffers = np.empty((count, 90, 120, 3), np.uint8)
        for number, frame in enumerate(noise_frames(12)):
            buffers[number % count] = frame
            yield buffers[number % count]

    inferencer = VideoPoseInferencer(*tiny_model())
    for count in (2, 3):
        message = f'frame {count} is in the same memory as frame 0, which is still needed'
        with pytest.raises(ValueError, match=message):
            list(inferencer(stream(count)))


def test_a_still_picture_may_be_given_several_times(tiny_model):
    (picture,) = noise_frames(1)
    inferencer = VideoPoseInferencer(*tiny_model())
    results = list(inferencer([picture] * 4))
    assert_same_poses(results, list(inferencer([picture.copy() for _ in range(4)])))


@pytest.mark.parametrize('wrapped', ['ConcatDataset', 'RepeatDataset', 'CombinedDataset'])
def test_a_test_on_a_mixture(tiny_model, wrapped, tmp_path):
    config, checkpoint = tiny_model()
    changed = Config.fromfile(config)
    dataset = changed.test_dataloader.dataset
    dataset.stride = 2
    if wrapped == 'RepeatDataset':
        changed.test_dataloader.dataset = dict(type=wrapped, dataset=dataset, times=1)
    elif wrapped == 'ConcatDataset':
        changed.test_dataloader.dataset = dict(type=wrapped, datasets=[dataset, dataset])
    else:
        inputs, dataset.pipeline = dataset.pipeline, []
        other = {**dataset, 'pipeline': [dict(type='KeypointConverter', num_keypoints=15)]}
        changed.test_dataloader.dataset = dict(
            type=wrapped, datasets=[dataset, other], pipeline=inputs
        )
    changed.dump(tmp_path / 'mixed.py')
    frames = noise_frames(6)
    inferencer = VideoPoseInferencer(str(tmp_path / 'mixed.py'), checkpoint)
    assert inferencer.offsets.tolist() == [-2, 0, 2]
    options = {'test_dataloader.dataset.stride': 2}
    expected = VideoPoseInferencer(config, checkpoint, cfg_options=options)(frames)
    assert_same_poses(list(inferencer(frames)), list(expected))


def test_a_mixture_whose_parts_differ(tiny_model, tmp_path):
    config, checkpoint = tiny_model()
    changed = Config.fromfile(config)
    dataset = changed.test_dataloader.dataset
    other = {**dataset, 'stride': 3}
    changed.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[dataset, other])
    changed.dump(tmp_path / 'mixed.py')
    with pytest.raises(ValueError, match='parts of test_dataloader.dataset have different stride'):
        VideoPoseInferencer(str(tmp_path / 'mixed.py'), checkpoint)


def test_a_source_that_uses_one_array_for_all_frames_is_refused(tiny_model):
    """As a camera's `read(image)` does: it would change frames that are still neighbors."""

    def stream(views):
        image = np.empty((90, 120, 3), np.uint8)
        for frame in noise_frames(5):
            image[:] = frame
            yield image[:] if views else image

    inferencer = VideoPoseInferencer(*tiny_model())
    for views in (False, True):
        with pytest.raises(ValueError, match='frame 1 is in the same memory .* image.copy'):
            list(inferencer(stream(views), one_box(5)))
    whole = np.stack(noise_frames(5))  # views of one array, each in a place of its own
    assert_same_poses(
        list(inferencer(iter(whole), one_box(5))), list(inferencer(noise_frames(5), one_box(5)))
    )


# ---- causal ---------------------------------------------------------------------------------


def predict_clip(inferencer, images, box):
    """One clip through pipeline and model, alone."""
    packed = inferencer.pipeline(
        dict(inferencer.model.dataset_meta, img=images, img_path=None, bbox=box[None].astype('f4'),
             bbox_score=np.ones(1, np.float32))
    )  # fmt: skip
    with torch.no_grad():
        (sample,) = inferencer.model.test_step(pseudo_collate([packed]))
    return sample.pred_instances.keypoints[0]


def test_causal_sees_the_key_frame_in_place_of_the_future(tiny_model):
    frames, boxes = noise_frames(4), one_box(4)
    inferencer = VideoPoseInferencer(*tiny_model(), causal=True)
    box = boxes[0][0][0]
    for t, pose in enumerate(keypoints(inferencer(frames, boxes))):
        clip = [frames[max(t - 1, 0)], frames[t], frames[t]]
        np.testing.assert_allclose(pose[0], predict_clip(inferencer, clip, box), atol=1e-4, rtol=0)


def test_a_causal_model_is_fed_as_trained(tiny_model):
    frames, boxes = noise_frames(4), one_box(4)
    config, checkpoint = tiny_model(CAUSAL)
    box = boxes[0][0][0]
    for causal in (False, True):
        inferencer = VideoPoseInferencer(config, checkpoint, causal=causal)
        for t, pose in enumerate(keypoints(inferencer(frames, boxes))):
            clip = [frames[max(t - 2, 0)], frames[max(t - 1, 0)], frames[t]]
            expected = predict_clip(inferencer, clip, box)
            np.testing.assert_allclose(pose[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize('crops', ['key_frame', 'track'])
def test_causal_results_come_before_the_next_frame(tiny_model, crops):
    read = []

    def stream():
        for number, frame in enumerate(noise_frames(4)):
            read.append(number)
            yield frame

    inferencer = VideoPoseInferencer(*tiny_model(), causal=True, crops=crops)
    for result in inferencer(stream(), moving_boxes(4)):
        assert read == list(range(result.frame.number + 1))
    assert len(read) == 4


# ---- track crops ----------------------------------------------------------------------------


def test_track_crops_are_the_default(tiny_model):
    config, checkpoint = tiny_model()
    frames, boxes = noise_frames(5), moving_boxes(5)
    results = {}
    for options in ({}, dict(crops='track'), dict(details=True), dict(crops='key_frame')):
        inferencer = VideoPoseInferencer(config, checkpoint, **options)
        results[str(options)] = inferencer.crops, keypoints(inferencer(frames, boxes))
    default, track, details, key_frame = results.values()
    assert default[0] == track[0] == 'track' and details[0] == key_frame[0] == 'key_frame'
    np.testing.assert_array_equal(np.stack(default[1]), np.stack(track[1]))
    np.testing.assert_array_equal(np.stack(details[1]), np.stack(key_frame[1]))
    assert np.abs(np.stack(default[1]) - np.stack(details[1])).max() > 1e-3


@pytest.mark.parametrize('flip_test', [True, False])
@pytest.mark.slow
def test_track_crops_of_a_box_at_rest_are_the_key_frames(tiny_model, flip_test):
    """The same crops, so the same poses; the backbone sees each (person, frame) once."""
    frames, boxes = noise_frames(5), one_box(5)
    config, checkpoint = tiny_model(f"\nmodel['test_cfg'] = dict(flip_test={flip_test})\n")
    passes = {}
    results = {}
    for crops in ('key_frame', 'track'):
        inferencer = VideoPoseInferencer(config, checkpoint, crops=crops, details=True)
        passes[crops] = 0

        def count(backbone, inputs, crops=crops):
            passes[crops] += len(inputs[0])

        inferencer.model.backbone.register_forward_pre_hook(count)
        results[crops] = list(inferencer(frames, boxes))
    assert_same_poses(results['track'], results['key_frame'])
    for a, b in zip(results['track'], results['key_frame']):
        a, b = a.data_sample.pred_instances, b.data_sample.pred_instances
        np.testing.assert_array_equal(a.causal_tokens, b.causal_tokens)
        np.testing.assert_allclose(a.input_center, b.input_center, rtol=1e-6)
    assert passes == {'key_frame': 15 * (1 + flip_test), 'track': 5 * (1 + flip_test)}


def test_track_crops_against_one_clip_at_a_time(tiny_model):
    """Each frame cropped by its own smoothed box, all clips alone through the whole model."""
    frames, boxes = noise_frames(5), moving_boxes(5)
    absent = {number: (b[:1], s[:1]) if number == 3 else (b, s) for number, (b, s) in boxes.items()}
    inferencer = VideoPoseInferencer(*tiny_model(), crops='track', batch_size=3)
    results = list(inferencer(frames, absent))

    smoother = BoxSmoother()
    smoothed = []  # by frame: by person
    for number in range(5):
        links = [[0, 1], [0, 1], [0, 1], [0], [0, 2]][number]  # a new link after an absence
        values = smoother.update(np.array(links), absent[number][0])
        smoothed.append(dict(zip(links, values.astype(np.float32))))

    def crop(number, box):
        packed = inferencer.pipeline(
            dict(inferencer.model.dataset_meta, img=[frames[number]], img_path=None, bbox=box[None],
                 bbox_score=np.ones(1, np.float32))
        )  # fmt: skip
        return packed['inputs'], packed['data_samples']

    for key, result in enumerate(results):
        pred = result.data_sample.pred_instances
        np.testing.assert_allclose(pred.bboxes, absent[key][0], rtol=1e-6)
        assert len(pred) == len(smoothed[key])
        for person, (link, box) in enumerate(smoothed[key].items()):
            clip = [min(max(key + offset, 0), 4) for offset in (-1, 0, 1)]
            crops = [crop(number, smoothed[number].get(link, box)) for number in clip]
            data = dict(inputs=[torch.cat([c[0] for c in crops])], data_samples=[crops[1][1]])
            with torch.no_grad():
                (sample,) = inferencer.model.test_step(data)
            expected = sample.pred_instances.keypoints[0]
            np.testing.assert_allclose(pred.keypoints[person], expected, atol=1e-4, rtol=0)


# ---- persons --------------------------------------------------------------------------------


def test_frames_without_persons(tiny_model):
    boxes = {2: one_box(1)[0]}
    for crops in ('key_frame', 'track'):
        inferencer = VideoPoseInferencer(*tiny_model(), crops=crops, details=True)
        results = list(inferencer(noise_frames(4), boxes))
        assert [len(r.data_sample.pred_instances.track_ids) for r in results] == [0, 0, 1, 0]
        pred = results[0].data_sample.pred_instances
        assert pred.keypoints.shape == (0, 15, 2) and pred.bboxes.shape == (0, 4)
        assert results[0].to_dict() == dict(frame=0, time=None, path=None, persons=[])
        assert results[2].data_sample.pred_instances.causal_tokens.shape == (1, 15, 1)


@pytest.mark.slow
def test_sixty_persons(tiny_model):
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 60, (60, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(10, 30, (60, 2))], 1)
    scores = rng.uniform(0.3, 1, 60)
    inferencer = VideoPoseInferencer(*tiny_model(), batch_size=16)
    frames = noise_frames(2)
    results = list(inferencer(frames, {n: (boxes, scores) for n in range(2)}))
    pred = results[0].data_sample.pred_instances
    assert pred.keypoints.shape == (60, 15, 2)
    np.testing.assert_allclose(pred.bbox_scores, scores, rtol=1e-6)
    for person in (0, 17, 59):
        clip = [frames[0], frames[0], frames[1]]
        expected = predict_clip(inferencer, clip, boxes[person])
        np.testing.assert_allclose(pred.keypoints[person], expected, atol=1e-4, rtol=0)
    assert sorted(pred.track_ids) == list(range(60))


@pytest.mark.slow
def test_one_frame(tiny_model):
    frames = noise_frames(1)
    for crops in ('key_frame', 'track'):
        inferencer = VideoPoseInferencer(*tiny_model(), crops=crops)
        (pose,) = keypoints(inferencer(frames, one_box(1)))
        expected = predict_clip(inferencer, frames * 3, one_box(1)[0][0][0])
        np.testing.assert_allclose(pose[0], expected, atol=1e-4, rtol=0)


def test_no_frame(tiny_model):
    with pytest.raises(ValueError, match='no frames'):
        list(VideoPoseInferencer(*tiny_model())([]))


@pytest.mark.slow
def test_a_person_leaves_and_returns(tiny_model):
    boxes = one_box(8)
    del boxes[3], boxes[4]
    for crops in ('key_frame', 'track'):
        inferencer = VideoPoseInferencer(*tiny_model(), crops=crops)
        results = list(inferencer(noise_frames(8), boxes))
        ids = [result.data_sample.pred_instances.track_ids.tolist() for result in results]
        assert ids == [[0]] * 3 + [[], []] + [[0]] * 3


def test_boxes_of_low_scores_are_persons_all_the_same(tiny_model):
    """A file's boxes are all taken, and a detector has a threshold of its own."""
    boxes = {number: (box, scores * 0.1) for number, (box, scores) in one_box(4).items()}
    results = VideoPoseInferencer(*tiny_model(), detect_every=2)(noise_frames(4), boxes)
    preds = [result.data_sample.pred_instances for result in results]
    assert [pred.track_ids.tolist() for pred in preds] == [[0]] * 4


def test_a_new_video_starts_with_new_ids(tiny_model):
    inferencer = VideoPoseInferencer(*tiny_model())
    for _ in range(2):
        (result,) = inferencer(noise_frames(1), one_box(1))
        assert result.data_sample.pred_instances.track_ids.tolist() == [0]


def test_the_whole_frame_without_boxes(tiny_model):
    (result,) = VideoPoseInferencer(*tiny_model())(noise_frames(1))
    assert result.data_sample.pred_instances.bboxes.tolist() == [[0, 0, 120, 90]]


def test_boxes_that_nothing_can_be_cut_by(tiny_model, caplog):
    bad = np.array([[30, 10, 30, 85], [500, 10, 600, 85], [np.nan, 1, 2, 3], [30, 10, 80, 85]])
    inferencer = VideoPoseInferencer(*tiny_model())
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    (result,) = inferencer(noise_frames(1), {0: (bad, np.ones(4))})
    logger.removeHandler(caplog.handler)
    assert result.data_sample.pred_instances.bboxes.tolist() == [[30, 10, 80, 85]]
    assert (
        '3 persons dropped, the first for a box of zero or negative size in frame 0' in caplog.text
    )


def test_dropped_persons_are_told_also_if_the_caller_has_enough(tiny_model, logged):
    boxes = {0: (np.array([[30, 10, 30, 85]]), np.ones(1)), 99: one_box(1)[0]}
    results = VideoPoseInferencer(*tiny_model(), causal=True)(noise_frames(3), boxes)
    next(results)
    results.close()
    (told,) = logged()  # nothing of frame 99: the video might have it
    assert told.startswith('frames: 1 persons dropped, the first for a box of zero')


@pytest.mark.parametrize(
    'persons, found',
    [
        (np.zeros((2, 4)), r'shapes \(4,\) and \(4,\)'),  # no scores, taken apart
        (np.zeros((3, 4)), 'other values'),
        ((np.zeros((2, 5)), np.zeros(2)), r'shapes \(2, 5\) and \(2,\)'),
        ((np.zeros((4, 2)), np.zeros(2)), r'shapes \(4, 2\) and \(2,\)'),
        ((np.zeros((2, 4)), np.zeros(3)), r'shapes \(2, 4\) and \(3,\)'),
        (None, 'other values'),
    ],
)
def test_a_box_source_that_gives_no_boxes_and_scores(tiny_model, persons, found):
    inferencer = VideoPoseInferencer(*tiny_model(), detector=lambda frame: persons)
    message = rf'frame 0: the box source gives {found}, expected boxes \(P, 4\) and scores \(P,\)'
    with pytest.raises(ValueError, match=message):
        list(inferencer(noise_frames(1)))


@pytest.mark.parametrize(
    'boxes, message',
    [
        ({0: np.zeros((1, 4))}, r'boxes\[0\] is a ndarray, expected a pair of boxes \(P, 4\) and'),
        ({0: 1}, r'boxes\[0\] is a int, expected a pair of boxes \(P, 4\) and scores \(P,\)'),
        ({'0': 1}, "boxes has the key '0', expected the number of a frame"),
    ],
)
def test_boxes_of_another_structure(tiny_model, boxes, message):
    with pytest.raises(ValueError, match=message):
        VideoPoseInferencer(*tiny_model())(noise_frames(1), boxes)


def test_boxes_of_frames_that_are_not_asked_for(tiny_model):
    inferencer = VideoPoseInferencer(*tiny_model(), detect_every=2)
    message = r'fits, the first is of frame 1, which is not asked for \(detect_every is 2\); the v'
    with pytest.raises(ValueError, match=message):
        list(inferencer(noise_frames(2), {1: one_box(2)[1]}))


@pytest.mark.parametrize('crops', ['key_frame', 'track'])
def test_frames_of_several_sizes(tiny_model, crops):
    frames = [*noise_frames(2), *noise_frames(1, height=60)]
    with pytest.raises(ValueError, match=r'must have one size, found .* \(key frame 1\)$'):
        list(VideoPoseInferencer(*tiny_model(), crops=crops)(frames, one_box(3)))


def test_empty_lists_are_no_persons(tiny_model):
    (result,) = VideoPoseInferencer(*tiny_model())(noise_frames(1), lambda frame: ([], []))
    assert result.data_sample.pred_instances.bboxes.shape == (0, 4)


@pytest.mark.parametrize('detector', ['rtmdet_m.py', ('rtmdet_m.py',)])
def test_a_detector_is_a_pair_or_a_function(tiny_model, detector):
    with pytest.raises(ValueError, match='detector is .*rtmdet_m.*expected a pair of config and'):
        VideoPoseInferencer(*tiny_model(), detector=detector)


def test_boxes_of_frames_that_are_not_in_the_video_are_named(tiny_model, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    inferencer = VideoPoseInferencer(*tiny_model())
    list(inferencer(noise_frames(2), one_box(2)))
    assert 'not used' not in caplog.text
    list(inferencer(noise_frames(2), one_box(4)))
    logger.removeHandler(caplog.handler)
    assert (
        'boxes of 2 frames are not used, the first of frame 2; the video has frames 0 to 1'
        in caplog.text
    )


# ---- detection every n frames ----------------------------------------------------------------


@pytest.mark.parametrize('crops', ['key_frame', 'track'])
@pytest.mark.slow
def test_detection_every_third_frame(tiny_model, crops):
    asked = []

    def detector(frame):
        asked.append(frame.number)
        return moving_boxes(8)[frame.number]

    inferencer = VideoPoseInferencer(*tiny_model(), detector=detector, detect_every=3, crops=crops)
    results = list(inferencer(noise_frames(8)))
    assert asked == [0, 3, 6]
    preds = [result.data_sample.pred_instances for result in results]
    assert all(len(pred) == 2 for pred in preds)
    # No velocity is known at first, then the box moves as the joints did.
    np.testing.assert_allclose(preds[1].bboxes, preds[0].bboxes, atol=1e-4)
    moved = preds[2].bboxes - preds[1].bboxes
    assert np.abs(moved).max() > 0.1
    np.testing.assert_allclose(moved[:, :2], moved[:, 2:], atol=1e-4)
    for pred in preds[1:3]:
        assert pred.track_ids.tolist() == [0, 1]
    np.testing.assert_allclose(preds[3].bboxes, moving_boxes(8)[3][0], rtol=1e-6)


@pytest.mark.slow
def test_detection_every_second_frame_in_track_crops_costs_few_passes(tiny_model):
    """Also where the tracker's box differs from the one that cut the frame out ahead of time."""
    inferencer = VideoPoseInferencer(
        *tiny_model("\nmodel['test_cfg'] = dict(flip_test=False)\n"),
        detector=lambda frame: one_box(6)[frame.number],
        detect_every=2,
        crops='track',
    )
    passes = []
    inferencer.model.backbone.register_forward_pre_hook(
        lambda module, inputs: passes.append(len(inputs[0]))
    )
    assert len(list(inferencer(noise_frames(6)))) == 6
    assert sum(passes) == 6 + 5  # frames ahead once more, when their own box is known


@pytest.mark.slow
def test_a_key_frame_is_cut_by_its_own_box_where_boxes_ahead_are_not_known(tiny_model):
    """Its crop is that of a run in which all boxes are known before."""
    config, checkpoint = tiny_model()
    boxes = moving_boxes(6)
    first = VideoPoseInferencer(
        config, checkpoint, detector=lambda frame: boxes[frame.number], detect_every=2,
        crops='track',
    )  # fmt: skip
    found = [result.data_sample.pred_instances for result in first(noise_frames(6))]
    known = {n: (pred.bboxes, pred.bbox_scores) for n, pred in enumerate(found)}
    results = VideoPoseInferencer(config, checkpoint, crops='track')(noise_frames(6), known)
    for pred, result in zip(found, results):
        expected = result.data_sample.pred_instances
        np.testing.assert_array_equal(pred.bboxes, expected.bboxes)
        np.testing.assert_allclose(pred.input_center, expected.input_center, rtol=1e-5)
        np.testing.assert_allclose(pred.input_scale, expected.input_scale, rtol=1e-5)


def test_the_batch_depends_on_what_computes(tiny_model):
    assert VideoPoseInferencer(*tiny_model()).batch_size == 4
    pytest.importorskip('onnxruntime')
    assert VideoPoseInferencer(*tiny_model(), engine='onnx').batch_size == 16
    assert VideoPoseInferencer(*tiny_model(), engine='onnx', batch_size=3).batch_size == 3


# ---- persons that are followed by their poses ------------------------------------------------


@pytest.mark.parametrize('flip_test', [False, True])
def test_estimate_is_the_pose_in_a_video_of_one_frame(tiny_model, flip_test):
    extra = f"\nmodel['test_cfg'] = dict(flip_test={flip_test})\n"
    inferencer = VideoPoseInferencer(*tiny_model(extra))
    (image,) = noise_frames(1)
    boxes, scores = moving_boxes(1)[0]
    (expected,) = inferencer([image], {0: (boxes, scores)})
    expected = expected.data_sample.pred_instances
    keypoints, joint_scores = inferencer.estimate(VideoFrame(image, 0), boxes)
    np.testing.assert_allclose(keypoints, expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(joint_scores, expected.keypoint_scores, atol=1e-5)
    inferencer.needs_images = True  # the way of methods that compare images
    again, _ = inferencer.estimate(VideoFrame(image, 0), boxes)
    np.testing.assert_allclose(again, keypoints, atol=1e-3)


@pytest.mark.parametrize('crops', ['key_frame', 'track'])
@pytest.mark.slow
def test_whole_frame_source_follows_the_pose(tiny_model, crops):
    inferencer = VideoPoseInferencer(*tiny_model(), detector='whole_frame', crops=crops)
    assert 'whole frame' in inferencer.box_source and 'pip install' in inferencer.box_source
    asked = []
    estimate = inferencer.estimate
    inferencer.estimate = lambda frame, boxes: asked.append(frame.number) or estimate(frame, boxes)
    # Joints of random weights score whatever: all are sure, or none.
    for threshold, frames in ((-100, [0, 0]), (100, [0, 0, 1, 1, 2, 2, 3, 3])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(followed_boxes, 'JOINT_SCORE', threshold)
            results = list(inferencer(noise_frames(4)))
        preds = [result.data_sample.pred_instances for result in results]
        assert [len(pred) for pred in preds] == [1] * 4
        assert asked == frames
        asked.clear()
        if threshold < 0:
            assert [pred.track_ids.tolist() for pred in preds] == [[0]] * 4
            filled, _ = followed_boxes.pose_boxes(
                preds[0].keypoints, np.ones((1, 15)), *results[0].frame.image.shape[1::-1]
            )
            # A new track has no velocity yet.
            np.testing.assert_allclose(preds[1].bboxes, filled, atol=1e-3)


def test_checkpoint_without_its_config(tiny_model):
    _, checkpoint = tiny_model()
    with pytest.raises(ValueError, match='tiny.pth is given without the config that it was'):
        VideoPoseInferencer(checkpoint=checkpoint)


# ---- numbers, outputs, memory ----------------------------------------------------------------


@pytest.mark.parametrize('half', ['bf16', 'fp16'])
@pytest.mark.slow
def test_half_precision_is_close(tiny_model, half):
    if half == 'fp16' and tuple(map(int, torch.__version__.split('.')[:2])) < (2, 3):
        pytest.skip('CPUs autocast to float16 from torch 2.3 on')
    torch.set_default_dtype(torch.float32)  # autocast leaves float64 as it is
    # Without the choice of tokens, which one rounding can turn over.
    config, checkpoint = tiny_model("\nmodel['method'].update(fte=None)\n")
    frames, boxes = noise_frames(3), moving_boxes(3)
    for crops in ('key_frame', 'track'):
        expected = list(VideoPoseInferencer(config, checkpoint, crops=crops)(frames, boxes))
        inferencer = VideoPoseInferencer(config, checkpoint, half=half, crops=crops)
        types = set()
        inferencer.model.head.deconv_layers[0].register_forward_hook(
            lambda module, inputs, output, types=types: types.add(output.dtype)
        )
        results = list(inferencer(frames, boxes))
        assert types == {{'bf16': torch.bfloat16, 'fp16': torch.float16}[half]}
        for a, b in zip(results, expected):
            a, b = a.data_sample.pred_instances, b.data_sample.pred_instances
            assert a.keypoint_scores.dtype == np.float32
            assert not np.array_equal(a.keypoint_scores, b.keypoint_scores)
            np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, rtol=0.02, atol=2e-3)


def test_plain_dicts(tiny_model, clip_folder, clip_labels):
    for result in VideoPoseInferencer(*tiny_model())(clip_folder, clip_labels):
        plain = json.loads(json.dumps(result.to_dict()))
        pred = result.data_sample.pred_instances
        assert plain['frame'] == result.frame.number and plain['path'] == result.frame.path
        assert len(plain['persons']) == len(pred) > 0
        for person, values in enumerate(plain['persons']):
            np.testing.assert_allclose(values['keypoints'], pred.keypoints[person])
            np.testing.assert_allclose(values['keypoint_scores'], pred.keypoint_scores[person])
            np.testing.assert_allclose(values['bbox'], pred.bboxes[person])
            assert values['track_id'] == pred.track_ids[person]


@pytest.mark.slow
@pytest.mark.parametrize('crops', ['key_frame', 'track'])
def test_no_more_frames_are_held_than_clip_and_batch_need(tiny_model, crops):
    alive, most = weakref.WeakSet(), 0

    class Frame(np.ndarray):
        """An array that can be counted."""

        __hash__ = object.__hash__

    def stream():
        for frame in noise_frames(6) * 20:
            frame = frame.copy().view(Frame)
            alive.add(frame)
            yield frame
            del frame

    inferencer = VideoPoseInferencer(*tiny_model(), crops=crops, batch_size=4)
    count = 0
    for result in inferencer(stream(), one_box(120)):
        count += 1
        del result
        most = max(most, len(alive))
    assert count == 120
    # batch, clip, the one that the stream made, those that the thread has read
    assert 1 < most <= 4 + 3 + 1 + READ_AHEAD


def test_single_frame_model(tiny_model, synthetic_root, clip_folder, clip_labels):
    """MMPose's own estimator, with the same backbone and head."""
    config, checkpoint = tiny_model()
    single = Config.fromfile(config)
    single.model.type = 'TopdownPoseEstimator'
    del single.model['method']
    inferencer = VideoPoseInferencer(single, checkpoint)
    assert inferencer.crops == 'key_frame'
    results = list(inferencer(clip_folder, clip_labels))
    assert len(results) == 5 and all(len(r.data_sample.pred_instances) for r in results)
    with pytest.raises(ValueError, match='needs a VideoTopdownPoseEstimator'):
        VideoPoseInferencer(single, checkpoint, crops='track')


def test_a_model_that_needs_labels_of_the_neighbors_is_refused(tmp_path):
    config = Config.fromfile(config_path('stdpose/stdpose_tiny.py'))
    config.model.method.labels = config.codec
    checkpoint = tmp_path / 'random.pth'
    torch.save(init_model(config, None, device='cpu').state_dict(), checkpoint)
    with pytest.raises(ValueError, match='STDPose takes labels of the neighboring frames, which'):
        VideoPoseInferencer(config, checkpoint)


@pytest.mark.parametrize(
    'option, message',
    [
        (dict(crops='tracks'), "crops is 'tracks'"),
        (dict(half='int8'), "half is 'int8'"),
        (dict(batch_size=0), 'batch_size is 0, expected at least 1'),
        (dict(detect_every=0), 'detect_every is 0, expected at least 1'),
    ],
)
def test_options_out_of_range(tiny_model, option, message):
    with pytest.raises(ValueError, match=message):
        VideoPoseInferencer(*tiny_model(), **option)


@pytest.mark.parametrize('score_thr, asked', [(0.3, 0.1), (0.05, 0.05)])
def test_ssdlite_finds_persons_by_sure_boxes_and_places_to_look_by_the_others(
    tiny_model, monkeypatch, score_thr, asked
):
    """Who follows, and by which thresholds, with a detector that is not installed everywhere."""
    made = []

    def detector(score_thr):
        made.append(score_thr)
        return whole_frame

    monkeypatch.setattr(video_inferencer, 'SSDLiteDetector', detector)
    inferencer = VideoPoseInferencer(*tiny_model(), detector='ssdlite', score_thr=score_thr)
    persons = inferencer._followed_persons()
    assert made == [asked]
    assert (persons.find.detect, persons.find.least) == (whole_frame, score_thr)
    assert (persons.fallback.detect, persons.fallback.least) == (whole_frame, 0.4)
    assert not persons.single


def test_two_useless_overlaps_do_not_outweigh_a_link():
    """The sum over all pairs is largest for two that are both too small to count."""
    crops = TrackCrops(lambda *args: None)
    frames = [LinkedFrame(VideoFrame(np.zeros((140, 110, 3), np.uint8), n)) for n in range(2)]
    before = np.array([[20, 4, 80, 107], [28, 10, 80, 61]], np.float32)
    now = np.array([[25, 22, 70, 124], [4, 57, 99, 129]], np.float32)
    overlap = box_iou(now, before)
    assert overlap[0, 0] > 0.5 and overlap[0, 1] + overlap[1, 0] > overlap[0, 0] + overlap[1, 1]
    for frame, boxes in zip(frames, (before, now)):
        crops.link(frame, boxes, np.ones(2))
    assert [frame.links.tolist() for frame in frames] == [[0, 1], [0, 2]]
