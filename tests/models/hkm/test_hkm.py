"""HKM against loops in float64, its invariants, its masks' losses, and what it refuses."""

import math
from functools import partial

import numpy as np
import pytest
import slow_cmpose
import slow_information as slow
import slow_transformer
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from tiny_models import clip_samples, randomize, tiny_file_config, tiny_images
from torch import nn

from cmpose_mm import config_path
from cmpose_mm.engine.model_schedule_hook import ModelScheduleHook
from cmpose_mm.models import ClipInput, FrameFeatures
from cmpose_mm.models.hkm import HKM, BodyAttention, body_box, human_loss, keypoint_loss, limb_cells
from cmpose_mm.models.hkm.body_attention import BodyBox, cell_positions, weights_by_cell
from cmpose_mm.models.hkm.hkm import annealed

GRID, WIDTH, JOINTS, CELLS = (6, 5), 8, 3, 2
"""30 cells, of which 15 are kept, and 6 of those belong to joints."""


def drawn(module, std=0.3):
    """Random weights, in float64 and eval mode."""
    randomize(module, std)
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.weight.data += 1
    return module.double().eval()


def method(**arguments):
    values = dict(
        in_channels=WIDTH, num_keypoints=JOINTS, joint_cells=CELLS, num_heads=2, num_points=3,
        limbs=[(0, 1)],
    )  # fmt: skip
    return HKM(**{**values, **arguments})


def clip(model, num_clips=2, seed=0, **more):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        shape = num_clips, model.num_frames, *shape
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    frames = FrameFeatures((draw(4, 1, 1), draw(model.out_channels, *GRID)))
    return ClipInput.of(frames, model.key_index, **more)


# ---- the whole, by loops -------------------------------------------------------------------------


def slow_similarity(tokens, keypoints, state):
    """A (K, N) and s (N,)."""
    keys = [slow_transformer.linear(token, state, 'key') for token in tokens]
    rows = []
    for keypoint in keypoints:
        query = slow_transformer.linear(keypoint, state, 'query')
        products = [(query * key).sum() / math.sqrt(len(query)) for key in keys]
        rows.append(slow_transformer.softmax(products))
    rows = np.array(rows)
    return rows, np.array([sum(rows[:, n]) / len(rows) for n in range(len(tokens))])


def slow_points(query, position, box, state, prefix, shape, reference):
    """Points (M, I, P, 2) and weights (M, I, P) of one query."""
    heads, frames, count = shape
    low, high = box
    offsets = slow_transformer.linear(query, state, f'{prefix}.offsets').reshape(*shape, 2)
    logits = slow_transformer.linear(query, state, f'{prefix}.weights').reshape(shape)
    points = np.zeros((*shape, 2))
    for index in np.ndindex(*shape):
        for axis in range(2):
            half = (high[axis] - low[axis] + 1) / 2
            if reference == 'query':
                place = position[axis] + half * math.tanh(offsets[index][axis])
            else:
                place = (low[axis] + high[axis]) / 2 + half * offsets[index][axis] / count
            points[index][axis] = min(max(place, low[axis] - 1), high[axis] + 1)
    weights = [slow_transformer.softmax(list(logits[m].ravel())) for m in range(heads)]
    return points, np.array(weights).reshape(shape)


def slow_body_attention(queries, positions, box, maps, state, prefix, shape, reference):
    """Y (Q, D), and the points and weights."""
    heads = shape[0]
    values = []
    for x in maps:
        plane = np.array(
            [
                [slow_transformer.linear(x[:, r, c], state, f'{prefix}.value')
                 for c in range(x.shape[2])] for r in range(x.shape[1])
            ]
        )  # fmt: skip
        values.append(plane.transpose(2, 0, 1).reshape(heads, -1, *x.shape[1:]))
    found = [
        slow_points(query, position, box, state, prefix, shape, reference)
        for query, position in zip(queries, positions)
    ]
    points, weights = (np.array(part) for part in zip(*found))
    read = slow_transformer.sampled_attention(np.array(values), points, weights)
    y = np.array([slow_transformer.linear(row, state, f'{prefix}.proj') for row in read])
    return y, points, weights


