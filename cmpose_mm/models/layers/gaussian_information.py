"""Mutual information of jointly Gaussian variables, in nats, from samples.

Shapes: M samples on this process; A, B, G channels of the variables x, y and the condition; C
channels in general.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .process_sums import num_processes, sum_over_processes

SAMPLES_PER_CHANNEL = 2
"""Least number of samples for each channel of a joint covariance (chosen).

For x and y of C channels each, 4 C samples. The estimate is too large by about A B / 2 N nats for N
samples.
"""
_SMALLEST_VARIANCE = 1e-6


def require_samples(
    num_samples: int, num_channels: int, what: str = 'gaussian_mi', remedy: str = 'more samples'
) -> int:
    """Checks that the samples of all processes suffice for a covariance.

    Args:
        num_samples: M of one process; all are assumed to have as many.
        num_channels: channels of the joint covariance.
        what: who needs them, for the message.
        remedy: what to change, for the message.

    Returns:
        The fewest samples that suffice, of one process.

    Raises:
        ValueError: if there are fewer than `SAMPLES_PER_CHANNEL` samples for each channel.
    """
    found, needed = num_samples * num_processes(), SAMPLES_PER_CHANNEL * num_channels
    if found < needed:
        raise ValueError(
            f'{what}: covariances of {num_channels} channels from {found} samples (cells of the '
            f'batch), expected at least {needed}: {remedy}'
        )
    return math.ceil(needed / num_processes())


def moments(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Number of samples and their mean over all processes, without gradient.

    Args:
        samples: (M, C).

    Returns:
        Scalar and (C,).
    """
    samples = samples.detach()
    sums = torch.cat([samples.new_full((1,), len(samples)), samples.sum(0)])
    sums = sum_over_processes(sums)
    return sums[0], sums[1:] / sums[0]


def covariance(samples: Tensor) -> Tensor:
    """Covariance over the samples of all processes, divided by their number.

    Args:
        samples: (M, C) float32 or float64.

    Returns:
        (C, C), the same on each process. For its gradients see `sum_over_processes`.
    """
    count, mean = moments(samples)
    # Without a gradient in the mean: the covariance's derivative by it is zero at the mean.
    centered = samples - mean
    return sum_over_processes(centered.T @ centered) / count


def standardize(samples: Tensor) -> Tensor:
    """Samples with mean 0 and variance 1 in each channel, over all processes; without gradient.

    Args:
        samples: (M, C) float32 or float64.

    Returns:
        (M, C); zeros in channels that are constant.
    """
    count, mean = moments(samples)
    centered = samples.detach() - mean
    variance = sum_over_processes(centered.square().sum(0)) / count
    return centered * (variance + _SMALLEST_VARIANCE).rsqrt()


def log_determinant(matrix: Tensor) -> Tensor:
    """Log-determinant of a symmetric positive definite matrix (C, C), by its Cholesky factor.

    Raises:
        ValueError: if it is none, as with values that are not finite.
    """
    try:
        factor = torch.linalg.cholesky(matrix)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            'mutual information: the covariance of the features has no Cholesky factor, expected '
            'finite features; the training has diverged'
        ) from error
    return 2 * factor.diagonal().log().sum()


def gaussian_mi(
    x: Tensor,
    y: Tensor,
    given: Tensor | None = None,
    noise: float = 0.1,
    unit_variance: bool = False,
) -> Tensor:
    """Mutual information I(x; y), or I(x; y | given), under the assumption that all are Gaussian.

    ::

        I(x; y)     = 1/2 [ln det S_x + ln det S_y - ln det S_xy]
        I(x; y | z) = 1/2 [ln det S_xz + ln det S_yz - ln det S_z - ln det S_xyz]

    with the covariances S of the samples, to which ``noise``² I is added: the information between
    noisy copies of the variables. It is finite even where y is a function of x, and is exact for
    Gaussian variables. For other variables it sees only linear dependence. Computed in float32 (or
    float64, if that is given), even under autocast. In a distributed training the samples of all
    processes count, and the result is the same on each of them, see `sum_over_processes`.

    Args:
        x: (M, A) samples, at least two for each channel of the joint covariance.
        y: (M, B), the same samples.
        given: (M, G), the condition; None for none.
        noise: standard deviation of the noise that is added to each channel.
        unit_variance: divide each channel by its standard deviation first (1e-6 is added to the
            variance, for channels that are constant). Unlike the division of
            the samples, this is right over several processes with gradients, too.

    Returns:
        Scalar, in nats; not negative, up to rounding.

    Raises:
        ValueError: if there are too few samples, see `require_samples`, or if they are not finite.

    Source: T. M. Cover and J. A. Thomas, "Elements of Information Theory", chapter 8.
    """
    with torch.autocast(x.device.type, enabled=False):
        parts = [x, y] if given is None else [x, y, given]
        if x.dtype != torch.float64:
            parts = [part.float() for part in parts]
        require_samples(len(x), sum(part.shape[1] for part in parts))
        matrix = covariance(torch.cat(parts, dim=1))
        if unit_variance:
            scale = (matrix.diagonal() + _SMALLEST_VARIANCE).rsqrt()
            matrix = matrix * scale * scale[:, None]
        matrix = matrix + noise**2 * torch.eye(len(matrix), dtype=matrix.dtype, device=x.device)
        channels = torch.arange(len(matrix), device=x.device)
        of_x, of_y, of_given = channels.tensor_split([x.shape[1], x.shape[1] + y.shape[1]])

        def log_det(*which: Tensor) -> Tensor:
            index = torch.cat(which)
            return log_determinant(matrix[index][:, index])

        information = log_det(of_x, of_given) + log_det(of_y, of_given) - log_det(channels)
        if given is not None:
            information = information - log_det(of_given)
        return information / 2
