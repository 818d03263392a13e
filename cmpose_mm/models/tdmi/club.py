"""An upper bound of mutual information by a second network.

Source: Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", ICML 2020.

Shapes: M samples on this process, C channels of both variables.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmpose_mm.models.layers import sum_over_processes


class ClubBound(nn.Module):
    """E[ln q(y|x)] - E_x E_y[ln q(y|x)] for a learned Gaussian q, in nats.

    q(y|x) has independent channels, with mean and variance from a network of two layers. For it,
    the expectation over all pairs of x and y depends only on means over the samples::

        bound = -1/2 sum_c [cov(y², 1 / v) - 2 cov(y, m / v)]

    with mean m(x) and variance v(x), so nothing is drawn at random (*chosen*). It bounds the
    information from above only as far as q is right.

    Args:
        channels: C.
        hidden: width of the network.
        noise: standard deviation below which q does not go, as the noise of `gaussian_mi`.
    """

    def __init__(self, channels: int, hidden: int = 128, noise: float = 0.1):
        super().__init__()
        self.noise = noise
        self.network = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 2 * channels)
        )

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The bound, and the loss that fits the network; computed in float32, even under autocast.

        Args:
            x, y: (M, C) samples.

        Returns:
            The bound in nats, over the samples of all processes, with gradients for x and y alone;
            and the negative log-likelihood of q, without its constant, divided by C, with gradients
            for the network alone.
        """
        with torch.autocast(x.device.type, enabled=False):
            if x.dtype != torch.float64:
                x, y = x.float(), y.float()
            fixed = {name: p.detach() for name, p in self.network.named_parameters()}
            mean, variance = self._split(torch.func.functional_call(self.network, fixed, (x,)))
            precision = 1 / variance
            ones = torch.ones_like(y[:, :1])
            values = [
                ones, y, y.square(), precision, mean * precision,
                y.square() * precision, y * mean * precision,
            ]  # fmt: skip
            sums = sum_over_processes(torch.cat(values, dim=1).sum(0))
            means = sums[1:] / sums[0]
            of_y, of_square, of_precision, of_ratio, first, second = means.chunk(6)
            bound = (
                -0.5 * ((first - of_square * of_precision) - 2 * (second - of_y * of_ratio)).sum()
            )
            mean, variance = self._split(self.network(x.detach()))
            fit = 0.5 * ((y.detach() - mean).square() / variance + variance.log()).mean()
        return bound, fit

    def _split(self, out: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = out.chunk(2, dim=1)
        return mean, F.softplus(raw) + self.noise**2
