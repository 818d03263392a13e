import numpy as np
import pytest
import slow_information as slow
import slow_transformer
import torch
from tiny_models import randomize

from cmpose_mm.models.layers import TransformerLayer


def drawn(embed_dims=8, num_heads=2):
    layer = randomize(TransformerLayer(embed_dims, num_heads)).double()
    layer.norm_attention.weight.data += 1
    layer.norm_mlp.weight.data += 1
    return layer


@pytest.mark.parametrize('reads', ['itself', 'others'])
def test_it_is_what_the_loops_give(reads):
    layer = drawn()
    x, context = torch.randn(2, 5, 8).double(), torch.randn(2, 7, 8).double()
    with torch.no_grad():
        found = layer(x, None if reads == 'itself' else context)
    read = x if reads == 'itself' else context
    state = {f'l.{name}': value for name, value in slow.numbers(layer).items()}
    for b in range(2):
        expected = slow_transformer.layer(x[b].numpy(), read[b].numpy(), state, 'l', 2)
        assert np.abs(expected - x[b].numpy()).max() > 0.1
        np.testing.assert_allclose(found[b], expected, rtol=0, atol=1e-12)


def test_it_starts_as_the_identity():
    layer, x = TransformerLayer(8, 4), torch.randn(2, 5, 8)
    assert torch.equal(layer(x, torch.randn(2, 3, 8)), x)


def test_fewer_queries_give_the_same_tokens():
    layer, x = drawn(), torch.randn(2, 6, 8).double()
    with torch.no_grad():
        torch.testing.assert_close(layer(x[:, 2:4], x), layer(x)[:, 2:4])


def test_heads_that_do_not_fit():
    for heads in (0, 3):
        with pytest.raises(ValueError, match=f'num_heads is {heads}, expected a divisor of the 8'):
            TransformerLayer(8, heads)
