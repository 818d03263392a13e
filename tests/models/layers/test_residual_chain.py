"""Residual chains, and the aggregation with the key frame, against loops."""

import numpy as np
import pytest
import slow_information as slow
import torch
from tiny_models import randomize
from torch import nn

from cmpose_mm.models.layers import KeyAggregation, ResidualChain


def drawn(module):
    """In eval mode, with random weights and statistics, in float64."""
    randomize(module)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.double().eval()


@pytest.mark.parametrize('num_blocks', [1, 2, 3])
def test_a_chain_is_its_blocks(num_blocks):
    module = drawn(ResidualChain(5, 4, num_blocks))
    x = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    with torch.no_grad():
        found = module(x.clone())
    state = {f'c.{name}': value for name, value in slow.numbers(module).items()}
    for number in range(2):
        expected = slow.chain(x[number].numpy(), state, 'c')
        np.testing.assert_allclose(found[number].numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize('residual', [True, False])
def test_aggregation(residual):
    module = drawn(KeyAggregation(6, 6 + 4, 4, residual))
    key, other = torch.randn(2, 6, 4, 3).double(), torch.randn(2, 4, 4, 3).double()
    with torch.no_grad():
        found = module(key, [key, other])
    state = {f'a.{name}': value for name, value in slow.numbers(module).items()}
    parts = [key[1].numpy(), other[1].numpy()]
    expected = slow.aggregation(parts[0], parts, state, 'a')
    np.testing.assert_allclose(found[1].numpy(), expected, rtol=0, atol=1e-11)


def test_aggregation_starts_as_the_key_frame():
    module = KeyAggregation(6, 10, 4)
    key, other = torch.randn(2, 6, 4, 3), torch.randn(2, 4, 4, 3)
    assert torch.equal(module(key, [key, other]), key)
    plain = KeyAggregation(6, 10, 4, residual=False)
    assert not torch.equal(plain(key, [key, other]), key)


def test_the_input_is_not_overwritten():
    module = ResidualChain(4, 4, 2).eval()
    x = torch.randn(1, 4, 3, 3)
    before = x.clone()
    module(x)
    assert torch.equal(x, before)