def slow_hkm(maps, valid, model):
    """One clip: (T, D, h, w) and (T,)."""
    state, key = slow.numbers(model), model.key_index
    maps = np.array([x if ok else maps[key] for x, ok in zip(maps, valid)])
    height, width = maps.shape[2:]
    tokens, keypoints = slow_transformer.cell_tokens(maps[key]), state['keypoint_tokens']
    similarity, scores = slow_similarity(tokens, keypoints, state)
    kept = sorted(slow_cmpose.best_first(scores, range(len(tokens)))[: model.num_kept(len(tokens))])
    both = np.concatenate([tokens[kept], keypoints])
    both = slow_transformer.layer(both, both, state, 'layers.0', 2)
    x, keypoints = both[: len(kept)], both[len(kept) :]
    again, _ = slow_similarity(x, keypoints, state)
    chosen = slow_cmpose.select_exclusive(again, model.joint_cells)
    of_joints = [index for cells in chosen for index in cells]
    both = np.concatenate([x[of_joints], keypoints])
    x = x.copy()
    x[of_joints] = slow_transformer.layer(both, both, state, 'layers.1', 2)[: len(of_joints)]

    positions = [(cell % width, cell // width) for cell in kept]
    box = tuple(tuple(pick(p[axis] for p in positions) for axis in (0, 1)) for pick in (min, max))
    parts, read = [x], {}
    for name, side in model.sides.items():
        attention = model.motion[name]
        y, points, weights = slow_body_attention(
            tokens[kept], positions, box, maps[side], state, f'motion.{name}', attention.shape,
            attention.reference,
        )  # fmt: skip
        parts.append(y)
        read[name] = np.zeros(len(tokens))
        for (px, py), weight in zip(points.reshape(-1, 2), weights.ravel()):
            px, py = round(px), round(py)
            if 0 <= px < width and 0 <= py < height:
                read[name][py * width + px] += weight
    out = tokens.copy() if model.background == 'keep' else np.zeros_like(tokens)
    for number, cell in enumerate(kept):
        row = np.concatenate([part[number] for part in parts])
        out[cell] = x[number] + slow_transformer.linear(row, state, 'fusion')
    cells = [[kept[index] for index in row] for row in chosen]
    return dict(features=out.T.reshape(maps[key].shape), kept=kept, cells=cells, read=read,
                similarity=similarity)  # fmt: skip


VARIANTS = {
    'default': {},
    'five frames': dict(num_frames=5),
    'causal': dict(key_index=2),
    'key frame first': dict(key_index=0),
    'keep all': dict(keep_ratio=1.0),
    'keep few': dict(keep_ratio=0.2),
    'zero background': dict(background='zero'),
    'no gate': dict(gate=False),
    'body as reference': dict(reference='body'),
    'joint separation': dict(separation='joint', num_frames=5),
}


@pytest.mark.parametrize('name', VARIANTS)
def test_it_is_what_the_loops_give(name):
    model = drawn(method(**VARIANTS[name]))
    valid = torch.ones(2, model.num_frames, dtype=torch.bool)
    valid[1, -1 if model.key_index == 0 else 0] = False
    given = clip(model, valid=valid)
    with torch.no_grad():
        out = model(given)
    for b in range(2):
        expected = slow_hkm(given.features[b].numpy(), valid[b].numpy(), model)
        found = out.key_features[b].numpy()
        assert np.abs(found - given.features[b, model.key_index].numpy()).max() > 0.5
        np.testing.assert_allclose(found, expected['features'], rtol=0, atol=1e-9)
        details = {key: value[b].numpy() for key, value in out.details.items()}
        assert list(details) == list(model.detail_kinds)
        assert details['joint_cells'].tolist() == expected['cells']
        assert np.flatnonzero(details['human_mask'] == -1).tolist() == expected['kept']
        assert set(details['human_mask']) <= {-1, 0}
        np.testing.assert_allclose(details['similarity'], expected['similarity'], atol=1e-12)
        for side, read in expected['read'].items():
            np.testing.assert_allclose(details[f'read_{side}'], read, atol=1e-12)
            assert 0 < read.sum() <= len(expected['kept']) * 2 + 1e-9
    assert out.losses == {}


# ---- masks ---------------------------------------------------------------------------------------


def test_the_numbers_of_the_page():
    """ViT at 256x192: 96 of 192 cells, of which 60 different ones belong to the joints."""
    model = HKM(16).eval()
    out = model(ClipInput.of(torch.randn(3, 3, 16, 16, 12), 1))
    kept = out.details['human_mask'] == -1
    assert kept.sum(1).tolist() == [96] * 3
    cells = out.details['joint_cells'].flatten(1)
    assert cells.shape == (3, 60)
    for b in range(3):
        assert len(set(cells[b].tolist())) == 60 and kept[b, cells[b]].all()
    assert model.joint_cells * 15 <= model.num_kept(192) == 96


def test_number_of_kept_cells():
    for ratio, cells, expected in ((0.5, 192, 96), (0.5, 15, 8), (0.7, 10, 7), (1, 48, 48),
                                   (0.35, 192, 68), (0.201, 30, 7)):  # fmt: skip
        assert method(keep_ratio=ratio).num_kept(cells) == expected


def test_ties_go_to_the_lower_cell():
    model = drawn(method())
    model.query.weight.data.zero_()
    model.query.bias.data.zero_()
    with torch.no_grad():
        out = model(clip(model))
    assert np.flatnonzero(out.details['human_mask'][0] == -1).tolist() == list(range(15))


def test_cells_are_told_apart_where_similarities_are_too_small_for_floats(monkeypatch):
    model, seen = drawn(method()), []
    model.query.weight.data *= 1e5
    select = model.select
    monkeypatch.setattr(model, 'select', lambda scores, n: select(seen.append(scores) or scores, n))
    with torch.no_grad():
        model(clip(model))
    (scores,) = seen
    assert (scores.exp() == 0).any()
    assert (scores.sort(dim=2).values.diff(dim=2) > 0).all()


@pytest.mark.parametrize('background', ['keep', 'zero'])
def test_masked_cells(background):
    model = drawn(method(background=background))
    given = clip(model)
    with torch.no_grad():
        out = model(given)
    masked = (out.details['human_mask'] == 0).reshape(2, 1, *GRID)
    key = given.features[:, 1]
    expected = key if background == 'keep' else torch.zeros_like(key)
    kept = out.key_features.masked_select(~masked.expand_as(key))
    assert torch.equal(out.key_features.masked_select(masked.expand_as(key)),
                       expected.masked_select(masked.expand_as(key)))  # fmt: skip
    assert (kept - key.masked_select(~masked.expand_as(key))).abs().min() > 0


def test_the_gate_changes_gradients_but_no_value():
    given, results = clip(method()), {}
    for gate in (True, False):
        model = drawn(method(gate=gate)).train()
        out = model(given).key_features
        out.square().sum().backward()
        results[gate] = out.detach()
        assert (model.query.weight.grad is not None) == gate
        assert model.query.weight.requires_grad == model.key.weight.requires_grad == gate
        if gate:
            assert model.query.weight.grad.abs().max() > 1e-6
            assert model.key.weight.grad.abs().max() > 1e-6
    assert torch.equal(results[True], results[False])


def test_the_keypoint_mask_has_a_gate_of_its_own():
    model = drawn(method()).train()
    queries, keypoints = torch.randn(2, 15, WIDTH).double(), torch.randn(2, JOINTS, WIDTH).double()
    x, _ = model.enhance(queries, keypoints)
    x.square().sum().backward()
    assert model.query.weight.grad.abs().max() > 1e-6


def test_gradient_of_the_gate():
    """That of token_j * s_j / mean(s) with respect to s_j, written out."""
    model = method().double()
    tokens, indices = torch.randn(1, 3, 4).double(), torch.tensor([[1, 4, 5]])
    logits = torch.randn(1, 6).double().requires_grad_()
    weights = torch.randn(1, 3, 4).double()
    (model.gated(tokens, logits.log_softmax(1), indices) * weights).sum().backward()
    scores = logits.detach().softmax(1)[0]
    expected = np.zeros(6)
    for number, j in enumerate(indices[0].tolist()):
        along = (tokens * weights)[0, number].sum().item() / (1 / 6)
        for i in range(6):  # derivative of the softmax
            expected[i] += along * (scores[j] * (float(i == j) - scores[i])).item()
    np.testing.assert_allclose(logits.grad[0], expected, rtol=1e-9)


def test_the_gates_get_scores_that_sum_to_one(monkeypatch):
    """Else their gradient has another scale, though the values are the same."""
    model, sums = method(), []
    gated = model.gated

    def noting(chosen, log_scores, indices):
        sums.append(log_scores.exp().sum(1))
        return gated(chosen, log_scores, indices)

    monkeypatch.setattr(model, 'gated', noting)
    drawn(model)(clip(model))
    assert len(sums) == 2  # of the human mask and of the keypoint mask
    for each in sums:
        np.testing.assert_allclose(each.detach(), 1, rtol=1e-9)


def test_motion_teaches_the_tokens_that_ask_for_it():
    model, queries = drawn(method()), []
    for name in model.sides:
        model.motion[name].register_forward_pre_hook(lambda module, given: queries.append(given[0]))
    given = clip(model)
    for tensor in given.maps:
        tensor.requires_grad_()
    out = model(given).key_features
    gradients = torch.autograd.grad(out.square().sum(), queries)
    assert len(queries) == 2 and all(gradient.abs().max() > 0 for gradient in gradients)


def test_annealing():
    """The hook of the configs: a cosine from all cells to half of them, by half the training."""
    for name in ('hkm_tiny', 'hkm_small', 'hkm_vit_posetrack18', 'hkm_vit-s_posetrack21'):
        config = Config.fromfile(config_path(f'hkm/{name}.py'))
        options = dict(config.default_hooks.human_mask)
        assert options.pop('type') == 'ModelScheduleHook'
        assert options['attribute'] == 'method.keep_ratio'
        hook = ModelScheduleHook(**options)
        ratio = config.model.method.get('keep_ratio', 0.5)
        for part, value in annealed(ratio).items():
            assert hook.value(part) == pytest.approx(value, abs=5e-4)
            assert value == pytest.approx(ratio + (1 - ratio) * math.cos(math.pi * part) ** 2)
        assert hook.value(0.0) == 1 and hook.value(0.5) == hook.value(1.0) == ratio
    model = drawn(method())
    counts = []
    for part in (0.0, 0.2, 0.5):
        model.keep_ratio = hook.value(part)  # as the hook does
        with torch.no_grad():
            counts.append(int((model(clip(model)).details['human_mask'] == -1).sum(1)[0]))
    assert counts == [30, 25, 15]


def test_random_cells_as_a_control():
    model = drawn(method())
    given = clip(model, 8)
    with torch.no_grad():
        learned = model(given).details
        with model.selecting_at_random(torch.Generator().manual_seed(0)):
            random = model(given).details
        again = model(given).details
    assert torch.equal(learned['joint_cells'], again['joint_cells'])
    assert not torch.equal(learned['joint_cells'], random['joint_cells'])
    assert torch.equal(learned['human_mask'], random['human_mask'])
    for b in range(8):
        cells = random['joint_cells'][b].flatten()
        assert len(set(cells.tolist())) == JOINTS * CELLS
        assert (random['human_mask'][b, cells] == -1).all()


# ---- deformable attention ------------------------------------------------------------------------


def attend(reference='query', std=3.0, num_frames=2, seed=0):
    """A module with wild weights, and its arguments on a map with room around the body."""
    module = drawn(BodyAttention(WIDTH, num_frames, 2, 3, reference), std)
    generator = torch.Generator().manual_seed(seed)
    cells = torch.tensor([[3 * 9 + 4, 4 * 9 + 3, 5 * 9 + 5], [3 * 9 + 3, 3 * 9 + 4, 3 * 9 + 6]])
    positions = cell_positions(cells, 9, torch.float64)
    queries = torch.randn(2, 3, WIDTH, generator=generator).double()
    maps = torch.randn(2, num_frames, WIDTH, 8, 9, generator=generator).double()
    return module, queries, positions, body_box(positions), maps


def test_the_body_s_box():
    _, _, positions, box, _ = attend()
    assert positions[0].tolist() == [[4, 3], [3, 4], [5, 5]]
    assert box.low.tolist() == [[3, 3], [3, 3]] and box.high.tolist() == [[5, 5], [6, 3]]
    assert box.center.tolist() == [[4, 4], [4.5, 3]]
    assert box.reach.tolist() == [[1.5, 1.5], [2, 0.5]]  # cells in one row still reach around


@pytest.mark.parametrize('reference', ['query', 'body'])
@pytest.mark.parametrize('std', [0.1, 1.0, 100.0])
def test_points_stay_at_the_body_for_any_weights(reference, std):
    module, queries, positions, box, maps = attend(reference, std)
    with torch.no_grad():
        _, points, weights = module(queries, positions, box, maps)
    low, high = box.low[:, None, None, None, None], box.high[:, None, None, None, None]
    assert (points >= low - 1).all() and (points <= high + 1).all()
    if reference == 'query':
        away = (points - positions[:, :, None, None, None]).abs()
        assert (away <= box.reach[:, None, None, None, None] + 1e-12).all()
    if std == 100:
        assert ((points == low - 1) | (points == high + 1)).any()
    torch.testing.assert_close(weights.sum((3, 4)), torch.ones(2, 3, 2).double())


@pytest.mark.parametrize('reference', ['query', 'body'])
def test_nothing_is_seen_two_cells_outside_of_the_box(reference):
    module, queries, positions, box, maps = attend(reference)
    rows, columns = torch.arange(8)[:, None], torch.arange(9)
    for margin, seen in ((2, False), (1, True)):
        other = maps.clone()
        for b in range(2):
            (x0, y0), (x1, y1) = box.low[b].tolist(), box.high[b].tolist()
            far = (rows <= y0 - margin) | (rows >= y1 + margin)
            far = far | (columns <= x0 - margin) | (columns >= x1 + margin)
            other[b, :, :, far] += 10
        with torch.no_grad():
            before = module(queries, positions, box, maps)[0]
            after = module(queries, positions, box, other)[0]
        if seen:
            assert (before - after).abs().amax(dim=(1, 2)).min() > 0.1
        else:
            torch.testing.assert_close(before, after, rtol=0, atol=1e-12)


@pytest.mark.parametrize('reference', ['query', 'body'])
def test_points_start_on_rings(reference):
    """A direction for each head; the rings end before b, or at it."""
    module = BodyAttention(16, 2, 8, 4, reference).double()
    positions = torch.tensor([[[7.0, 6.0]]]).double()
    box = BodyBox(torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[14.0, 12.0]]).double())
    maps = torch.zeros(1, 2, 16, 13, 15).double()
    y, points, weights = module(torch.randn(1, 1, 16).double(), positions, box, maps)
    assert (y == 0).all() and torch.allclose(weights, torch.full_like(weights, 1 / 8))
    scaled = (points - positions[:, :, None, None, None]) / box.reach
    last = 5 if reference == 'query' else 4
    for head in range(8):
        angle = 2 * math.pi * head / 8
        direction = torch.tensor([math.cos(angle), math.sin(angle)]).double()
        direction = direction / direction.abs().max()
        for p in range(4):
            for i in range(2):
                expected = direction * (p + 1) / last
                torch.testing.assert_close(scaled[0, 0, head, i, p], expected, rtol=0, atol=1e-6)


