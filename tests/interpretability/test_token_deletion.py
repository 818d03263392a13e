"""Deletions against loops, and both measures on a tiny model and a rendered data set."""

import itertools
import math
import re
import subprocess
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import DATASETS, KEYPOINT_CODECS
from processes import quick_python
from run_tools import run_tool

from cmpose_mm.apis.loading import load_pose_model
from cmpose_mm.interpretability import measure
from cmpose_mm.interpretability.measure import DELETIONS, annotated_head_sizes, measure_tokens
from cmpose_mm.interpretability.spread_data import spread_test_data
from cmpose_mm.interpretability.token_deletion import (
    delete_tokens,
    draw_cells,
    match_cells,
    selected_cells,
)
from cmpose_mm.interpretability.token_shares import TokenShares
from cmpose_mm.models.layers.token_clustering import cluster_tokens, merge_tokens, restore_tokens
from cmpose_mm.posetrack.annotations import read_videos

ROOT = Path(__file__).resolve().parents[2]


def test_deleted_tokens_become_the_mean():
    features = torch.randn(2, 3, 4, 5)
    deleted = torch.rand(2, 20) < 0.4
    out = delete_tokens(features, deleted)
    for b in range(2):
        for cell in range(20):
            y, x = divmod(cell, 5)
            kept = features[b, :, y, x]
            mean = torch.stack([features[b, c].sum() / 20 for c in range(3)])
            expected = mean if deleted[b, cell] else kept
            torch.testing.assert_close(out[b, :, y, x], expected)
    assert torch.equal(delete_tokens(features, torch.zeros(2, 20, dtype=torch.bool)), features)


def test_drawn_cells_are_allowed_and_uniform():
    generator = torch.Generator().manual_seed(0)
    allowed = torch.tensor([[1, 1, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0]], dtype=torch.bool)
    counts = torch.zeros(2, 6)
    for _ in range(2000):
        drawn = draw_cells(allowed, torch.tensor([2, 3]), generator)
        assert drawn.sum(1).tolist() == [2, 1] and not (drawn & ~allowed).any()
        counts += drawn
    assert counts[1].tolist() == [0, 0, 2000, 0, 0, 0]
    # Half of the 2000 draws each; four standard deviations are 4 * sqrt(2000 / 4) = 89.
    assert all(abs(count - 1000) < 89 for count in counts[0, [0, 1, 3, 4]])


def test_selected_cells():
    selected = selected_cells(torch.tensor([[[1, 3], [3, 0]]]), 5)
    assert selected.int().tolist() == [[[0, 1, 0, 1, 0], [1, 0, 0, 1, 0]]]


needs_equal_rounding = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split('.')[:2])) < (2, 5),
    reason="an untrained model's maxima are flat where the decoder cuts them off; torch before 2.5 "
    'rounds a batch of maps and one map differently',
)


@pytest.fixture
def model_and_data(tiny_config, synthetic_root):
    """A tiny CM-Pose with random weights, its test data and labels."""
    config = Config.fromfile(tiny_config(synthetic_root))
    config.test_dataloader.update(num_workers=0, persistent_workers=False, batch_size=4)
    torch.manual_seed(0)
    model = load_pose_model(config, random_checkpoint(config, synthetic_root))
    loader = config.test_dataloader.copy()
    dataset = DATASETS.build(loader.pop('dataset'))
    data = Runner.build_dataloader(dict(loader, dataset=dataset))
    return model, data, read_videos(dataset.ann_file)


