import pytest
import slow_cmpose
import torch
from tiny_models import randomize

from cmpose_mm.models.cmpose import CrissCrossSTNeck
from cmpose_mm.models.cmpose.token_corruption import mask_tokens, noise_tokens
from cmpose_mm.models.layers import gather_tokens, sine_cosine_position

GRID = (3, 2)
SWITCHES = [
    dict(),
    dict(num_blocks=1),
    dict(shared_pathways=False),
    dict(attention_dims=6),
    dict(fusion='weighted_sum'),
    dict(shared_pathways=False, fusion='weighted_sum', num_blocks=1),
    dict(position='sine_cosine'),
    dict(position='learned', grid=GRID, num_blocks=1),
    dict(temporal='neighborhood', num_blocks=1),
    dict(temporal='neighborhood', shared_pathways=False, num_blocks=1),
    dict(feed_forward='separate', feed_forward_dims=3),
    dict(feed_forward='shared', num_blocks=1),
    dict(feed_forward='separate', shared_pathways=False, num_blocks=1),
    dict(feed_forward='shared', shared_pathways=False, position='sine_cosine', num_blocks=1),
    dict(temporal='neighborhood', position='sine_cosine', feed_forward='shared', num_blocks=1),
]


def tiny_neck(num_frames=3, num_blocks=2, **switches):
    sizes = dict(embed_dims=8, num_keypoints=4, num_frames=num_frames, num_heads=2)
    return CrissCrossSTNeck(**sizes, num_blocks=num_blocks, **switches)


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
@pytest.mark.parametrize('num_frames', [1, 3, 5])
def test_output_matches_loops(switches, num_frames):
    neck = randomize(tiny_neck(num_frames, **switches)).double()
    tokens = torch.randn(2, num_frames, 6, 8, dtype=torch.float64)
    out = neck(tokens, grid=GRID)
    assert out.tokens.shape == (2, num_frames, 6, 8)
    assert out.keypoint_tokens.shape == (2, num_frames, 4, 8)
    for b in range(2):
        expected = torch.from_numpy(slow_cmpose.criss_cross_neck(tokens[b].numpy(), neck, GRID))
        torch.testing.assert_close(out.tokens[b], expected[:, :6], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(out.keypoint_tokens[b], expected[:, 6:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(('dims', 'width'), [(None, 8), (3, 3)])
@pytest.mark.parametrize(('kind', 'count'), [('separate', 4), ('shared', 2)])
def test_the_feed_forward_is_as_wide_as_asked_for(kind, count, dims, width):
    neck = tiny_neck(feed_forward=kind, feed_forward_dims=dims)
    weights = [
        tuple(values.shape)
        for name, values in neck.named_parameters()
        if 'feed_forward' in name and values.ndim == 2
    ]
    assert sorted(weights) == sorted([(width, 8), (8, width)] * count)


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_tasks_in_one_batch_equal_tasks_one_by_one(switches):
    """Values and gradients: what the last fusion leaves out is needed by nobody."""
    neck = randomize(tiny_neck(**switches)).double()
    tokens = torch.randn(2, 3, 6, 8, dtype=torch.float64, requires_grad=True)
    seeds = torch.tensor([1, 2])
    tasks = [mask_tokens(tokens, seeds, 0.3), noise_tokens(tokens, seeds, 0.6, 0.5)]
    together = neck(tokens, tasks, GRID)
    clean, *alone = (neck(x, grid=GRID) for x in (tokens, *(task.tokens for task in tasks)))
    found = [together.tokens, together.keypoint_tokens, *together.restored]
    expected = [clean.tokens, clean.keypoint_tokens]
    expected += [gather_tokens(out.tokens, task.indices) for out, task in zip(alone, tasks)]
    assert [part.shape[1] for part in together.restored] == [5, 11]  # of 18 tokens
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
    tokens = torch.randn(2, 3, 6, 8)
    out = neck(tokens, grid=GRID)
    assert torch.equal(out.tokens, tokens)
    assert torch.equal(out.keypoint_tokens, neck.keypoint_tokens.expand(2, 3, -1, -1))


@pytest.mark.parametrize('switches', SWITCHES, ids=str)
def test_all_parameters_receive_gradients_even_at_the_start(switches):
    neck = tiny_neck(**switches)
    neck(torch.randn(2, 3, 6, 8), grid=GRID).tokens.square().sum().backward()
    assert [name for name, p in neck.named_parameters() if p.grad is None] == []


def test_shared_pathways_halve_the_attention_parameters():
    def attention(neck):
        return sum(p.numel() for name, p in neck.named_parameters() if '.spatial' in name)

    assert attention(tiny_neck(shared_pathways=False)) == 2 * attention(tiny_neck())


def test_information_crosses_frames_and_cells():
    """One block lets every token reach every other through a frame and a slot, along both paths."""
    neck = randomize(tiny_neck(num_blocks=1))
    tokens = torch.randn(1, 3, 6, 8, requires_grad=True)
    neck(tokens).tokens[0, 1, 2].sum().backward()
    assert (tokens.grad[0].abs().sum(-1) > 0).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_blocks=0), 'num_blocks is 0, expected at least 1'),
        (dict(num_blocks='2'), "neck.num_blocks is '2', expected a whole number of at least 1"),
        (dict(fusion='add'), "fusion is 'add', expected one of"),
        (dict(num_frames=2.5), 'neck.num_frames is 2.5, expected a whole number of at least 1'),
        (dict(embed_dims='8'), "neck.embed_dims is '8', expected a whole number of at least 1"),
        (dict(shared_pathways='no'), "neck.shared_pathways is 'no', expected True or False"),
        (dict(num_heads=3), 'attention_dims 8 is not a multiple of num_heads 3'),
        (dict(position='x'), "position is 'x', expected one of .None, 'sine_cosine', 'learned'"),
        (dict(position='learned'), "position is 'learned' and grid is None, expected the .h, w."),
        (dict(temporal='all'), "temporal is 'all', expected one of .'neighborhood', 'slot'"),
        (dict(feed_forward=True), 'feed_forward is True, expected one of .None'),
        (
            dict(feed_forward_dims=0),
            'neck.feed_forward_dims is 0, expected a whole number of at least',
        ),
        (dict(grid=(16, 12)), r'grid is \(16, 12\) and position None, expected a grid with'),
        (
            dict(position='sine_cosine', grid=(16, 12)),
            r"grid is \(16, 12\) and position 'sine_cosine', expected a grid with",
        ),
        (dict(feed_forward_dims=8), 'feed_forward_dims is 8, but feed_forward is None; expected'),
        (dict(position='learned', grid=(16,)), r'grid is \(16,\), expected the \(h, w\) cells'),
        (dict(position='learned', grid='16x12'), r"grid is '16x12', expected the \(h, w\) cells"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CrissCrossSTNeck(**{'embed_dims': 8, **arguments})


def test_sine_cosine_needs_a_width_of_four():
    with pytest.raises(ValueError, match='embed_dims 6, expected a multiple of 4'):
        CrissCrossSTNeck(embed_dims=6, num_heads=2, position='sine_cosine')


def test_learned_positions_fit_one_grid():
    neck = tiny_neck(position='learned', grid=[3, 2])  # configs have lists
    neck(torch.randn(1, 3, 6, 8), grid=(3, 2))
    with pytest.raises(ValueError, match='have 2 x 3 cells, but .* learned for grid=.3, 2.'):
        neck(torch.randn(1, 3, 6, 8), grid=(2, 3))


@pytest.mark.parametrize('switch', [dict(position='sine_cosine'), dict(temporal='neighborhood')])
def test_a_neck_that_knows_places_needs_the_grid(switch):
    neck = tiny_neck(**switch)
    with pytest.raises(ValueError, match='need to know where tokens are; expected grid'):
        neck(torch.randn(1, 3, 6, 8))
    with pytest.raises(ValueError, match=r'grid is \(2, 2\), expected the \(h, w\) of 6 feature'):
        neck(torch.randn(1, 3, 6, 8), grid=(2, 2))


@pytest.mark.parametrize(
    'switch', [dict(), dict(position='sine_cosine'), dict(position='learned', grid=GRID)], ids=str
)
def test_only_with_positions_are_equal_tokens_told_apart(switch):
    """All tokens of a frame masked: D_S has to know where they are."""
    neck = randomize(tiny_neck(num_blocks=2, **switch)).double()
    out = neck(torch.zeros(1, 3, 6, 8, dtype=torch.float64), grid=GRID).tokens
    apart = (out - out[:, :, :1]).abs().amax((0, 1, 3))
    assert ((apart[1:] > 1e-4) == bool(switch)).all()


def test_positions_are_of_unit_variance_and_all_different():
    positions = sine_cosine_position((16, 12), 192)
    torch.testing.assert_close(positions.square().mean(1), torch.ones(192).double())
    assert torch.cdist(positions, positions).fill_diagonal_(9).min() > 0.1


@pytest.mark.parametrize('temporal, reached', [('slot', 1), ('neighborhood', 9)])
def test_how_far_d_t_looks(temporal, reached):
    """The cells of another frame that move a cell along D_T alone."""
    neck = randomize(tiny_neck(num_blocks=1, temporal=temporal)).double()
    block = neck.blocks[0]
    x = torch.randn(1, 3, 20 + 4, 8, dtype=torch.float64, requires_grad=True)
    out = block._module('temporal', '', x, *([(5, 4)] if temporal == 'neighborhood' else []))
    for slot, expected in ((9, reached), (22, 1)):  # inside; a keypoint token
        (gradient,) = torch.autograd.grad(out[0, 1, slot].sum(), x, retain_graph=True)
        assert (gradient[0, 0].abs().sum(-1) > 0).sum() == expected


def test_in_still_clips_of_one_color_the_neighborhood_changes_nothing():
    """Equal keys: the mean over 9 T equal values is that over T."""
    slots, around = (tiny_neck(num_blocks=1, temporal=kind) for kind in ('slot', 'neighborhood'))
    randomize(slots)
    around.load_state_dict(slots.state_dict())
    with torch.no_grad():
        for neck in (slots, around):
            neck.temporal_embed.zero_()
        tokens = torch.randn(2, 1, 1, 8).expand(-1, 3, 6, -1)
        found = [neck(tokens, grid=GRID).tokens for neck in (slots, around)]
    torch.testing.assert_close(found[1], found[0])