def test_future_frames_do_not_reach_the_past_s_part_nor_the_other_way():
    model = drawn(method(num_frames=5))
    seen = {}
    for name, module in model.motion.items():
        module.register_forward_hook(lambda m, a, out, name=name: seen.update({name: out[0]}))
    given = clip(model)
    with torch.no_grad():
        model(given)
        before = dict(seen)
        for frames, changed in ((slice(3, 5), 'after'), (slice(0, 2), 'before')):
            other = given.features.clone()
            other[:, frames] += 1
            model(ClipInput.of(other, 2))
            for name in ('before', 'after'):
                assert torch.equal(seen[name], before[name]) == (name != changed)


def test_causal_clips_have_no_future():
    model = method(key_index=2)
    assert list(model.motion) == ['before'] and model.fusion.in_features == 2 * WIDTH
    assert 'read_after' not in model.detail_kinds
    assert list(method(separation='joint').motion) == ['others']


def test_what_stands_in_for_a_missing_frame_changes_nothing():
    model = drawn(method(num_frames=5))
    valid = torch.tensor([[False, True, True, True, False]]).expand(2, -1)
    given, other = clip(model, seed=0, valid=valid), clip(model, seed=7, valid=valid)
    other.features[:, 1:4] = given.features[:, 1:4]
    with torch.no_grad():
        assert torch.equal(model(given).key_features, model(other).key_features)
        given.valid = other.valid = torch.ones_like(valid)
        assert (model(given).key_features - model(other).key_features).abs().max() > 0.1


