import math

import pytest
import slow_cmpose
import torch

from cmpose_mm.models.cmpose.aux_recon_loss import (
    AuxReconLoss,
    reconstruction_loss,
    with_fixed_scale,
)
from cmpose_mm.models.cmpose.token_corruption import (
    choose_tokens,
    mask_tokens,
    noise_tokens,
)
from cmpose_mm.models.layers import gather_tokens

SEEDS = torch.tensor([4, 2**62, 5])


def clip_tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def corrupted_flags(corrupted):
    """(B, T * N) bool, where a token differs: the complement of eq. 1's flags."""
    batch, frames, cells, _ = corrupted.tokens.shape
    flags = torch.zeros(batch, frames * cells, dtype=torch.bool)
    return flags.scatter(1, corrupted.indices, True)


def test_a_small_ratio_corrupts_one_token():
    """None would leave nothing to restore, and a loss that is not a number."""
    tokens = torch.randn(3, 3, 13, 8)
    losses = AuxReconLoss(mask_ratio=0.003, noise_ratio=0.003)
    for task in losses.corrupt(tokens, SEEDS).values():
        assert task.indices.shape == (3, 1)


@pytest.mark.parametrize('ratio', [0.05, 0.3, 0.45, 0.5, 0.999, 1.0])
@pytest.mark.parametrize('corrupt', [mask_tokens, lambda *a: noise_tokens(*a, 0.5)])
def test_exact_count_and_the_rest_untouched(ratio, corrupt):
    tokens = clip_tokens(3, 3, 13, 4)
    corrupted = corrupt(tokens, SEEDS, ratio)
    changed = (corrupted.tokens != tokens).any(-1).flatten(1)
    assert corrupted.tokens.shape == tokens.shape
    assert changed.sum(1).tolist() == [round(3 * 13 * ratio)] * 3
    assert torch.equal(changed, corrupted_flags(corrupted))
    assert torch.equal(corrupted.tokens.flatten(1, 2)[~changed], tokens.flatten(1, 2)[~changed])


def test_masked_tokens_are_zero():
    corrupted = mask_tokens(clip_tokens(3, 3, 13, 4), SEEDS, 0.45)
    assert (corrupted.tokens.flatten(1, 2)[corrupted_flags(corrupted)] == 0).all()


def test_noise_is_that_of_the_hash_scaled_by_the_clips_deviation():
    tokens = clip_tokens(2, 3, 5, 6) * torch.tensor([1.0, 10.0])[:, None, None, None]
    corrupted = noise_tokens(tokens, SEEDS[:2], 0.4, relative_std=0.5)
    noise = (corrupted.tokens - tokens).flatten(1, 2)
    for b in range(2):
        values = tokens[b].flatten().tolist()
        mean = sum(values) / len(values)
        std = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        for index in corrupted.indices[b].tolist():
            for channel in range(6):
                normal = slow_cmpose.standard_normal(int(SEEDS[b]), 2, index, channel, 6)
                assert noise[b, index, channel].item() == pytest.approx(
                    0.5 * std * normal, abs=1e-5 * std
                )


def test_every_token_is_chosen_equally_often():
    chosen = choose_tokens(torch.arange(4000), 0, 40, 0.45)
    assert all(len(set(row)) == 18 for row in chosen[:100].tolist())
    counts = torch.bincount(chosen.flatten(), minlength=40)
    # Binomial(4000, 0.45): standard deviation 31.5.
    assert (counts - 1800).abs().max() < 5 * 31.5
    # Two given tokens are chosen together as often as without repetition they should be.
    both = ((chosen == 3).any(1) & (chosen == 4).any(1)).double().mean().item()
    assert both == pytest.approx(18 * 17 / (40 * 39), abs=5 * math.sqrt(0.196 * 0.804 / 4000))


def test_masks_and_noise_choose_independently():
    tokens = clip_tokens(1, 3, 64, 2).expand(200, -1, -1, -1)
    seeds = torch.arange(200)
    masked = corrupted_flags(mask_tokens(tokens, seeds, 0.5))
    noised = corrupted_flags(noise_tokens(tokens, seeds, 0.5, 0.5))
    overlap = (masked & noised).double().mean().item()
    assert overlap == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize('corrupt', [mask_tokens, lambda *a: noise_tokens(*a, 0.5)])
def test_a_clip_is_corrupted_alike_in_any_batch(corrupt):
    tokens = clip_tokens(3, 3, 13, 4)
    together = corrupt(tokens, SEEDS, 0.45)
    order = torch.tensor([2, 0, 1])
    permuted = corrupt(tokens[order], SEEDS[order], 0.45)
    assert torch.equal(permuted.tokens, together.tokens[order])
    for b in range(3):
        alone = corrupt(tokens[b : b + 1], SEEDS[b : b + 1], 0.45)
        assert torch.equal(alone.tokens, together.tokens[b : b + 1])
        assert torch.equal(alone.indices, together.indices[b : b + 1])
    other = corrupt(tokens, SEEDS + 1, 0.45)
    assert not torch.equal(other.indices, together.indices)


