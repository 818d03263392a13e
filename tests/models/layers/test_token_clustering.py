import pytest
import slow_cmpose
import torch

from cmpose_mm.models.layers.token_clustering import (
    cluster_tokens,
    log_density,
    merge_tokens,
    pairwise_squared_distances,
    restore_tokens,
    separation,
)


def random_case(num_clips=3, num_tokens=24, width=6, num_invalid=9):
    """Tokens, a mask of valid ones with another count in each clip, and the valid indices."""
    tokens = torch.randn(num_clips, num_tokens, width)
    valid = torch.ones(num_clips, num_tokens, dtype=torch.bool)
    for b in range(num_clips):
        valid[b, torch.randperm(num_tokens)[: max(0, num_invalid - b)]] = False
    return tokens, valid, [torch.nonzero(row).flatten().tolist() for row in valid]


def test_squared_distances_match_loops():
    tokens = torch.randn(2, 7, 5) + 30  # an offset that inner products would suffer from
    got = pairwise_squared_distances(tokens)
    for b in range(2):
        clip = tokens[b].double().tolist()
        expected = [[slow_cmpose.squared_distance(x, y) for y in clip] for x in clip]
        torch.testing.assert_close(
            got[b].double(), torch.tensor(expected).double(), atol=1e-5, rtol=0
        )


def test_equal_tokens_have_distance_zero_and_equal_rows():
    tokens = torch.randn(1, 192, 768)
    tokens[0, [20, 77, 191]] = tokens[0, 3].clone()
    distances = pairwise_squared_distances(tokens)
    group = [3, 20, 77, 191]
    assert (distances[0, group][:, group] == 0).all()
    assert (distances[0, group] == distances[0, 3]).all()


@pytest.mark.parametrize('num_neighbors', [1, 5, 14])
def test_density_and_separation_match_loops(num_neighbors):
    tokens, valid, members = random_case()
    squared = pairwise_squared_distances(tokens)
    density = log_density(squared, valid, num_neighbors)
    delta = separation(squared.sqrt(), density, valid)
    for b, indices in enumerate(members):
        expected_rho, expected_delta = slow_cmpose.density_peaks(
            tokens[b].double().numpy(), indices, num_neighbors
        )
        for i in indices:
            assert density[b, i].item() == pytest.approx(expected_rho[i], rel=1e-4)
            assert delta[b, i].item() == pytest.approx(expected_delta[i], rel=1e-4)


