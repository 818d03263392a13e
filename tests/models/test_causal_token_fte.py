import numpy as np
import pytest
import slow_cmpose
import slow_information as slow
import slow_transformer
import torch
from mmpose.codecs import UDPHeatmap
from tiny_models import HALF_PRECISIONS, randomize

from cmpose_mm.models.cmpose import CausalTokenFTE
from cmpose_mm.models.cmpose.similarity_loss import similarity_loss
from cmpose_mm.models.layers import heat_of_cells

SWITCHES = [
    dict(),
    dict(selection='union'),
    dict(normalize_merge=False),
    dict(causal_only=True),
    dict(selection='union', causal_only=True),
    dict(restoring='residual'),
    dict(num_layers=2, num_heads=2),
    dict(num_layers=1, num_heads=4, restoring='residual', normalize_merge=False),
    dict(num_layers=1, num_heads=2, causal_only=True),
    dict(num_layers=1, num_heads=2, selection='union'),
    dict(straight_through=True),
    dict(straight_through=True, selection='union', restoring='residual'),
    dict(straight_through=True, causal_only=True, restoring='residual'),
    dict(similarity_weight=0.1),
]


def tiny_fte(**switches):
    arguments = dict(num_keypoints=4, num_causal=3, num_neighbors=3, num_clusters=5)
    return randomize(CausalTokenFTE(embed_dims=8, **{**arguments, **switches}))


def inputs(num_clips=3):
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(num_clips, 30, 8, generator=generator),
        torch.randn(num_clips, 4, 8, generator=generator),
    )


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_matches_loops(switches):
    fte = tiny_fte(**switches)
    tokens, keypoints = inputs()
    out = fte(tokens, keypoints)
    assert out.tokens.shape == (3, 30, 8)
    assert out.causal_tokens.shape == (3, 4, 3)
    assert out.cluster_ids.shape == (3, 30)
    assert out.similarity.shape == (3, 4, 30)
    select = getattr(slow_cmpose, fte.select.__name__)
    for b in range(3):
        clip = tokens[b].double().numpy().copy()
        scores = slow_cmpose.similarity(clip, keypoints[b].double().numpy(), fte.query, fte.key)
        selected = select(scores, 3)
        causal = {token for joint in selected for token in joint}
        others = [token for token in range(30) if token not in causal]
        ids, merged = [-1] * 30, []
        if not fte.causal_only:
            ids, _ = slow_cmpose.cluster(clip, others, 5, 3)
            merged = slow_cmpose.merge(clip, ids, scores.sum(0), 5, fte.normalize_merge)
        cells = [token for joint in selected for token in joint]
        sequence = np.array([*clip[cells], *merged])
        for number, layer in enumerate(fte.layers):
            state = {f'{number}.{name}': value for name, value in slow.numbers(layer).items()}
            sequence = slow_transformer.layer(
                sequence, sequence, state, str(number), layer.num_heads
            )
        for cell, token in zip(cells, sequence):
            clip[cell] = token
        merged = sequence[len(cells) :]
        if fte.causal_only:
            expected = clip * [[token in causal] for token in range(30)]
        elif fte.restoring == 'residual':
            expected = slow_cmpose.restore_with_own(
                clip, merged, ids, fte.gain.detach().double().numpy()
            )
        else:
            expected = slow_cmpose.restore(clip, merged, ids)
        torch.testing.assert_close(
            out.similarity[b].double(), torch.from_numpy(scores), atol=1e-5, rtol=1e-5
        )
        assert out.causal_tokens[b].tolist() == selected
        assert out.cluster_ids[b].tolist() == ids
        torch.testing.assert_close(
            out.tokens[b].double(), torch.from_numpy(expected), atol=1e-5, rtol=1e-5
        )


def test_counts_of_the_paper():
    fte = CausalTokenFTE(embed_dims=8)
    out = fte(torch.randn(2, 192, 8), torch.randn(2, 15, 8))
    for b in range(2):
        assert len(out.causal_tokens[b].unique()) == 60
        assert (out.cluster_ids[b] == -1).sum() == 60
        assert out.cluster_ids[b].unique().tolist() == list(range(-1, 33))
        assert len(out.tokens[b].unique(dim=0)) == 60 + 33


@pytest.mark.parametrize('num_cells, expected', [(192, (4, 33)), (48, (1, 8)), (432, (9, 74))])
def test_sizes_scale_with_the_grid(num_cells, expected):
    assert CausalTokenFTE(embed_dims=8).sizes(num_cells) == expected
    given = CausalTokenFTE(embed_dims=8, num_causal=2, num_clusters=7)
    assert given.sizes(num_cells) == (2, 7)