def test_weights_of_points_outside_of_the_map_do_not_count():
    points = torch.tensor([[0.4, 0.6], [-0.6, 0.0], [2.0, 1.0], [2.6, 1.0], [1.0, -0.51]])
    weights = torch.arange(1.0, 6)
    found = weights_by_cell(points.view(1, 1, 1, 1, 5, 2), weights.view(1, 1, 1, 1, 5), (2, 3))
    assert found.tolist() == [[0, 0, 0, 1, 0, 3]]


def test_attention_in_half_precision_keeps_its_points():
    module, queries, positions, box, maps = attend(std=0.1)
    module, box = module.float(), BodyBox(box.low.float(), box.high.float())
    arguments = queries.float(), positions.float(), box, maps.float()
    with torch.no_grad():
        exact, exact_points, _ = module(*arguments)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed, points, _ = module(*arguments)
    assert points.dtype == torch.float32
    assert (points - exact_points).abs().max() < 0.02
    assert (mixed.float() - exact).abs().max() < 0.05 * exact.abs().max()


# ---- losses --------------------------------------------------------------------------------------


def targets(num_clips=3, size=(12, 10), seed=0):
    """A Gaussian for each joint, of which some have no label; clip 2 has none at all."""
    rng = np.random.default_rng(seed)
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])
    heatmaps = np.zeros((num_clips, JOINTS, *size))
    for b, k in np.ndindex(num_clips, JOINTS):
        x, y = rng.integers(0, size[1]), rng.integers(0, size[0])
        heatmaps[b, k] = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2)
    weights = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0]][:num_clips], float)
    return torch.from_numpy(heatmaps), torch.from_numpy(weights)