def test_density_and_separation_by_hand():
    # On a line, width 1: 0, 1, 3, and 100 which takes no part.
    tokens = torch.tensor([[[0.0], [1.0], [3.0], [100.0]]])
    valid = torch.tensor([[True, True, True, False]])
    squared = pairwise_squared_distances(tokens)
    density = log_density(squared, valid, 2)[:, :3]
    torch.testing.assert_close(density, torch.tensor([[-5.0, -2.5, -6.5]]), atol=1e-3, rtol=0)
    delta = separation(squared.sqrt(), log_density(squared, valid, 2), valid)[:, :3]
    # The densest is token 1; its distance is to the farthest, 3.
    torch.testing.assert_close(delta, torch.tensor([[1.0, 2.0, 2.0]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize('num_clusters, num_neighbors', [(1, 1), (4, 3), (15, 5)])
def test_clusters_match_loops(num_clusters, num_neighbors):
    for _ in range(5):
        tokens, valid, members = random_case()
        got = cluster_tokens(tokens, valid, num_clusters, num_neighbors)
        for b, indices in enumerate(members):
            expected, _ = slow_cmpose.cluster(
                tokens[b].double().numpy(), indices, num_clusters, num_neighbors
            )
            assert got[b].tolist() == expected


def test_wide_tokens_whose_densities_underflow():
    """Distances for which exp(-d^2) is zero in float32 still rank the tokens."""
    tokens, valid, members = random_case(width=64)
    tokens = tokens * 50
    squared = pairwise_squared_distances(tokens)
    assert (log_density(squared, valid, 5)[valid].exp() == 0).all()
    got = cluster_tokens(tokens, valid, 6, 5)
    for b, indices in enumerate(members):
        assert got[b].tolist() == slow_cmpose.cluster(tokens[b].double().numpy(), indices, 6, 5)[0]


def test_as_many_clusters_as_tokens():
    tokens, valid, members = random_case(num_clips=1)
    got = cluster_tokens(tokens, valid, len(members[0]), 3)
    assert got[0, members[0]].tolist() == list(range(len(members[0])))
    assert (got[~valid] == -1).all()


def test_equal_tokens_tie_by_index_and_leave_no_cluster_empty():
    tokens = torch.ones(2, 10, 4)
    valid = torch.ones(2, 10, dtype=torch.bool)
    valid[1, 0] = False
    got = cluster_tokens(tokens, valid, 3, 2)
    # The first three are centers, the rest join the first of them.
    assert got.tolist() == [[0, 1, 2] + [0] * 7, [-1, 0, 1, 2] + [0] * 6]


def test_two_groups_of_equal_tokens():
    tokens = torch.tensor([0.0, 1.0])[torch.tensor([[1, 0, 0, 1, 1, 0, 0, 1]])][..., None]
    valid = torch.ones(1, 8, dtype=torch.bool)
    expected, _ = slow_cmpose.cluster(tokens[0].double().numpy(), list(range(8)), 2, 2)
    assert cluster_tokens(tokens, valid, 2, 2)[0].tolist() == expected
    # All scores tie, so cells 0 and 1 are the centers, one of each group.
    assert expected == [0, 1, 1, 0, 0, 1, 1, 0]


def test_invalid_tokens_have_no_influence():
    tokens, valid, _ = random_case()
    before = cluster_tokens(tokens, valid, 5, 3)
    changed = torch.where(valid[..., None], tokens, torch.randn_like(tokens) * 3)
    assert torch.equal(cluster_tokens(changed, valid, 5, 3), before)


def test_clustering_has_no_gradient():
    tokens, valid, _ = random_case()
    assert not cluster_tokens(tokens.requires_grad_(), valid, 5, 3).requires_grad


@pytest.mark.parametrize('normalize', [True, False])
def test_merge_and_restore_match_loops(normalize):
    tokens, valid, members = random_case()
    ids = cluster_tokens(tokens, valid, 5, 3)
    importance = torch.rand(3, 24)
    merged = merge_tokens(tokens, ids, importance.log(), 5, normalize)
    restored = restore_tokens(tokens, merged, ids)
    for b in range(3):
        clip = tokens[b].double().numpy()
        expected = slow_cmpose.merge(clip, ids[b], importance[b].double().numpy(), 5, normalize)
        full = slow_cmpose.restore(clip, expected, ids[b])
        for number in range(5):
            torch.testing.assert_close(
                merged[b, number].double(), torch.from_numpy(expected[number]), atol=1e-5, rtol=1e-5
            )
        torch.testing.assert_close(
            restored[b].double(), torch.from_numpy(full), atol=1e-5, rtol=1e-5
        )
        causal = ~valid[b]
        assert torch.equal(restored[b, causal], tokens[b, causal])


def test_merge_by_hand():
    tokens = torch.tensor([[[1.0], [3.0], [10.0], [7.0]]])
    ids = torch.tensor([[0, 0, 1, -1]])
    log_importance = torch.tensor([[0.1, 0.3, 0.2, 0.4]]).log()
    normalized = merge_tokens(tokens, ids, log_importance, 2)
    torch.testing.assert_close(normalized, torch.tensor([[[2.5], [10.0]]]))
    literal = merge_tokens(tokens, ids, log_importance, 2, normalize=False)
    torch.testing.assert_close(literal, torch.tensor([[[1.0], [2.0]]]))
    restored = restore_tokens(tokens, normalized, ids)
    torch.testing.assert_close(restored, torch.tensor([[[2.5], [2.5], [10.0], [7.0]]]))


def test_merge_survives_importance_that_underflows():
    tokens = torch.tensor([[[1.0], [3.0]]])
    merged = merge_tokens(tokens, torch.tensor([[0, 0]]), torch.tensor([[-300.0, -300.0]]), 1)
    torch.testing.assert_close(merged, torch.tensor([[[2.0]]]))


def test_merge_gradient_reaches_members_and_importance():
    tokens = torch.tensor([[[1.0], [3.0], [10.0], [7.0]]], requires_grad=True)
    log_importance = torch.tensor([[0.1, 0.3, 0.2, 0.4]]).log().requires_grad_()
    ids = torch.tensor([[0, 0, 1, -1]])
    merge_tokens(tokens, ids, log_importance, 2)[0, 0].sum().backward()
    torch.testing.assert_close(tokens.grad[0, :, 0], torch.tensor([0.25, 0.75, 0.0, 0.0]))
    # d/dlog s of a weighted mean: weight * (token - mean).
    expected = torch.tensor([0.25 * (1 - 2.5), 0.75 * (3 - 2.5), 0.0, 0.0])
    torch.testing.assert_close(log_importance.grad[0], expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_tokens_in_half_precision_are_compared_in_float32(dtype):
    """As a neck under autocast gives them."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 192, 32, generator=generator).to(dtype)
    found = pairwise_squared_distances(tokens)
    assert found.dtype == torch.float32
    assert torch.equal(found, pairwise_squared_distances(tokens.float()))
    valid = torch.ones(2, 192, dtype=torch.bool)
    clusters = cluster_tokens(tokens, valid, 33, 5)
    assert torch.equal(clusters, cluster_tokens(tokens.float(), valid, 33, 5))
