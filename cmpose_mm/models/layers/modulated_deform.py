"""Modulated deformable convolution whose offsets and weights come from another map.

Shapes: B clips, C channels, E channels of the condition, h x w cells, G offset groups.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TAPS = 9  # of a 3x3 kernel


def deform_torchvision(
    x: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, dilation: int
) -> Tensor:
    """Modulated deformable 3x3 convolution by torchvision's operator.

    Args:
        x: (B, C, h, w).
        offsets: (B, 18 G, h, w) in cells: for each group and each of the 9 taps, row by row, y and
            x of the displacement. Each group serves C / G neighboring channels.
        mask: (B, 9 G, h, w) weight of each tap.
        weight: (C_out, C, 3, 3).
        bias: (C_out,) or None.
        dilation: distance of the undisplaced taps, in cells.

    Returns:
        (B, C_out, h, w): y(p) = sum_k w_k m_k(p) x(p + p_k + o_k(p)), with bilinear interpolation
        and zeros outside of the map.

    Raises:
        ValueError: for displacements that are NaN, on a CPU. There the operator would read memory
            that is not its own, and end the process.
    """
    from torchvision.ops import deform_conv2d

    # While a graph is traced, no value is known.
    if offsets.device.type == 'cpu' and not _tracing() and offsets.isnan().any():
        raise ValueError(
            "deformable convolution by 'torchvision': displacements are NaN, expected numbers; the "
            'training has diverged'
        )
    return deform_conv2d(x, offsets, weight, bias, padding=dilation, dilation=dilation, mask=mask)


def deform_grid_sample(
    x: Tensor, offsets: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, dilation: int
) -> Tensor:
    """The same by ``grid_sample``, which every exporter knows.

    On a CPU it is faster: about three times forward, ten times backward; it keeps three times the
    memory for the backward pass. Arguments and result are those of `deform_torchvision`, but where
    a displacement is NaN or infinite, the result is NaN.
    """
    channels, height, width = x.shape[1:]
    groups = mask.shape[1] // _TAPS
    options = dict(device=x.device, dtype=offsets.dtype)
    taps = (torch.arange(3, **options) - 1) * dilation
    rows, columns = torch.arange(height, **options), torch.arange(width, **options)
    # Positions of the undisplaced taps, (9, h, w): tap 3 a + b lies at row a, column b.
    y = (taps[:, None, None, None] + rows[:, None]).expand(3, 3, height, width).flatten(0, 1)
    x_positions = taps[:, None, None] + columns
    x_positions = x_positions.expand(3, 3, height, width).flatten(0, 1)
    # With unflatten the ONNX export would fix the number of clips.
    offsets = offsets.reshape(-1, _TAPS, 2, height, width)  # (B G, 9, 2, h, w)
    grid = torch.stack(
        [
            (2 * (x_positions + offsets[:, :, 1]) + 1) / width - 1,
            (2 * (y + offsets[:, :, 0]) + 1) / height - 1,
        ],
        dim=-1,
    )
    sampled = F.grid_sample(
        x.reshape(-1, channels // groups, height, width),
        grid.flatten(1, 2),
        mode='bilinear',
        padding_mode='zeros',
        align_corners=False,
    )  # (B G, C / G, 9 h, w)
    sampled = sampled.reshape(-1, channels // groups, _TAPS, height * width)
    sampled = sampled * mask.reshape(-1, 1, _TAPS, height * width)
    out = weight.flatten(1) @ sampled.reshape(-1, channels * _TAPS, height * width)
    if bias is not None:
        out = out + bias[:, None]
    return out.reshape(-1, weight.shape[0], height, width)


DEFORM_BACKENDS = {'grid_sample': deform_grid_sample, 'torchvision': deform_torchvision}
"""Implementations of the deformable convolution; both compute the same, up to rounding."""


def check_backend(owner: str, backend: str) -> None:
    """Raises ValueError unless there is such a backend; ``owner`` is named in the message."""
    if backend not in DEFORM_BACKENDS:
        raise ValueError(
            f'{owner}: backend is {backend!r}, expected one of '
            f'{", ".join(map(repr, DEFORM_BACKENDS))}'
        )


def deform_conv(
    x: Tensor,
    offsets: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    dilation: int,
    backend: str = 'grid_sample',
) -> Tensor:
    """The convolution of `deform_torchvision` in float32, by a backend that works where it runs.

    It runs in float32 (float64 stays), even under autocast or with weights in half precision:
    positions in half precision are too coarse. While a model is exported, ``'torchvision'`` gives
    way to ``'grid_sample'``, so that the exported file needs no operator of torchvision.

    Args:
        backend: one of `DEFORM_BACKENDS`.
        others: see `deform_torchvision`.

    Returns:
        (B, C_out, h, w) float32 or float64.
    """
    deform = DEFORM_BACKENDS['grid_sample' if _exporting() else backend]
    with torch.autocast(x.device.type, enabled=False):
        x, offsets, mask = (
            tensor if tensor.dtype == torch.float64 else tensor.float()
            for tensor in (x, offsets, mask)
        )
        bias = None if bias is None else bias.to(x.dtype)
        return deform(x, offsets, mask, weight.to(x.dtype), bias, dilation)


def offset_groups(channels: int, what: str = 'ModulatedDeform: channels') -> int:
    """G for a number of channels: 12 (*code*), or 8 where 12 is not a divisor (*chosen*).

    Args:
        channels: C.
        what: whose channels they are, for the message.

    Raises:
        ValueError: if neither divides the channels.
    """
    for groups in (12, 8):
        if channels % groups == 0:
            return groups
    raise ValueError(f'{what} is {channels}, expected a multiple of 12 or of 8')


class ModulatedDeform(nn.Module):
    """3x3 convolution that reads x at displaced positions, which a second map decides.

    ::

        y(p) = b + sum_k w_k m_k(p) x(p + p_k + o_k(p))
        o = conv(cond), m = sigmoid(conv(cond)), 3x3 with a dilation of 3

    *Code* of TDMI: the sizes, and the dilation of 3 of the convolutions for o and m. *Chosen*: the
    sigmoid, and that both convolutions start at zero, so that the module starts as a plain
    convolution with half its weights. (The code has no sigmoid, and starts at random.)

    The convolution itself runs in float32, see `deform_conv`.

    Args:
        channels: C of input and output, a multiple of 12 or of 8, see `offset_groups`.
        cond_channels: E.
        dilation: distance of the undisplaced taps, in cells.
        backend: one of `DEFORM_BACKENDS`.

    Raises:
        ValueError: if the number of channels or the backend does not fit.
    """

    def __init__(
        self, channels: int, cond_channels: int, dilation: int = 1, backend: str = 'grid_sample'
    ):
        super().__init__()
        check_backend('ModulatedDeform', backend)
        self.dilation = dilation
        self.backend = backend
        groups = offset_groups(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.offsets = nn.Conv2d(cond_channels, 2 * _TAPS * groups, 3, padding=3, dilation=3)
        self.mask = nn.Conv2d(cond_channels, _TAPS * groups, 3, padding=3, dilation=3)
        for conv in (self.offsets, self.mask):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves x.

        Args:
            x: (B, C, h, w).
            cond: (B, E, h, w).

        Returns:
            The result (B, C, h, w), and the weights m (B, 9 G, h, w), between 0 and 1.
        """
        offsets, mask = self.offsets(cond), self.mask(cond).sigmoid()
        weight, bias = self.conv.weight, self.conv.bias
        out = deform_conv(x, offsets, mask, weight, bias, self.dilation, self.backend)
        return out.to(self.conv.weight.dtype), mask


class StillConv(nn.Module):
    """Plain 3x3 convolution with the interface of `ModulatedDeform`, for ablations.

    Args:
        channels: C of input and output.
        dilation: distance of the taps, in cells.
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, None]:
        """Convolves x (B, C, h, w); the condition is not used, and there are no weights."""
        return self.conv(x), None


def _tracing() -> bool:
    compiling = getattr(getattr(torch, 'compiler', None), 'is_compiling', None)  # since torch 2.3
    return torch.jit.is_tracing() or (compiling is not None and compiling())


def _exporting() -> bool:
    """Whether torch is exporting or compiling the model as a whole."""
    if torch.onnx.is_in_onnx_export():
        return True
    compiler = getattr(torch, 'compiler', None)
    for name in ('is_exporting', 'is_compiling'):  # since torch 2.7, 2.3
        if hasattr(compiler, name):
            return getattr(compiler, name)()
    return False