def slow_limb_cells(heatmaps, weights, grid, limbs):
    """One clip: how far each cell is from each of many points along the limbs."""
    joints = []
    for heatmap in heatmaps:
        y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
        joints.append(((x + 0.5) * grid[1] / heatmap.shape[1] - 0.5,
                       (y + 0.5) * grid[0] / heatmap.shape[0] - 0.5))  # fmt: skip
    near = np.zeros(grid, bool)
    for a, b in [*limbs, *((k, k) for k in range(len(joints)))]:
        if weights[a] > 0 and weights[b] > 0:
            for part in np.linspace(0, 1, 2001):
                x = joints[a][0] + part * (joints[b][0] - joints[a][0])
                y = joints[a][1] + part * (joints[b][1] - joints[a][1])
                for row, column in np.ndindex(*grid):
                    near[row, column] |= (column - x) ** 2 + (row - y) ** 2 <= 1 + 1e-9
    return near.ravel()


def test_cells_of_limbs():
    limbs = [(0, 1), (1, 2)]
    heatmaps, weights = targets()
    found = limb_cells(heatmaps, weights, GRID, limbs)
    for b in range(3):
        expected = slow_limb_cells(heatmaps[b].numpy(), weights[b].numpy(), GRID, limbs)
        assert found[b].tolist() == expected.tolist()
    counts = found.sum(1).tolist()
    assert counts[0] > counts[1] > counts[2] == 0
    straight = torch.zeros(1, 2, 8, 8)
    straight[0, 0, 2, 1] = straight[0, 1, 2, 6] = 1
    found = limb_cells(straight, torch.ones(1, 2), (8, 8), [(0, 1)]).reshape(8, 8)
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[1:4, 1:7] = expected[2, 0] = expected[2, 7] = True
    assert torch.equal(found, expected)


