"""Mutual information of Gaussians with known values, against loops, and over two processes."""

import math

import numpy as np
import pytest
import slow_information as slow
import torch
from processes import start_processes

from cmpose_mm.models.layers import gaussian_mi, require_samples, standardize
from cmpose_mm.models.layers.gaussian_information import covariance


def samples_of(matrix, count=400, seed=0):
    """Samples (count, C) whose covariance is exactly the given one."""
    matrix = torch.as_tensor(matrix, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, len(matrix), generator=generator, dtype=torch.float64)
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(
        torch.linalg.cholesky(x.T @ x / count), x.T, upper=False
    ).T
    return white @ torch.linalg.cholesky(matrix).T + 3.0  # the mean must not matter


def random_samples(seed=0, count=60, sizes=(3, 2, 4)):
    """Dependent variables x, y, z of those sizes, neither centered nor of unit variance."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(sizes)
    mix = torch.randn(total, total, generator=generator, dtype=torch.float64)
    x = torch.randn(count, total, generator=generator, dtype=torch.float64) @ mix + 5
    return (x * torch.logspace(-1, 1, total, dtype=torch.float64)).split(list(sizes), dim=1)


@pytest.mark.parametrize('correlation', [0.0, 0.3, -0.9, 0.999])
def test_two_gaussians(correlation):
    x, y = samples_of([[1, correlation], [correlation, 1]]).split(1, dim=1)
    expected = -0.5 * math.log(1 - correlation**2)
    assert gaussian_mi(x, y, noise=0).item() == pytest.approx(expected, abs=1e-9)
    scaled = gaussian_mi(7 * x, 0.01 * y, noise=0, unit_variance=True)
    assert scaled.item() == pytest.approx(expected, rel=0.02, abs=1e-9)
    # The noise adds 0.3² to both variances.
    noisy = correlation / 1.09
    expected = -0.5 * math.log(1 - noisy**2)
    assert gaussian_mi(x, y, noise=0.3).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('noise', [0.0, 0.1])
@pytest.mark.parametrize('unit_variance', [True, False])
@pytest.mark.parametrize('conditional', [True, False])
def test_it_is_what_the_loops_give(noise, unit_variance, conditional):
    x, y, z = random_samples()
    given = z if conditional else None
    found = gaussian_mi(x, y, given, noise, unit_variance).item()
    arrays = [None if part is None else part.numpy() for part in (x, y, given)]
    expected = slow.gaussian_mi(*arrays, noise, unit_variance)
    assert found == pytest.approx(expected, rel=1e-8)


def test_symmetric_and_not_negative():
    for seed in range(5):
        x, y, z = random_samples(seed)
        for given in (None, z):
            there, back = gaussian_mi(x, y, given), gaussian_mi(y, x, given)
            torch.testing.assert_close(there, back, rtol=1e-9, atol=1e-12)
            assert there > 0


def test_chain_rule():
    """I(x; y, z) = I(x; z) + I(x; y | z), and the identity of joint-motion learning."""
    x, y, z = random_samples()
    whole = gaussian_mi(x, torch.cat([y, z], 1))
    parts = gaussian_mi(x, z) + gaussian_mi(x, y, z)
    torch.testing.assert_close(whole, parts, rtol=1e-9, atol=1e-12)
    other = gaussian_mi(x, y) - gaussian_mi(x, z) + gaussian_mi(x, z, y)
    torch.testing.assert_close(gaussian_mi(x, y, z), other, rtol=1e-9, atol=1e-12)


def test_a_common_cause_is_explained_away():
    # x = z + a, y = z + b, all of variance 1.
    x, y, z = samples_of([[2, 1, 1], [1, 2, 1], [1, 1, 1]]).split(1, dim=1)
    assert gaussian_mi(x, y, noise=0).item() == pytest.approx(0.5 * math.log(4 / 3), abs=1e-9)
    assert gaussian_mi(x, y, z, noise=0).item() == pytest.approx(0, abs=1e-9)


def test_a_function_of_x_has_finite_information():
    (x, *_) = random_samples()
    found = gaussian_mi(x, 2 * x[:, :1], unit_variance=True)
    assert found.isfinite() and found > 1


def test_lower_information_by_its_gradient():
    x, y, _ = random_samples(count=200)
    x = standardize(x).requires_grad_()
    y = standardize(y)
    before = gaussian_mi(x, y)
    before.backward()
    after = gaussian_mi(x - 0.5 * x.grad, y)
    assert after < before


def test_gradients_are_those_of_differences():
    x, y, z = random_samples(count=40)
    for unit_variance in (True, False):
        assert torch.autograd.gradcheck(
            lambda *parts: gaussian_mi(*parts, unit_variance=unit_variance),  # noqa: B023
            [part.clone().requires_grad_() for part in (x, y, z)],
        )


def test_half_precision_is_computed_in_float32():
    x, y, _ = (part.float() for part in random_samples(count=100))
    x, y = standardize(x).bfloat16(), standardize(y).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = gaussian_mi(x, y)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, gaussian_mi(x.float(), y.float()))


def test_constant_channels_do_not_break_it():
    x, y, _ = (part.clone() for part in random_samples())
    x[:, 1] = 3
    x.requires_grad_()
    found = gaussian_mi(x, y, unit_variance=True)
    found.backward()
    assert found.isfinite() and x.grad.isfinite().all()
    assert (standardize(x)[:, 1] == 0).all()


def test_standardized():
    x = torch.cat(random_samples(), dim=1).requires_grad_()
    found = standardize(x)
    assert not found.requires_grad
    expected = torch.eye(9).double().diagonal()
    torch.testing.assert_close(found.mean(0), torch.zeros(9).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(found.square().mean(0), expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(
        covariance(x.detach()).numpy(), slow.covariance(x.detach().numpy()), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_features_of_a_diverged_training(value):
    x, y, _ = random_samples()
    x[3, 1] = value
    with pytest.raises(ValueError, match='expected finite features; the training has diverged'):
        gaussian_mi(x, y)


def test_too_few_samples():
    x, y, z = random_samples(count=17)
    message = (
        '^gaussian_mi: covariances of 9 channels from 17 samples .* at least 18: more samples$'
    )
    with pytest.raises(ValueError, match=message):
        gaussian_mi(x, y, z)
    assert gaussian_mi(x, y).isfinite()
    with pytest.raises(ValueError, match='^a method: .* at least 4: a larger batch$'):
        require_samples(3, 2, 'a method', 'a larger batch')


def _half(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )
    # Unequal parts, each too small for itself.
    x, y, z = (part[:11] if rank == 0 else part[11:] for part in random_samples(count=24))
    found = {}
    for unit_variance in (True, False):
        leaves = [part.clone().requires_grad_() for part in (x, y, z)]
        loss = gaussian_mi(*leaves, unit_variance=unit_variance)
        loss.backward()
        found[unit_variance] = [loss.detach(), *(leaf.grad for leaf in leaves)]
    found['standardized'] = standardize(x)
    # The group ends with the process: torch 2.1 may wait forever where it is destroyed.
    torch.save(found, f'{folder}/{rank}.pth')


@pytest.mark.slow
def test_two_processes_have_the_information_of_one(tmp_path):
    """The value is the same; gradients, averaged over processes, are those of the whole."""
    start_processes(_half, (str(tmp_path),), 2)
    first, second = (torch.load(tmp_path / f'{rank}.pth', weights_only=True) for rank in (0, 1))
    for unit_variance in (True, False):
        leaves = [part.clone().requires_grad_() for part in random_samples(count=24)]
        loss = gaussian_mi(*leaves, unit_variance=unit_variance)
        loss.backward()
        for found in (first, second):
            torch.testing.assert_close(found[unit_variance][0], loss.detach(), rtol=1e-9, atol=0)
        for number, leaf in enumerate(leaves, start=1):
            both = torch.cat([first[unit_variance][number], second[unit_variance][number]]) / 2
            torch.testing.assert_close(both, leaf.grad, rtol=1e-7, atol=1e-9)
    whole = standardize(random_samples(count=24)[0])
    both = torch.cat([first['standardized'], second['standardized']])
    torch.testing.assert_close(both, whole, rtol=1e-9, atol=1e-12)
