import pytest
import slow_cmpose
import torch
from tiny_models import HALF_PRECISIONS, randomize

from cmpose_mm.models.cmpose import CausalTokenFTE

SWITCHES = [
    dict(),
    dict(selection='union'),
    dict(normalize_merge=False),
    dict(causal_only=True),
    dict(selection='union', causal_only=True),
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
        clip = tokens[b].double().numpy()
        scores = slow_cmpose.similarity(clip, keypoints[b].double().numpy(), fte.query, fte.key)
        selected = select(scores, 3)
        causal = {token for joint in selected for token in joint}
        others = [token for token in range(30) if token not in causal]
        if fte.causal_only:
            ids = [-1] * 30
            expected = clip * [[token in causal] for token in range(30)]
        else:
            ids, _ = slow_cmpose.cluster(clip, others, 5, 3)
            merged = slow_cmpose.merge(clip, ids, scores.sum(0), 5, fte.normalize_merge)
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
    assert set(trainable) == (
        set() if fte.causal_only else {'query.weight', 'query.bias', 'key.weight'}
    )
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


@pytest.mark.parametrize('scale', [0, 1e-4, 1e4])
def test_finite_for_tokens_of_any_size(scale):
    fte = tiny_fte()
    tokens, keypoints = inputs()
    tokens = (tokens * scale).requires_grad_()
    out = fte(tokens, keypoints)
    out.tokens.sum().backward()
    assert out.tokens.isfinite().all() and tokens.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in fte.parameters())


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_causal=8), '8 causal tokens for each of 4 joints are more than the 30 cells'),
        (dict(num_clusters=19), 'num_clusters is 19, expected at most the 18 non-causal cells'),
        (dict(num_neighbors=18), 'num_neighbors is 18, expected less than the 18 non-causal cells'),
    ],
)
def test_grid_too_small(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_fte(**arguments)(*inputs())


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(selection='best'), "selection is 'best', expected one of"),
        (dict(num_causal=0), 'num_causal is 0, expected at least 1'),
        (dict(num_clusters=-1), 'num_clusters is -1, expected at least 1'),
        (dict(num_neighbors=0), 'num_neighbors is 0, expected at least 1'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CausalTokenFTE(embed_dims=8, **arguments)