def test_human_loss():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 1, (3, 6))
    positive = rng.uniform(size=(3, 6)) < 0.5
    positive[2] = False
    positive[0, scores[0].argmax()] = False  # wrong where it is most certain
    total = 0.0
    for b in range(2):  # clip 2 has nothing positive
        for n in range(6):
            p = scores[b, n] / scores[b].max()
            total += -math.log(p if positive[b, n] else 1 - 0.999 * p) / 6
    found = human_loss(torch.from_numpy(scores).log(), torch.from_numpy(positive))
    assert found.item() == pytest.approx(total / 3, rel=1e-12)
    logits = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    wanted = torch.tensor([[True, True, False, False, False, False]])
    optimizer = torch.optim.SGD([logits], lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        human_loss(logits.log_softmax(1), wanted).backward()
        assert logits.grad.isfinite().all()
        optimizer.step()
    scores = logits.detach().softmax(1)[0]
    assert scores[:2].min() > 10 * scores[2:].max()


def test_keypoint_loss():
    heatmaps, weights = targets()
    logits = torch.randn(3, JOINTS, *GRID).double()
    log_similarity = logits.flatten(2).log_softmax(2).reshape(logits.shape)
    total = 0.0
    for b, k in np.ndindex(3, JOINTS):
        pooled = np.zeros(GRID)
        for y, x in np.ndindex(*GRID):
            pooled[y, x] = heatmaps[b, k, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()
        pooled /= pooled.sum()
        total -= weights[b, k].item() * (pooled * log_similarity[b, k].numpy()).sum()
    found = keypoint_loss(log_similarity, heatmaps, weights)
    assert found.item() == pytest.approx(total / (3 * JOINTS), rel=1e-9)
    empty = keypoint_loss(log_similarity, torch.zeros_like(heatmaps), torch.ones_like(weights))
    assert empty.item() == 0


def test_the_model_s_losses():
    heatmaps, weights = targets()
    given = dict(targets=heatmaps, target_weights=weights)
    model = drawn(method(human_weight=0.3, keypoint_weight=0.2)).train()
    clips = clip(model, 3, **given)
    losses = model(clips).losses
    tokens = clips.features[:, 1].flatten(2).transpose(1, 2)
    state = slow.numbers(model)
    found = [slow_similarity(x.numpy(), state['keypoint_tokens'], state) for x in tokens]
    similarity, scores = (torch.from_numpy(np.array(part)) for part in zip(*found))
    positive = limb_cells(heatmaps, weights, GRID, [(0, 1)])
    expected = dict(
        loss_human=0.3 * human_loss(scores.log(), positive),
        loss_keypoint=0.2 * keypoint_loss(
            similarity.log().reshape(3, JOINTS, *GRID), heatmaps, weights
        ),
    )  # fmt: skip
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-9) and value > 0.01
    assert model.eval()(clips).losses == {}


def test_joints_outside_of_the_crop_teach_nothing():
    """Their heatmaps show the edge of a Gaussian at most."""
    heatmaps, weights = targets()
    model = drawn(method(human_weight=0.3, keypoint_weight=0.2)).train()
    heatmaps[0, 1] *= 0.49  # no peak of 1
    found = model(clip(model, 3, targets=heatmaps, target_weights=weights)).losses
    weights[0, 1] = 0
    unlabeled = model(clip(model, 3, targets=heatmaps, target_weights=weights)).losses
    assert found == unlabeled
    heatmaps[0, 1] *= 0.5 / 0.49
    weights[0, 1] = 1
    inside = model(clip(model, 3, targets=heatmaps, target_weights=weights)).losses
    assert all(inside[name] != found[name] for name in found)


def test_losses_alone_teach_query_and_key():
    heatmaps, weights = targets()
    model = drawn(method(gate=False, human_weight=0.3)).train()
    model(clip(model, 3, targets=heatmaps, target_weights=weights)).losses['loss_human'].backward()
    learned = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learned == {'keypoint_tokens', 'query.weight', 'query.bias', 'key.weight'}


def test_schedules_of_weights():
    heatmaps, weights = targets()
    model = drawn(method()).train()
    given = clip(model, 3, targets=heatmaps, target_weights=weights)
    assert model(given).losses == {}
    model.human_weight = 0.25  # as a ModelScheduleHook does
    assert model(given).losses['loss_human'] > 0
    model = drawn(method(gate=False)).train()
    model.keypoint_weight = 0.25
    with pytest.raises(ValueError, match=(
        'HKM: model.method.keypoint_weight became 0.25 in the training, but is 0 in the config, '
        'and without model.method.gate nothing could learn from it; expected the last value'
    )):  # fmt: skip
        model(given)


@pytest.mark.parametrize('name', ['human_weight', 'keypoint_weight'])
def test_a_schedule_that_begins_at_zero_leaves_no_weight_without_gradient(name):
    """Without the gate the losses alone reach query and key; DDP waits for their gradients."""
    heatmaps, weights = targets()
    model = drawn(method(gate=False, **{name: 0.25})).train()
    setattr(model, name, 0.0)
    out = model(clip(model, 3, targets=heatmaps, target_weights=weights))
    (loss,) = out.losses.values()
    assert loss == 0
    (out.key_features.sum() + loss).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not model.query.weight.grad.any()


# ---- start, gradients, precision -----------------------------------------------------------------


@pytest.mark.parametrize('arguments', [{}, dict(separation='joint'), dict(gate=False),
                                       dict(reference='body')])  # fmt: skip
@pytest.mark.parametrize('num_frames, key_index', [(3, None), (5, None), (3, 2), (5, 4), (2, 0)])
def test_it_starts_as_the_single_frame_model(arguments, num_frames, key_index):
    model = method(num_frames=num_frames, key_index=key_index, **arguments).double()
    given = clip(model, 4)
    for mode in (True, False):
        out = model.train(mode)(given)
        assert torch.equal(out.key_features, given.features[:, model.key_index])


@pytest.mark.parametrize('name', VARIANTS)
def test_every_parameter_learns_in_every_variant(name):
    model = drawn(method(**VARIANTS[name])).train()
    model(clip(model, 4)).key_features.square().sum().backward()
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    frozen = {'query.weight', 'query.bias', 'key.weight'} if name == 'no gate' else set()
    assert {n for n, _ in model.named_parameters()} - learning.keys() == frozen
    assert [n for n, p in learning.items() if not (p.grad.abs() > 1e-9).any()] == []


def test_both_parts_learn_from_the_start():
    """Before training, neither Y nor the last step may be zero behind the other."""
    model = method().double().train()
    model(clip(model)).key_features.square().sum().backward()
    for name in ('motion.before.proj.weight', 'motion.after.proj.weight', 'layers.0.proj.weight',
                 'layers.1.mlp.2.weight', 'fusion.weight', 'query.weight'):  # fmt: skip
        assert model.get_parameter(name).grad.abs().max() > 1e-9, name


def test_weights_in_half_precision():
    torch.manual_seed(3)
    model = method(keep_ratio=1.0).eval()  # which cells are kept may depend on the precision
    given = clip(model)
    for module in model.motion.values():
        nn.init.normal_(module.proj.weight, std=0.3)

    def features(dtype):
        frames = given.map(lambda x: x.to(dtype))
        with torch.no_grad():
            return model.to(dtype)(ClipInput.of(frames, model.key_index)).key_features

    expected, found = features(torch.float32), features(torch.bfloat16)
    assert found.dtype == torch.bfloat16
    assert (expected - given.features[:, 1].float()).abs().mean() > 0.05
    assert (found - expected).abs().mean() < 0.05 * expected.abs().mean()


# ---- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize('arguments, message', [
    (dict(num_frames=1), 'num_frames is 1, expected at least 2: it compares frames'),
    (dict(background='black'), "background is 'black', expected one of 'keep', 'zero'"),
    (dict(reference='cell'), "reference is 'cell', expected one of 'query', 'body'"),
    (dict(separation='none'), "separation is 'none', expected one of 'bidirectional', 'joint'"),
    (dict(keep_ratio=0), 'keep_ratio is 0, expected a number above 0'),
    (dict(keep_ratio=1.1), 'keep_ratio is 1.1, expected above 0 and up to 1'),
    (dict(joint_cells=0), 'joint_cells is 0, expected a whole number of at least 1'),
    (dict(num_points=0), 'num_points is 0, expected a whole number of at least 1'),
    (dict(num_heads=3), 'num_heads is 3, expected a divisor of the 8 channels'),
    (dict(human_weight=-1), 'human_weight is -1, expected a number of at least 0'),
    (dict(human_weight=1, limbs=None), 'num_keypoints is 3 and model.method.limbs is None'),
    (dict(limbs=[(0, 3)]), r'limbs has \(0, 3\), expected pairs of joints from 0 to 2'),
    (dict(limbs=[(0,)]), r'limbs has \(0,\), expected pairs of joints'),
    (dict(limbs=[0, 1]), 'limbs has 0, expected pairs of joints'),
    (dict(limbs=[('head', 'neck')]), r"limbs has \('head', 'neck'\), expected pairs of joints"),
    (dict(key_index=3), 'key_index is 3, expected 0 to 2 for 3 frames'),
])  # fmt: skip
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=f'HKM: (model.method.)?{message}'):
        method(**arguments)