def test_gradient_paths():
    """Causal cells pass their gradient to their token alone, others to their cluster's members."""
    fte = tiny_fte()
    tokens, keypoints = (x.requires_grad_() for x in inputs(1))
    out = fte(tokens, keypoints)
    cell = out.causal_tokens[0, 1, 0].item()
    (gradient,) = torch.autograd.grad(out.tokens[0, cell].sum(), tokens, retain_graph=True)
    expected = torch.zeros_like(tokens)
    expected[0, cell] = 1
    assert torch.equal(gradient, expected)

    # The cluster with the most members; the weights depend on S and so on all tokens: fix them.
    cluster = out.cluster_ids[0][out.cluster_ids[0] >= 0].bincount().argmax()
    members = out.cluster_ids[0] == cluster
    assert members.sum() > 2
    cell = members.nonzero()[0, 0]
    gradients = torch.autograd.grad(
        out.tokens[0, cell].square().sum(), [keypoints, fte.query.weight, fte.key.weight, tokens]
    )
    for gradient in gradients:
        assert gradient.abs().sum() > 0
    weights = out.similarity[0].sum(0)[members]
    weights = weights / weights.sum()
    fte.log_similarity = lambda *args: torch.log(out.similarity.detach())
    fixed = fte(tokens, keypoints).tokens[0, cell].sum()
    (gradient,) = torch.autograd.grad(fixed, tokens)
    assert (gradient[0, ~members] == 0).all()
    torch.testing.assert_close(gradient[0, members], weights[:, None].expand(-1, 8))


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_trainable_parameters_receive_gradients(switches):
    fte = tiny_fte(**switches)
    fte(*(x.requires_grad_() for x in inputs())).tokens.square().sum().backward()
    trainable = {name: p for name, p in fte.named_parameters() if p.requires_grad}
    frozen = fte.causal_only and not fte.straight_through
    of_s = set() if frozen else {'query.weight', 'query.bias', 'key.weight'}
    others = {name for name in trainable if name.split('.')[0] in ('layers', 'gain')}
    assert set(trainable) == of_s | others
    assert ('gain' in others) == (fte.restoring == 'residual' and not fte.causal_only)
    assert all(p.grad.abs().sum() > 0 for p in trainable.values())


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_clips_do_not_depend_on_the_batch(switches):
    fte = tiny_fte(**switches)
    tokens, keypoints = inputs(4)
    out = fte(tokens, keypoints)
    order = torch.tensor([2, 0, 3, 1])
    for part in (order, torch.tensor([1])):
        again = fte(tokens[part], keypoints[part])
        torch.testing.assert_close(again.tokens, out.tokens[part])
        assert torch.equal(again.causal_tokens, out.causal_tokens[part])
        assert torch.equal(again.cluster_ids, out.cluster_ids[part])


@pytest.mark.parametrize('dtype', HALF_PRECISIONS)
def test_decides_in_float32_under_autocast(dtype):
    fte = tiny_fte()
    tokens, keypoints = inputs()
    plain = fte(tokens, keypoints)
    with torch.autocast('cpu', dtype=dtype):
        mixed = fte(tokens, keypoints)
    assert torch.equal(mixed.similarity, plain.similarity)
    assert torch.equal(mixed.tokens, plain.tokens)
    assert torch.equal(mixed.cluster_ids, plain.cluster_ids)
    half = tokens.to(dtype)  # as a neck under autocast gives them
    with torch.autocast('cpu', dtype=dtype):
        mixed = fte(half, keypoints)
    plain = fte(half.float(), keypoints)
    assert torch.equal(mixed.similarity, plain.similarity)
    assert torch.equal(mixed.cluster_ids, plain.cluster_ids)
    assert torch.equal(mixed.tokens.float(), plain.tokens.to(dtype).float())


@pytest.mark.parametrize('scale', [0, 1e-4, 1e4])
def test_finite_for_tokens_of_any_size(scale):
    fte = tiny_fte()
    tokens, keypoints = inputs()
    tokens = (tokens * scale).requires_grad_()
    out = fte(tokens, keypoints)
    out.tokens.sum().backward()
    assert out.tokens.isfinite().all() and tokens.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in fte.parameters())


