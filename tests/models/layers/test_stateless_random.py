import math

import pytest
import slow_cmpose
import torch

from cmpose_mm.models.layers.stateless_random import draw_seeds, hash_rows, standard_normals


def signed(bits):
    return bits - 2**64 if bits >= 2**63 else bits


@pytest.mark.parametrize('seed', [0, 1, 2**62 + 12345, 2**63 - 1])
def test_hash_is_splitmix64(seed):
    for stream in (0, 2):
        for row in (0, 1, 575):
            key = seed
            for counter in (0, stream, row):
                key = slow_cmpose.splitmix64(key, counter)
            got = hash_rows(torch.tensor([seed]), stream, torch.tensor([row]))
            assert got.tolist() == [[signed(key)]]


def test_known_output_of_splitmix64():
    # The first outputs of the published generator from state 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [slow_cmpose.splitmix64(1234567, i) for i in range(3)] == expected


@pytest.mark.parametrize('num_columns', [1, 6, 7])
def test_normals_match_box_muller_by_hand(num_columns):
    seeds = torch.tensor([3, 2**63 - 5])
    rows = torch.tensor([[0, 7], [4, 1]])
    got = standard_normals(seeds, 1, rows, num_columns)
    assert got.shape == (2, 2, num_columns)
    for b, seed in enumerate(seeds.tolist()):
        for m, row in enumerate(rows[b].tolist()):
            for c in range(num_columns):
                expected = slow_cmpose.standard_normal(seed, 1, row, c, num_columns)
                assert got[b, m, c].item() == pytest.approx(expected, abs=2e-6)


def test_hashes_of_one_clip_are_distinct_and_uniform():
    hashes = hash_rows(torch.tensor([11, 12]), 0, torch.arange(100_000))
    assert len(hashes.unique()) == hashes.numel()
    # 256 equal bins of the highest and of the lowest byte: chi-square with 255 degrees of freedom
    # has mean 255 and standard deviation 22.6.
    for clip in hashes:
        for byte in ((clip >> 56) & 255, clip & 255):
            counts = torch.bincount(byte, minlength=256).double()
            chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum().item()
            assert abs(chi_square - 255) < 5 * 22.6


def test_normals_have_the_moments_of_the_normal_distribution():
    values = standard_normals(torch.arange(4), 2, torch.arange(500), 500).double().flatten()
    count = values.numel()  # a million
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = abs((values**power).mean().item() - moment)
        assert error < 5 * math.sqrt(variance / count), power
    # Share beyond two standard deviations: 4.55 %.
    assert (values.abs() > 2).double().mean().item() == pytest.approx(0.0455, abs=0.0011)


@pytest.mark.parametrize(
    'other',
    [
        dict(seeds=torch.tensor([6])),
        dict(stream=1),
        dict(rows=torch.arange(1, 301)),
        dict(seeds=torch.tensor([5 + 2**32])),
    ],
    ids=['next seed', 'next stream', 'next rows', 'distant seed'],
)
def test_numbers_of_neighboring_counters_are_uncorrelated(other):
    base = dict(seeds=torch.tensor([5]), stream=0, rows=torch.arange(300))
    a = standard_normals(**base, num_columns=300).double().flatten()
    b = standard_normals(**{**base, **other}, num_columns=300).double().flatten()
    if 'rows' in other:  # the same numbers, one row on
        assert torch.equal(a[300:], b[:-300])
    assert abs((a * b).mean().item()) < 5 / math.sqrt(a.numel())
    # Neither do the two halves that share a hash: cosines and sines.
    pairs = a.view(300, 300)
    assert abs((pairs[:, :150] * pairs[:, 150:]).mean().item()) < 5 / math.sqrt(a.numel() / 2)


def test_a_clip_draws_the_same_numbers_in_any_batch():
    seeds = torch.tensor([9, 2**61, 0, 77])
    rows = torch.stack([torch.randperm(50)[:20] for _ in seeds])
    together = standard_normals(seeds, 0, rows, 10)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(standard_normals(seeds[order], 0, rows[order], 10), together[order])
    for b in range(4):
        alone = standard_normals(seeds[b : b + 1], 0, rows[b : b + 1], 10)
        assert torch.equal(alone, together[b : b + 1])


def test_drawn_seeds_follow_torch_generator():
    torch.manual_seed(4)
    first = draw_seeds(3, torch.device('cpu'))
    second = draw_seeds(3, torch.device('cpu'))
    torch.manual_seed(4)
    assert torch.equal(draw_seeds(3, torch.device('cpu')), first)
    assert not torch.equal(first, second)
    assert first.dtype == torch.int64 and (first >= 0).all()