tiny_config = partial(tiny_file_config, 'hkm/hkm_tiny.py')


def test_models_that_do_not_fit_together():
    model = MODELS.build(tiny_config(joint_cells=4)).train()
    with pytest.raises(ValueError, match=(
        'HKM: model.method.keep_ratio is 0.5, which keeps 24 of the 48 cells of the map, but '
        'model.method.joint_cells is 4, which needs 60 for 15 joints; expected fewer joint_cells'
    )):  # fmt: skip
        model(tiny_images(2), clip_samples(tiny_config(), 2), mode='loss')
    with pytest.raises(ValueError, match='model.head.in_channels is 32, but .* HKM gives'):
        MODELS.build(tiny_config(in_channels=16))
    config = tiny_config(in_channels=16)
    config.head.in_channels = 16
    with pytest.raises(ValueError, match=r'model.method.in_channels is \[16\], but .* \[32\] cha'):
        MODELS.build(config)(tiny_images(1), None, mode='tensor')
    model = MODELS.build(tiny_config(num_keypoints=10)).train()
    with pytest.raises(ValueError, match='num_keypoints is 10, but the samples have 15 joints'):
        model(tiny_images(2), clip_samples(tiny_config(), 2), mode='loss')
    model = method(keypoint_weight=0.1).double()
    with pytest.raises(ValueError, match='keypoint_weight is 0.1, but the samples have no targ'):
        model(clip(model))


def test_onnx_needs_an_operator_of_version_16(tmp_path):
    from cmpose_mm.apis.export import export_onnx

    with pytest.raises(ValueError, match='opset is 15, expected at least 16'):
        export_onnx(MODELS.build(tiny_config()), tmp_path / 'model.onnx', opset=15)


@pytest.mark.parametrize('year', [17, 18, 21])
@pytest.mark.parametrize('kind', ['vit', 'vit-s'])
def test_recipe(kind, year):
    """CM-Pose's, from a single-frame model."""
    config = Config.fromfile(config_path(f'hkm/hkm_{kind}_posetrack{year}.py'))
    theirs = Config.fromfile(config_path(f'cmpose/cmpose_{kind}_posetrack{year}.py'))
    for key in ('train_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler',
                'train_cfg', 'test_evaluator'):  # fmt: skip
        assert config[key] == theirs[key], key
    assert config.model.backbone == theirs.model.backbone
    assert config.model.head == theirs.model.head
    assert 'human_mask' in config.default_hooks
    assert config.load_from == f'work_dirs/single_frame_{kind}_posetrack{year}/epoch_20.pth'