@pytest.mark.parametrize('seed', range(5))
def test_the_best_cells_where_s_is_too_small_for_float32(seed):
    fte = tiny_fte()
    torch.manual_seed(seed)
    tokens, keypoints = torch.randn(2, 30, 8) * 100, torch.randn(2, 4, 8) * 10
    out = fte(tokens, keypoints)
    assert (out.similarity == 0).float().mean() > 0.5
    scores = fte.double().log_similarity(tokens.double(), keypoints.double())
    for clip, cells in zip(scores.tolist(), out.causal_tokens.tolist()):
        left = set(range(30))
        for joint, found in zip(clip, cells):
            expected = sorted(left, key=lambda cell: -joint[cell])[: len(found)]
            assert found == expected
            left -= set(found)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            dict(num_causal=8),
            '8 causal tokens for each of 4 joints are more than the 30 cells .*num_causal .None',
        ),
        (
            dict(num_clusters=19),
            'num_clusters is 19, expected at most the 18 non-causal cells .*num_clusters=None',
        ),
        (dict(num_neighbors=18), 'num_neighbors is 18, expected less than the 18 non-causal cells'),
    ],
)
def test_grid_too_small(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_fte(**arguments)(*inputs())


@pytest.mark.parametrize('cells', [12, 13])
def test_no_cells_left_to_merge(cells):
    tokens, keypoints = inputs()
    message = (
        f'3 causal tokens for each of 4 joints leave {cells - 12} of the {cells} cells .*num_c'
    )
    with pytest.raises(ValueError, match=message):
        tiny_fte(num_clusters=None)(tokens[:, :cells], keypoints)
    tiny_fte(causal_only=True)(tokens[:, :cells], keypoints)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(restoring='both'), "restoring is 'both', expected one of .'replace', 'residual'"),
        (dict(num_layers=-1), 'fte.num_layers is -1, expected a whole number of at least 0'),
        (
            dict(similarity_weight=-0.1),
            'fte.similarity_weight is -0.1, expected a number of at least 0',
        ),
        (
            dict(similarity_weight=float('nan')),
            'fte.similarity_weight is nan, expected a number of at least 0',
        ),
        (dict(num_layers=1, num_heads=3), 'num_heads is 3, expected a divisor of the 8'),
        (dict(num_layers=1, num_heads='x'), "num_heads is 'x', expected a divisor of the 8"),
        (dict(selection='best'), "selection is 'best', expected one of"),
        (
            dict(similarity_weight='0.1'),
            "similarity_weight is '0.1', expected a number of at least 0",
        ),
        (dict(similarity_weight=float('inf')), 'similarity_weight is inf, expected a number of'),
        (dict(selection=['union']), "selection is .'union'., expected one of"),
        (dict(embed_dims=0), 'fte.embed_dims is 0, expected a whole number of at least 1'),
        (dict(num_keypoints=0), 'fte.num_keypoints is 0, expected a whole number of at least 1'),
        (dict(straight_through='no'), "fte.straight_through is 'no', expected True or False"),
        (dict(normalize_merge='no'), "fte.normalize_merge is 'no', expected True or False"),
        (dict(causal_only=1), 'fte.causal_only is 1, expected True or False'),
        (dict(num_layers=1.5), 'num_layers is 1.5, expected a whole number of at least 0'),
        (dict(num_causal=0), 'fte.num_causal is 0, expected a whole number of at least 1'),
        (dict(num_clusters=-1), 'fte.num_clusters is -1, expected a whole number of at least 1'),
        (dict(num_neighbors=0), 'fte.num_neighbors is 0, expected a whole number of at least 1'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CausalTokenFTE(**{'embed_dims': 8, **arguments})


def test_residual_restoring_starts_as_the_identity():
    fte = CausalTokenFTE(8, 4, 3, 3, 5, restoring='residual', num_layers=2, num_heads=2)
    tokens, keypoints = inputs()
    assert torch.equal(fte(tokens, keypoints).tokens, tokens)


def test_new_layers_start_as_the_model_without():
    plain, with_layers = tiny_fte(), CausalTokenFTE(8, 4, 3, 3, 5, num_layers=1, num_heads=2)
    with_layers.load_state_dict(plain.state_dict(), strict=False)
    found, expected = with_layers(*inputs()), plain(*inputs())
    assert torch.equal(found.tokens, expected.tokens)


@pytest.mark.parametrize('selection', ['exclusive', 'union'])
def test_straight_through_keeps_values_and_adds_a_gradient(selection):
    """Against loops: the gradient of sum_k sum_c <g_c, x_c> d log S_kc, in float64."""
    gated, plain = (
        tiny_fte(straight_through=True, selection=selection),
        tiny_fte(selection=selection),
    )
    tokens, keypoints = inputs(1)
    weights = torch.randn(30, 8, generator=torch.Generator().manual_seed(4))
    found, expected = gated(tokens, keypoints), plain(tokens, keypoints)
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(gated.eval()(tokens, keypoints).tokens, expected.tokens)
    parameters = ('query.weight', 'query.bias', 'key.weight')
    gradients = []
    for fte, out in ((gated, found), (plain, expected)):
        loss = (weights * out.tokens[0]).sum()
        of = [dict(fte.named_parameters())[name] for name in parameters]
        gradients.append(torch.autograd.grad(loss, of))

    copies = [
        dict(plain.named_parameters())[n].detach().double().requires_grad_() for n in parameters
    ]
    query, bias, key = copies
    total = torch.zeros((), dtype=torch.float64)
    for joint in range(4):
        q = query @ keypoints[0, joint].double() + bias
        logits = torch.stack([q @ (key @ token) for token in tokens[0].double()]) / 8**0.5
        for cell in found.causal_tokens[0, joint].tolist():
            log_s = logits[cell] - logits.exp().sum().log()
            total = total + (weights[cell] * tokens[0, cell]).sum() * log_s
    for gate, without, slow_gradient in zip(*gradients, torch.autograd.grad(total, copies)):
        torch.testing.assert_close((gate - without).double(), slow_gradient, atol=1e-4, rtol=1e-4)


# ---- the loss of S -----------------------------------------------------------------------------


def label_case():
    """S of two clips, heatmaps, weights: a doubtful joint, one unlabeled, one out of the crop."""
    generator = torch.Generator().manual_seed(2)
    log_s = torch.randn(2, 4, 30, generator=generator).double().log_softmax(2)
    heatmaps = torch.rand(2, 4, 12, 20, generator=generator) ** 8
    heatmaps[1, 2] = 0
    weights = torch.tensor([[1, 0.25, 0, 1], [0, 1, 1, 0.5]])
    return log_s, heatmaps, weights


def test_similarity_loss_against_loops():
    log_s, heatmaps, weights = label_case()
    found = similarity_loss(log_s, heatmaps, weights, (6, 5))
    expected = slow_cmpose.similarity_loss(
        log_s.numpy(), heatmaps.double().numpy(), weights.double().numpy(), (6, 5)
    )
    assert found.item() == pytest.approx(expected, rel=1e-6)
    doubtful = torch.zeros_like(weights)
    doubtful[0, 1] = 0.25  # the only label: its weight cancels
    found = similarity_loss(log_s, heatmaps, doubtful, (6, 5))
    assert found == similarity_loss(log_s, heatmaps, 4 * doubtful, (6, 5)) > 0


def test_joints_outside_of_the_crop_teach_nothing():
    """MMPose's codec draws the edge of their Gaussian, and gives them weight."""
    codec = UDPHeatmap(input_size=(192, 256), heatmap_size=(48, 64), sigma=2.0)
    xs = np.array([[[10.0, 100], [-8, 100], [-20, 100], [-30, 100], [96, 270], [-300, 100]]])
    encoded = codec.encode(xs, np.ones((1, 6)))
    heatmaps = torch.from_numpy(encoded['heatmaps'])[None]
    weights = torch.from_numpy(encoded['keypoint_weights'])
    assert weights[0, :4].all() and (heatmaps[0, :4].amax((1, 2)) > 0).all()
    log_s = torch.randn(1, 6, 192, generator=torch.manual_seed(0)).log_softmax(2)
    found = similarity_loss(log_s, heatmaps, weights, (16, 12))
    each = -(heat_of_cells(heatmaps, (16, 12)) * log_s).sum(2)[0]
    expected = (each[0] + each[1]) / 2  # the second is two cells outside: 0.61 of the peak
    torch.testing.assert_close(found, expected)


def test_similarity_loss_is_the_entropy_where_s_is_the_label():
    _, heatmaps, weights = label_case()
    heat = heat_of_cells(heatmaps, (6, 5)).double().clamp(min=1e-30)
    least = similarity_loss(heat.log(), heatmaps, weights, (6, 5))
    for scale in (0.5, 2.0):
        other = similarity_loss((scale * heat.log()).log_softmax(2), heatmaps, weights, (6, 5))
        assert other > least + 0.01


def test_unlabeled_joints_do_not_count():
    log_s, heatmaps, weights = label_case()
    log_s.requires_grad_()
    loss = similarity_loss(log_s, heatmaps, weights, (6, 5))
    (gradient,) = torch.autograd.grad(loss, log_s)
    left_out = (weights == 0) | (heatmaps.sum((2, 3)) == 0)
    assert ((gradient.abs().sum(2) == 0) == left_out).all()
    with torch.no_grad():
        log_s[left_out] -= 7
        heatmaps[weights == 0] = 5
    assert similarity_loss(log_s, heatmaps, weights, (6, 5)).item() == pytest.approx(loss.item())


@pytest.mark.parametrize('missing', ['weights', 'heatmaps'])
def test_without_labels_the_loss_is_zero_and_connected(missing):
    log_s, heatmaps, weights = label_case()
    log_s.requires_grad_()
    dict(weights=weights, heatmaps=heatmaps)[missing].zero_()
    loss = similarity_loss(log_s, heatmaps, weights, (6, 5))
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(65536 * loss, log_s)  # as GradScaler begins
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_heat_of_cells():
    heatmaps = torch.zeros(1, 2, 4, 4)
    heatmaps[0, 0, 0, 3], heatmaps[0, 0, 3, 0] = 3, 1
    assert heat_of_cells(heatmaps, (2, 2)).tolist() == [[[0, 0.75, 0.25, 0], [0, 0, 0, 0]]]
