import pytest
import slow_cmpose
import torch
from tiny_models import randomize

from cmpose_mm.models.cmpose import CrissCrossSTNeck
from cmpose_mm.models.cmpose.token_corruption import mask_tokens, noise_tokens
from cmpose_mm.models.layers import gather_tokens

SWITCHES = [
    dict(),
    dict(num_blocks=1),
    dict(shared_pathways=False),
    dict(attention_dims=6),
    dict(fusion='weighted_sum'),
    dict(shared_pathways=False, fusion='weighted_sum', num_blocks=1),
]


def tiny_neck(num_frames=3, num_blocks=2, **switches):
    sizes = dict(embed_dims=8, num_keypoints=4, num_frames=num_frames, num_heads=2)
    return CrissCrossSTNeck(**sizes, num_blocks=num_blocks, **switches)


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
@pytest.mark.parametrize('num_frames', [1, 3])
def test_output_matches_loops(switches, num_frames):
    neck = randomize(tiny_neck(num_frames, **switches)).double()
    tokens = torch.randn(2, num_frames, 5, 8, dtype=torch.float64)
    out = neck(tokens)
    assert out.tokens.shape == (2, num_frames, 5, 8)
    assert out.keypoint_tokens.shape == (2, num_frames, 4, 8)
    for b in range(2):
        expected = torch.from_numpy(slow_cmpose.criss_cross_neck(tokens[b].numpy(), neck))
        torch.testing.assert_close(out.tokens[b], expected[:, :5], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(out.keypoint_tokens[b], expected[:, 5:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_tasks_in_one_batch_equal_tasks_one_by_one(switches):
    """Values and gradients: what the last fusion leaves out is needed by nobody."""
    neck = randomize(tiny_neck(**switches)).double()
    tokens = torch.randn(2, 3, 5, 8, dtype=torch.float64, requires_grad=True)
    seeds = torch.tensor([1, 2])
    tasks = [mask_tokens(tokens, seeds, 0.3), noise_tokens(tokens, seeds, 0.6, 0.5)]
    together = neck(tokens, tasks)
    clean, *alone = (neck(x) for x in (tokens, *(task.tokens for task in tasks)))
    found = [together.tokens, together.keypoint_tokens, *together.restored]
    expected = [clean.tokens, clean.keypoint_tokens]
    expected += [gather_tokens(out.tokens, task.indices) for out, task in zip(alone, tasks)]
    assert [part.shape[1] for part in together.restored] == [4, 9]  # of 15 tokens
    close = dict(rtol=1e-10, atol=1e-10)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, **close)

    inputs = [tokens, *neck.parameters()]
    gradients = [
        torch.autograd.grad(sum(part.pow(3).sum() for part in parts), inputs, retain_graph=True)
        for parts in (found, expected)
    ]
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, **close)


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_starts_as_the_identity(switches):
    neck = tiny_neck(**switches)
    tokens = torch.randn(2, 3, 5, 8)
    out = neck(tokens)
    assert torch.equal(out.tokens, tokens)
    assert torch.equal(out.keypoint_tokens, neck.keypoint_tokens.expand(2, 3, -1, -1))


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_all_parameters_receive_gradients_even_at_the_start(switches):
    neck = tiny_neck(**switches)
    neck(torch.randn(2, 3, 5, 8)).tokens.square().sum().backward()
    assert [name for name, p in neck.named_parameters() if p.grad is None] == []


def test_shared_pathways_halve_the_attention_parameters():
    def attention(neck):
        return sum(p.numel() for name, p in neck.named_parameters() if '.spatial' in name)

    assert attention(tiny_neck(shared_pathways=False)) == 2 * attention(tiny_neck())


def test_information_crosses_frames_and_cells():
    """One block lets every token reach every other through a frame and a slot, along both paths."""
    neck = randomize(tiny_neck(num_blocks=1))
    tokens = torch.randn(1, 3, 5, 8, requires_grad=True)
    neck(tokens).tokens[0, 1, 2].sum().backward()
    assert (tokens.grad[0].abs().sum(-1) > 0).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_blocks=0), 'num_blocks is 0, expected at least 1'),
        (dict(fusion='add'), "fusion is 'add', expected one of"),
        (dict(num_heads=3), 'attention_dims 8 is not a multiple of num_heads 3'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CrissCrossSTNeck(embed_dims=8, **arguments)