def test_noise_carries_no_gradient_of_its_size_and_masks_cut_the_gradient():
    tokens = clip_tokens(3, 3, 13, 4).requires_grad_()
    noise_tokens(tokens, SEEDS, 0.45, 0.5).tokens.sum().backward()
    assert torch.equal(tokens.grad, torch.ones_like(tokens))
    tokens.grad = None
    corrupted = mask_tokens(tokens, SEEDS, 0.45)
    corrupted.tokens.sum().backward()
    visible = ~corrupted_flags(corrupted).view(3, 3, 13)
    assert torch.equal(tokens.grad, visible[..., None].expand_as(tokens).float())


def test_gathered_tokens_are_those_of_the_indices():
    tokens = clip_tokens(2, 3, 5, 4)
    indices = choose_tokens(SEEDS[:2], 0, 15, 0.45)
    gathered = gather_tokens(tokens, indices)
    for b in range(2):
        for row, index in enumerate(indices[b].tolist()):
            assert torch.equal(gathered[b, row], tokens[b, index // 5, index % 5])


@pytest.mark.parametrize('divide_by_width', [True, False])
def test_loss_matches_loops(divide_by_width):
    target, reconstructed = clip_tokens(2, 2, 3, 5, 4)
    indices = mask_tokens(target, SEEDS[:2], 0.45).indices
    aux = AuxReconLoss(loss_weight=1.0, divide_by_width=divide_by_width)
    got = aux(gather_tokens(reconstructed, indices), target, indices)
    expected = slow_cmpose.reconstruction_loss(
        reconstructed.double().numpy(), target.double().numpy(), indices, divide_by_width
    )
    assert got.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    """Distances above 256 have squares that half precision does not hold."""
    target, restored = (400 * clip_tokens(2, 2, 40, 8)).to(dtype)
    found = reconstruction_loss(restored, target)
    assert torch.equal(found, reconstruction_loss(restored.float(), target.float()))
    assert found.dtype == torch.float32 and found.isfinite() and found > 256**2
    tokens = (300 * clip_tokens(2, 3, 13, 8)).to(dtype)
    noised = noise_tokens(tokens, SEEDS[:2], 0.4, 0.5)
    expected = noise_tokens(tokens.float(), SEEDS[:2], 0.4, 0.5)
    flat, index = tokens.flatten(1, 2), noised.indices[..., None].expand(-1, -1, 8)
    noise = (expected.tokens - tokens.float()).flatten(1, 2).gather(1, index).to(dtype)
    assert torch.equal(noised.tokens.flatten(1, 2), flat.scatter_add(1, index, noise))


def gradients_of_the_tasks(features, mixing, **options):
    """Losses of both tasks, and their gradients, through a network that is not linear."""
    features = features.clone().requires_grad_()
    aux = AuxReconLoss(loss_weight=1.0, **options)
    losses = {}
    for name, task in aux.corrupt(features, SEEDS[:2]).items():
        restored = task.tokens.flatten(1, 2) + torch.tanh(mixing @ task.tokens.flatten(1, 2))
        rows = task.indices[..., None].expand(-1, -1, features.shape[3])
        losses[name] = aux(restored.gather(1, rows), features, task.indices)
    found = {}
    for name, loss in losses.items():
        (found[name],) = torch.autograd.grad(loss, features, retain_graph=True)
    return losses, found


@pytest.mark.parametrize('detach_target', [True, False])
@pytest.mark.parametrize('scale', [0.1, 1.0])
def test_tasks_do_not_change_the_scale(scale, detach_target):
    """The gradient without its part along the clip, number by number; values are the same."""
    features = scale * (clip_tokens(2, 3, 5, 4) + 0.5)
    mixing = clip_tokens(15, 15)
    options = dict(detach_target=detach_target)
    plain, gradients = gradients_of_the_tasks(features, mixing, **options)
    losses, projected = gradients_of_the_tasks(features, mixing, **options, detach_scale=True)
    for name, gradient in gradients.items():
        assert torch.equal(losses[name], plain[name])
        for b in range(2):
            x, g = (values[b].double().flatten().tolist() for values in (features, gradient))
            along = sum(u * v for u, v in zip(x, g)) / sum(u * u for u in x)
            expected = torch.tensor([v - along * u for u, v in zip(x, g)])
            size = max(map(abs, g))
            found = projected[name][b].flatten()
            torch.testing.assert_close(found / size, expected.float() / size, atol=1e-5, rtol=0)
            assert abs(along) * max(map(abs, x)) > 1e-2 * size  # there was something to take away


def test_tokens_that_are_zero_have_a_gradient():
    tokens = torch.zeros(2, 3, 5, 4, requires_grad=True)
    with_fixed_scale(tokens).sum().backward()
    assert torch.equal(tokens.grad, torch.ones_like(tokens))


def test_loss_of_a_batch_is_the_mean_over_its_parts():
    target, restored = clip_tokens(2, 4, 7, 4)
    whole = reconstruction_loss(restored, target)
    parts = [
        reconstruction_loss(restored[part], target[part]) for part in (slice(0, 2), slice(2, 4))
    ]
    torch.testing.assert_close(whole, sum(parts) / 2)


@pytest.mark.parametrize('detach', [True, False])
def test_target_gradient(detach):
    target, restored = clip_tokens(2, 3, 5, 4), 1 - clip_tokens(2, 7, 4)
    target.requires_grad_()
    restored.requires_grad_()
    indices = choose_tokens(SEEDS[:2], 0, 15, 0.45)
    AuxReconLoss(detach_target=detach)(restored, target, indices).backward()
    assert (restored.grad != 0).all()
    if detach:
        assert target.grad is None
    else:
        corrupted = torch.zeros(2, 15, dtype=torch.bool).scatter(1, indices, True).view(2, 3, 5)
        assert torch.equal(target.grad.abs().sum(-1) > 0, corrupted)
        assert torch.equal(gather_tokens(target.grad, indices), -restored.grad)


@pytest.mark.parametrize('detach', [True, False])
def test_input_gradient(detach):
    """Through the tokens that are corrupted, without those that are masked."""
    tokens = clip_tokens(2, 3, 5, 4).requires_grad_()
    aux = AuxReconLoss(detach_input=detach)
    tasks = aux.corrupt(tokens, SEEDS[:2])
    values = sum(task.tokens.square().sum() for task in tasks.values())
    assert values.requires_grad != detach
    if not detach:
        values.backward()
        masked = torch.zeros(2, 15, dtype=torch.bool)
        masked = masked.scatter(1, tasks['loss_mask'].indices, True).view(2, 3, 5)
        noised = 2 * tasks['loss_denoise'].tokens.detach()
        expected = noised + 2 * tokens.detach() * ~masked.unsqueeze(-1)
        torch.testing.assert_close(tokens.grad, expected)
    with torch.no_grad():
        for name, task in AuxReconLoss().corrupt(tokens, SEEDS[:2]).items():
            assert torch.equal(task.tokens, tasks[name].tokens), name


def test_tasks_and_weight():
    tokens = clip_tokens(3, 3, 13, 4)
    both = AuxReconLoss(mask_ratio=0.2, noise_ratio=0.4, loss_weight=0.25)
    tasks = both.corrupt(tokens, SEEDS)
    assert {name: task.indices.shape[1] for name, task in tasks.items()} == {
        'loss_mask': 8,
        'loss_denoise': 16,
    }
    assert list(AuxReconLoss(noise_ratio=0.0).corrupt(tokens, SEEDS)) == ['loss_mask']
    assert list(AuxReconLoss(mask_ratio=0.0).corrupt(tokens, SEEDS)) == ['loss_denoise']
    indices = tasks['loss_mask'].indices
    zeros, target = torch.zeros(3, 8, 4), gather_tokens(tokens, indices)
    assert both(zeros, tokens, indices) == 0.25 * reconstruction_loss(zeros, target)
    assert not list(both.parameters()) and not list(both.buffers())


def test_without_seeds_the_tasks_draw_anew_and_follow_torch_generator():
    tokens, aux = clip_tokens(3, 3, 13, 4), AuxReconLoss()
    torch.manual_seed(0)
    first, second = (aux.corrupt(tokens, None)['loss_mask'].indices for _ in range(2))
    torch.manual_seed(0)
    assert torch.equal(aux.corrupt(tokens, None)['loss_mask'].indices, first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(mask_ratio=1.2), r'mask_ratio is 1.2, expected a number in \[0, 1\]'),
        (dict(noise_ratio=-0.1), r'noise_ratio is -0.1, expected a number in \[0, 1\]'),
        (dict(mask_ratio='0.4'), r"mask_ratio is '0.4', expected a number in \[0, 1\]"),
        (dict(noise_ratio=None), r'noise_ratio is None, expected a number in \[0, 1\]'),
        (dict(mask_ratio=0, noise_ratio=0), 'both 0; set aux=None'),
    ],
)
def test_bad_ratios(arguments, message):
    with pytest.raises(ValueError, match=message):
        AuxReconLoss(**arguments)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(detach_input='no'), "aux.detach_input is 'no', expected True or False"),
        (dict(divide_by_width=1), 'aux.divide_by_width is 1, expected True or False'),
        (dict(detach_input=True, detach_scale=True), 'detach_scale has nothing to change, as wi'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AuxReconLoss(**arguments)
    AuxReconLoss(detach_input=True, detach_scale=True, detach_target=False)