def random_checkpoint(config, folder):
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    init_default_scope('mmpose')
    model = MODELS.build(config.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    path = f'{folder}/random.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def slow_predict(model, features):
    """(15, 2) joints in pixels of the input, of one map (D, h, w)."""
    with torch.no_grad():
        points = model.head.decode(model.head.forward((features[None],)))[0].keypoints[0]
    return points * np.array([95 / 96, 127 / 128])  # of a decoder that has 0 to 96 and 0 to 128


@pytest.mark.slow
def test_predictions_and_labels_have_the_same_pixels(model_and_data):
    """Heatmaps of the labels, decoded: nothing moves, and all is found where it is."""
    model, data, labels = model_and_data
    sample = data.dataset[0]['data_samples']
    joints = joints_of_the_crop(data.dataset, 0)
    head_sizes = annotated_head_sizes(labels)
    truth, labeled, _ = measure._truth(sample, head_sizes)
    np.testing.assert_allclose(truth, joints, atol=1e-3)
    inside = labeled & ((joints > 3) & (joints < [92, 124])).all(1)
    heatmaps = model.head.decoder.encode(joints[None], labeled[None].astype(np.float32))
    decoded = measure._decode(model, torch.from_numpy(heatmaps['heatmaps'])[None])[0]
    assert inside.sum() > 5
    np.testing.assert_allclose(decoded[inside], joints[inside], atol=0.1)


@pytest.mark.parametrize('codec', ['UDPHeatmap', 'MSRAHeatmap'])
def test_decoded_joints_are_those_that_were_drawn(codec):
    codec = dict(type=codec, input_size=(96, 128), heatmap_size=(24, 32), sigma=2)
    decoder = KEYPOINT_CODECS.build(codec)
    joints = np.array([[[24.0, 36.0], [44.0, 60.0], [68.0, 92.0]]])
    heatmaps = decoder.encode(joints, np.ones((1, 3), np.float32))['heatmaps']
    head = SimpleNamespace(
        decoder=decoder,
        decode=lambda maps: [
            SimpleNamespace(keypoints=decoder.decode(each.numpy())[0]) for each in maps
        ],
    )
    found = measure._decode(SimpleNamespace(head=head), torch.from_numpy(heatmaps)[None])[0]
    np.testing.assert_allclose(found, joints[0], atol=0.2)


def slow_delete(features, cells):
    out = features.clone()
    for cell in cells:
        y, x = divmod(cell, features.shape[2])
        out[:, y, x] = features.flatten(1).mean(1)
    return out


@needs_equal_rounding
@pytest.mark.slow
def test_measures_against_a_loop(model_and_data):
    """All that is not random, sample by sample; one joint at a time; in pixels of the image."""
    model, data, labels = model_and_data
    evidence = measure_tokens(model, data, labels, draws=2)
    frames = {frame.image_id: frame for video in labels for frame in video.frames}
    movement, before, after, shares, ceiling, by_clip = [], [], [], [], [], []
    clips, image_ids, by_success = [], [], {True: [], False: []}
    kinds = itertools.product(('visible', 'occluded'), (True, False))
    by_visibility = {each: [] for each in kinds}
    number = 0
    for batch in data:
        inputs = model.data_preprocessor(batch, False)
        with torch.no_grad():
            out = model.run_method(inputs['inputs'])
        for b, sample in enumerate(inputs['data_samples']):
            number += 1
            info = sample.metainfo
            frame = frames[info['img_id']]
            person = frame.ids.tolist().index(info['id'])
            width, height = frame.head_boxes[person, 2:]
            head_size = 0.6 * math.sqrt(width**2 + height**2)
            features = out.key_features[b]

            def to_image(points, info=info):
                scale, center = info['input_scale'], info['input_center']
                steps = np.array(info['input_size']) - 1  # pixels' centers, from edge to edge
                return points / steps * scale + center - 0.5 * scale

            predicted = to_image(slow_predict(model, features))
            image_ids.append(info['img_id'])
            by_clip.append((0, 0))
            joints, visible = joints_of_the_crop(data.dataset, number - 1), frame.keypoints[person]
            best = cells_by_labels(model, joints, (visible != 0).any(1))
            for k, (x, y, visibility) in enumerate(frame.keypoints[person]):
                if x == y == visibility == 0:
                    continue
                cells = out.details['causal_tokens'][b, k].tolist()
                moved = to_image(slow_predict(model, slow_delete(features, cells)))[k]
                movement.append(math.dist(moved, predicted[k]) / head_size)
                clips.append(number - 1)
                before.append(math.dist(predicted[k], (x, y)) <= 0.5 * head_size)
                after.append(math.dist(moved, (x, y)) <= 0.5 * head_size)
                for cell in cells:
                    row, column = divmod(cell, 6)
                    center = np.array([column * 16 + 7.5, row * 16 + 7.5])
                    shares.append(math.dist(to_image(center), (x, y)) <= head_size)
                    by_success[before[-1]].append(shares[-1])
                    kind = 'visible' if visibility > 0 else 'occluded'
                    by_visibility[kind, before[-1]].append(shares[-1])
                    by_clip[-1] = by_clip[-1][0] + 1, by_clip[-1][1] + shares[-1]
                row, column = divmod(best[k], 6)
                center = np.array([column * 16 + 7.5, row * 16 + 7.5])
                ceiling.append(math.dist(to_image(center), (x, y)) <= head_size)
    effect = evidence.effects["a joint's causal tokens"]
    assert evidence.image_ids == image_ids and number > 3 and len(movement) > 40
    np.testing.assert_allclose(effect.movement, movement, rtol=1e-3, atol=1e-3)
    assert effect.found_before.tolist() == before and effect.found_after.tolist() == after
    assert effect.clips.tolist() == clips
    assert evidence.selected.own_joint == pytest.approx(100 * np.mean(shares))
    assert evidence.selected.by_clip == by_clip
    for found, of_joints in ((True, evidence.found), (False, evidence.missed)):
        assert of_joints.own_joint == pytest.approx(100 * np.mean(by_success[found]))
        assert sum(n for n, _ in of_joints.by_clip) == len(by_success[found]) > 1
        for kind, pair in evidence.by_visibility.items():
            hits = by_visibility.pop((kind, found))
            counts = np.sum(pair[not found].by_clip, axis=0).tolist()
            assert counts == [len(hits), sum(hits)]
            assert hits
    assert not by_visibility
    assert np.mean(movement) > 0.01
    assert evidence.ceiling.own_joint == pytest.approx(100 * np.mean(ceiling))
    assert evidence.ceiling.own_joint > 50 > evidence.selected.own_joint
    # Two draws of every random deletion.
    for name in (*DELETIONS[:4], *DELETIONS[5:7]):
        assert len(evidence.effects[name].movement) == 2 * len(movement)
    own, nearby = (len(evidence.effects[name].movement) for name in DELETIONS[7:9])
    assert nearby == 2 * own


def test_joints_are_found_with_all_their_tokens(model_and_data, monkeypatch):
    """Not after their deletion, which changes who is found at this distance."""
    model, data, labels = model_and_data
    monkeypatch.setattr(measure, 'MATCH_DISTANCE', 3.0)
    evidence = measure_tokens(model, data, labels, draws=1)
    effect = evidence.effects["a joint's causal tokens"]
    before, after = (
        np.bincount(effect.clips, found, len(evidence.image_ids)).tolist()
        for found in (effect.found_before, effect.found_after)
    )
    chosen = evidence.selected.by_clip[0][0] // np.count_nonzero(effect.clips == 0)
    assert [cells / chosen for cells, _ in evidence.found.by_clip] == before != after


def cells_by_labels(model, joints, labeled):
    """The cell that each labeled joint takes, in order, by the heatmaps that training draws."""
    decoder = model.head.decoder
    drawn = decoder.encode(joints[None], labeled[None].astype(np.float32))['heatmaps']
    heat = drawn.reshape(15, 8, 4, 6, 4).sum((2, 4)).reshape(15, 48)
    heat = heat / np.maximum(heat.sum(1, keepdims=True), 1e-30)
    taken, chosen = set(), {}
    for k in range(15):
        wanted = heat[k] if labeled[k] else -heat[labeled].sum(0)
        chosen[k] = min(set(range(48)) - taken, key=lambda cell: (-wanted[cell], cell))
        taken.add(chosen[k])
    return chosen


@pytest.mark.parametrize('codec', ['UDPHeatmap', 'MSRAHeatmap'])
def test_labels_select_by_the_heatmaps_of_the_head_s_codec(codec):
    codec = dict(type=codec, input_size=(96, 128), heatmap_size=(24, 32), sigma=2)
    model = SimpleNamespace(head=SimpleNamespace(decoder=KEYPOINT_CODECS.build(codec)))
    rng = np.random.default_rng(0)
    truth = [(rng.uniform(0, [95, 127], (15, 2)), rng.random(15) < 0.8, None) for _ in range(9)]
    found = measure._selected_by_labels(model, truth, (8, 6), 1)
    for cells, (joints, labeled, _) in zip(found, truth):
        expected = cells_by_labels(model, joints, labeled)
        assert {k: cells[k, 0] for k in np.flatnonzero(labeled)} == {
            k: expected[k] for k in np.flatnonzero(labeled)
        }


def joints_of_the_crop(dataset, index):
    """(15, 2) labels in pixels of the input, as MMPose's transforms have them."""
    sample = dataset.get_data_info(index)
    for transform in dataset.pipeline.transforms[:-1]:
        sample = transform(sample)
    return sample['transformed_keypoints'][0]


def first_cells(allowed, numbers, generator):
    """In place of a draw: the first of the allowed cells."""
    return allowed & (allowed.cumsum(-1) <= numbers.unsqueeze(-1))


def randomly_selected(fte, tokens, keypoint_tokens, generator):
    """Map (B, D, 8, 6) with 30 random cells kept and the others merged, and these cells (B, 30)."""
    cells = torch.rand(len(tokens), 48, generator=generator).argsort(dim=1)[:, :30]
    free = torch.ones(len(tokens), 48, dtype=torch.bool)
    for row, chosen in zip(free, cells):
        row[chosen] = False
    clusters = cluster_tokens(tokens, free, fte.num_clusters, fte.num_neighbors)
    importance = fte.log_similarity(tokens, keypoint_tokens).logsumexp(1)
    merged = merge_tokens(tokens, clusters, importance, fte.num_clusters)
    restored = restore_tokens(tokens, merged, clusters)
    return restored.transpose(1, 2).reshape(len(tokens), -1, 8, 6), cells.tolist()


def most_pairs(own, others, distances):
    """Pairs (own cell, other cell that is no farther), of all ways the one with most pairs.

    Of those, the one whose partners are farthest from the joint, the nearest own cell's first.
    """
    near_first = sorted(own, key=lambda cell: distances[cell])
    choices = [
        [None, *(other for other in others if distances[other] <= distances[cell])]
        for cell in near_first
    ]
    ways = [
        partners
        for partners in product(*choices)
        if len({p for p in partners if p is not None}) == sum(p is not None for p in partners)
    ]
    best = max(
        ways,
        key=lambda partners: (
            sum(p is not None for p in partners),
            [-1.0 if p is None else distances[p] for p in partners],
        ),
    )
    return [(cell, other) for cell, other in zip(near_first, best) if other is not None]


@pytest.mark.parametrize('seed', range(20))
def test_matched_cells_are_as_many_and_as_far_as_can_be(seed):
    rng = np.random.default_rng(seed)
    distances, order = rng.random(9), rng.permutation(9)
    own, others = (np.isin(np.arange(9), cells) for cells in (order[:3], order[3 : 3 + seed % 7]))
    found = match_cells(own, others, distances)
    pairs = most_pairs(order[:3], order[3 : 3 + seed % 7], distances)
    assert [set(np.flatnonzero(cells)) for cells in found] == [
        {p[i] for p in pairs} for i in (0, 1)
    ]


@needs_equal_rounding
@pytest.mark.slow
def test_every_deletion_takes_the_cells_that_it_is_named_for(model_and_data, monkeypatch):
    """All deletions and the selection of another clip, sample by sample, without chance."""
    model, data, labels = model_and_data
    torch.manual_seed(6)  # weights with which some joint moves in every deletion
    for parameter in model.head.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    model.method.fte.num_causal = 2  # 30 of the 48 cells: only 18 others can be deleted
    model.method.fte.restoring, model.method.fte.layers = 'replace', torch.nn.ModuleList()
    monkeypatch.setattr('cmpose_mm.interpretability.measure.draw_cells', first_cells)
    for frame in (frame for video in labels for frame in video.frames):
        frame.head_boxes[:, 2:] *= 3  # as large as some cells, of which some are free
    evidence = measure_tokens(model, data, labels, draws=1)
    head_sizes = annotated_head_sizes(labels)
    expected, of_clips = ({name: [] for name in DELETIONS} for _ in range(2))
    selections, near_cells, fused = [], [], []
    model.method.fte.register_forward_pre_hook(lambda _, args: fused.append(args))
    generator = torch.Generator().manual_seed(0)
    for batch in data:
        inputs = model.data_preprocessor(batch, False)
        with torch.no_grad():
            out = model.run_method(inputs['inputs'])
        control, chosen_at_random = randomly_selected(model.method.fte, *fused[-1], generator)
        for b, sample in enumerate(inputs['data_samples']):
            info, features = sample.metainfo, out.key_features[b]
            zoom = np.array([95, 127]) / info['input_scale']
            head_size = head_sizes[info['img_id'], info['id']] * zoom
            joints = joints_of_the_crop(data.dataset, len(selections))
            own = [set(cells) for cells in out.details['causal_tokens'][b].tolist()]
            causal = set().union(*own)
            others = sorted(set(range(48)) - causal)
            total = min(len(causal), len(others))
            kept = sorted(chosen_at_random[b])
            outside = sorted(set(range(48)) - set(kept))

            def movement(cells, k, features=features, head_size=head_size):
                moved = slow_predict(model, slow_delete(features, cells))
                return math.hypot(*((moved[k] - slow_predict(model, features)[k]) / head_size))

            selections.append(own)
            near_cells.append({})
            for k in np.flatnonzero(sample.gt_instances.keypoints_visible[0]):
                distances = [
                    math.hypot(
                        (cell % 6 * 16 + 7.5 - joints[k, 0]) / head_size[0],
                        (cell // 6 * 16 + 7.5 - joints[k, 1]) / head_size[1],
                    )
                    for cell in range(48)
                ]
                near = near_cells[-1][k] = {cell for cell in range(48) if distances[cell] <= 1}
                close = [cell for cell in others if cell in near]
                for name, deleted in zip(DELETIONS[2:4], (kept[:18], outside)):
                    expected[name].append(movement(deleted, k, control[b]))
                cells = [
                    sorted(causal)[:total],
                    others[:total],
                    own[k],
                    sorted(causal - own[k])[:2],
                    others[:2],
                ]
                if len(close) >= 2:
                    cells += [own[k], close[:2]]
                for name, deleted in zip(DELETIONS[:2] + DELETIONS[4:], cells):
                    expected[name].append(movement(deleted, k))
                    of_clips[name].append(len(selections) - 1)
                pairs = most_pairs(own[k], others, distances)
                if pairs:
                    for name, deleted in zip(DELETIONS[9:], zip(*pairs)):
                        expected[name].append(movement(deleted, k))
                        of_clips[name].append(len(selections) - 1)
    for name, values in expected.items():
        np.testing.assert_allclose(evidence.effects[name].movement, values, rtol=1e-3, atol=1e-3)
        assert max(values) > (0.5 if name in DELETIONS[9:] else 1), name  # pairs are fewer cells
    for name in DELETIONS[:2] + DELETIONS[4:]:
        assert evidence.effects[name].clips.tolist() == of_clips[name]
    for name in DELETIONS[8:]:
        assert 0 < len(expected[name]) < len(expected[DELETIONS[0]])

    half = len(selections) // 2
    hits = [
        cell in cells
        for place, clip in enumerate(near_cells)
        for k, cells in clip.items()
        for cell in selections[(place + half) % len(selections)][k]
    ]
    assert evidence.other_clip.own_joint == pytest.approx(100 * np.mean(hits))
    assert evidence.other_clip != evidence.selected


def test_deletion_of_all_cells_leaves_a_flat_map(model_and_data):
    model, data, labels = model_and_data
    features = torch.randn(1, 32, 8, 6)
    everything = delete_tokens(features, torch.ones(1, 48, dtype=torch.bool))
    assert everything.flatten(2).std(dim=2).max() < 1e-6


@pytest.mark.slow
def test_equal_seeds_give_equal_draws(model_and_data):
    model, data, labels = model_and_data
    first, second, other = (
        measure_tokens(model, data, labels, draws=1, seed=seed) for seed in (0, 0, 1)
    )
    name = DELETIONS[1]
    assert np.array_equal(first.effects[name].movement, second.effects[name].movement)
    assert not np.array_equal(first.effects[name].movement, other.effects[name].movement)
    assert first.random == second.random != other.random
    assert first.selected == other.selected


def test_models_without_causal_tokens_are_refused(model_and_data):
    model, data, labels = model_and_data
    model.method.fte = None
    with pytest.raises(ValueError, match='CMPose selects no cells .* whose fte is not None'):
        measure_tokens(model, data, labels)


def test_persons_without_a_head_are_named(model_and_data):
    model, data, labels = model_and_data
    for video in labels:
        for frame in video.frames:
            frame.head_boxes[:] = np.nan
    with pytest.raises(ValueError, match=r'\.jpg: no labeled head for annotation \d+'):
        measure_tokens(model, data, labels)


def test_head_sizes(synthetic_root):
    labels = read_videos(f'{synthetic_root}/annotations/val')
    sizes = annotated_head_sizes(labels)
    assert len(sizes) == sum(len(frame.ids) for frame in labels[0].frames) > 0
    frame = labels[0].frames[0]
    _, _, width, height = frame.head_boxes[0]
    assert sizes[frame.image_id, frame.ids[0]] == pytest.approx(0.6 * math.hypot(width, height))


@pytest.mark.parametrize('annotation_id', ['repeated', 'missing'])
def test_no_head_sizes_without_an_id_of_its_own_for_each_person(synthetic_root, annotation_id):
    """The dataset then numbers its samples, and a number might be the id of somebody else."""
    labels = read_videos(f'{synthetic_root}/annotations/val')
    first, last = labels[0].frames[0], labels[0].frames[-1]
    last.ids[0] = first.ids[0] if annotation_id == 'repeated' else -1
    assert annotated_head_sizes(labels) == {}


def test_measured_clips_are_spread_over_the_test_data(tiny_config, synthetic_root):
    config = Config.fromfile(tiny_config(synthetic_root))
    config.test_dataloader.update(num_workers=0, persistent_workers=False, batch_size=2)
    for wanted, places in ((1, [0]), (2, [0, 4]), (3, [0, 2, 4]), (9, [0, 1, 2, 3, 4])):
        data = spread_test_data(config, wanted)
        samples = [sample for batch in data for sample in batch['data_samples']]
        assert [sample.frame_number for sample in samples] == places


def test_tokens_of_joints_that_are_found(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    from interpretability import success_sentence

    one = TokenShares(80.0, 0, 0, [(4, 3), (0, 0)]), TokenShares(20.0, 0, 0, [(8, 0), (4, 0)])
    text = success_sentence([one])
    assert text.startswith('25 % of the labeled joints are found ')
    assert 'that are found, 80.0 % lie' in text and text.endswith('that are missed 20.0 %.')
    two = TokenShares(90.0, 0, 0, [(12, 9)]), TokenShares(None, None, None, [(0, 0)])
    text = success_sentence([one, two])
    assert text.startswith('62 % ') and 'found, 85.0 ± 7.1 % lie' in text
    assert text.endswith('that are missed -.')


def test_tokens_of_visible_and_of_occluded_joints(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    from interpretability import visibility_sentences

    seen = TokenShares(80.0, 0, 0, [(4, 3)]), TokenShares(20.0, 0, 0, [(12, 3)])
    hidden = TokenShares(50.0, 0, 0, [(4, 2)]), TokenShares(10.0, 0, 0, [(36, 4)])
    none = TokenShares(None, None, None, [(0, 0)]), TokenShares(None, None, None, [(0, 0)])
    first, second = visibility_sentences([dict(visible=seen, occluded=hidden)])
    assert first.startswith('25 % of the visible joints are found ') and ' 80.0 % lie' in first
    assert second.startswith('10 % of the occluded joints are found ')
    assert second.endswith('that are missed 10.0 %.')
    assert visibility_sentences([dict(visible=seen, occluded=none)]) == []


def test_a_missing_checkpoint_is_one_sentence(tiny_config, synthetic_root, tmp_path):
    config = tiny_config(synthetic_root)
    checkpoint = random_checkpoint(Config.fromfile(config), tmp_path)
    tool = ROOT / 'benchmarks/interpretability.py'
    done = run_tool(tool, config, checkpoint, tmp_path / 'gone.pth')
    assert done.returncode == 1 and 'gone.pth' in done.stderr.splitlines()[-1], done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.slow
def test_command(tiny_config, synthetic_root, tmp_path):
    config = tiny_config(synthetic_root)
    (tmp_path / 'other').mkdir()
    checkpoint = random_checkpoint(Config.fromfile(config), tmp_path)
    page = tmp_path / 'page.md'
    page.write_text('<!-- begin interpretability -->\n<!-- end interpretability -->\n')
    command = [quick_python(), str(ROOT / 'benchmarks/interpretability.py'), config, checkpoint]
    command += [random_checkpoint(Config.fromfile(config), tmp_path / 'other')]
    command += ['--clips', '3', '--draws', '2', '--docs', str(page)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    rows = [line for line in page.read_text().splitlines() if line.startswith('| ')]
    assert len(rows) == 6 + 1 + len(DELETIONS)
    assert re.search(r'\| random selection, 2 draws +\| [\d.]+ ± [\d.]+ +\|', page.read_text())
    assert '(2 models, 3 clips of ' in page.read_text()
    sentence = r'\d+ % of the labeled joints are found .* joints that are missed [\d.]+ ± [\d.]+ %'
    assert re.search(sentence, page.read_text()) and re.search(sentence, result.stdout)
    assert cv2.imread(str(tmp_path / 'images' / 'interpretability.png')) is not None
