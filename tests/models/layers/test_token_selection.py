import pytest
import slow_cmpose
import torch

from cmpose_mm.models.layers.token_selection import select_exclusive, select_union

REFERENCES = [
    (select_exclusive, slow_cmpose.select_exclusive),
    (select_union, slow_cmpose.select_union),
]


@pytest.mark.parametrize('select, reference', REFERENCES)
@pytest.mark.parametrize(
    'num_joints, num_tokens, num_causal', [(15, 192, 4), (4, 12, 3), (1, 5, 1)]
)
def test_matches_loops(select, reference, num_joints, num_tokens, num_causal):
    scores = torch.rand(3, num_joints, num_tokens).softmax(-1)
    got = select(scores, num_causal)
    assert got.dtype == torch.int64
    assert got.tolist() == [reference(clip.tolist(), num_causal) for clip in scores]


@pytest.mark.parametrize('select, reference', REFERENCES)
def test_ties_go_to_the_lower_index(select, reference):
    scores = torch.randint(0, 3, (5, 6, 40)).float()
    assert select(scores, 4).tolist() == [reference(clip.tolist(), 4) for clip in scores]
    equal = torch.zeros(1, 3, 8)
    assert select_exclusive(equal, 2).tolist() == [[[0, 1], [2, 3], [4, 5]]]
    assert select_union(equal, 2).tolist() == [[[0, 1], [0, 1], [0, 1]]]


def test_exclusive_by_hand():
    # All joints like token 4 best and token 1 second.
    scores = torch.tensor([0.1, 0.8, 0.3, 0.2, 0.9, 0.0]).expand(1, 3, -1)
    assert select_exclusive(scores, 2).tolist() == [[[4, 1], [2, 3], [0, 5]]]


def test_exclusive_takes_no_token_twice():
    scores = torch.rand(8, 15, 60)
    selected = select_exclusive(scores, 4).flatten(1)
    assert all(sorted(row) == list(range(60)) for row in selected.tolist())


@pytest.mark.parametrize('select', [select_exclusive, select_union])
def test_clips_do_not_depend_on_the_batch(select):
    scores = torch.rand(4, 5, 30)
    order = torch.tensor([3, 1, 0, 2])
    assert torch.equal(select(scores[order], 3), select(scores, 3)[order])
    assert torch.equal(select(scores[1:2], 3), select(scores, 3)[1:2])
