"""The motion flow M^0 of JM-Pose: from differences of features, or from optical flow.

Shapes: B clips, T frames, C channels, h x w cells, H x W input pixels.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cmpose_mm.models.layers import ResidualChain, check_counts, resample

FLOW_NETWORKS = ('raft_small', 'raft_large')
IMAGE_MEAN, IMAGE_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_SMALLEST_INPUT = 128  # RAFT's four levels of correlations need 16 cells of 8 pixels


class _TwoSides(nn.Module):
    """What lies before and what lies behind the key frame, joined by a 3x3 convolution.

    A side without frames, as in causal clips, is left out (*chosen*).
    """

    def __init__(self, channels: int, num_frames: int, key_index: int):
        super().__init__()
        self.key_index = key_index
        self.counts = [key_index, num_frames - 1 - key_index]  # neighbors on each side
        num_sides = sum(count > 0 for count in self.counts)
        self.join = nn.Conv2d(num_sides * channels, channels, 3, padding=1)


class DifferenceMotion(_TwoSides):
    """M^l and M^r by ResidualChain_2 of each side's differences of features, then a convolution.

    *Paper*: motion flow of both sides. *Chosen*: differences of consecutive frames, as in a
    forerunner's code, which need no images. (The code uses optical flow, see `FlowMotion`.)

    Args:
        channels: C.
        num_frames, key_index: see `VideoMethod`.
    """

    def __init__(self, channels: int, num_frames: int, key_index: int):
        super().__init__(channels, num_frames, key_index)
        self.sides = nn.ModuleList(
            ResidualChain(count * channels, channels, 2) if count else nn.Identity()
            for count in self.counts
        )

    def forward(self, frames: Tensor) -> Tensor:
        """M^0 (B, C, h, w) of maps (B, T, C, h, w)."""
        differences = frames[:, 1:] - frames[:, :-1]
        parts = [differences[:, : self.key_index], differences[:, self.key_index :]]
        used = zip(self.sides, parts, self.counts)
        return self.join(torch.cat([side(p.flatten(1, 2)) for side, p, n in used if n], dim=1))


class FlowMotion(_TwoSides):
    """M^l and M^r from the optical flow between the key frame and the frames on each side.

    *Code*: RAFT, from the key frame to each neighbor, then two 3x3 convolutions of stride 2 and
    four residual blocks, for each side here. *Chosen*: torchvision's RAFT, frozen and in eval mode,
    on images that are not normalized (the code gives it normalized ones).

    It compiles in one graph; the export to ONNX and by torch.export is refused, since RAFT does not
    export for any number of clips.

    Args:
        channels: C.
        num_frames, key_index: see `VideoMethod`.
        weights: file with the weights of torchvision's RAFT, a state dict. Nothing is downloaded.
        network: one of `FLOW_NETWORKS`.
        num_updates: iterations of RAFT.
        mean, std: of the normalization of the images, RGB, in values from 0 to 255. The estimator
            compares them with those of ``model.data_preprocessor``.

    Raises:
        ValueError: if the network is unknown, or ``weights`` is no file of weights of this network.
    """

    def __init__(
        self,
        channels: int,
        num_frames: int,
        key_index: int,
        weights: str | None = None,
        network: str = 'raft_small',
        num_updates: int = 12,
        mean: Sequence[float] = IMAGE_MEAN,
        std: Sequence[float] = IMAGE_STD,
    ):
        super().__init__(channels, num_frames, key_index)
        check_counts('JMPose', **{'flow.num_updates': num_updates})
        self.num_updates = num_updates
        self.network = _flow_network(network, weights)
        self.normalization = list(mean), list(std)
        # RAFT expects values from -1 to 1.
        for name, values in (('mean', mean), ('std', std)):
            scaled = torch.tensor(values).view(3, 1, 1) / 127.5
            self.register_buffer(name, scaled, persistent=False)
        self.sides = nn.ModuleList(
            nn.Sequential(
                *_halving(2 * count, channels),
                *_halving(channels, channels),
                ResidualChain(channels, channels, 4),
            )
            if count
            else nn.Identity()
            for count in self.counts
        )

    def train(self, mode: bool = True) -> FlowMotion:
        """As in torch, but RAFT stays in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    @torch.no_grad()
    def flows(self, images: Tensor) -> Tensor:
        """Flow in pixels from the key frame to the other frames, (B, T - 1, 2, H, W): x, then y.

        Args:
            images: (B, T, 3, H, W) normalized RGB, H and W multiples of 8 and at least 128.

        Raises:
            ValueError: if the images have another size, or the weights are not in float32.
        """
        height, width = images.shape[-2:]
        if height % 8 or width % 8 or min(height, width) < _SMALLEST_INPUT:
            raise ValueError(
                f"JMPose: model.method.motion is 'flow' and the input is {width} x "
                f'{height} pixels; RAFT needs multiples of 8, at least {_SMALLEST_INPUT}'
            )
        dtype = next(self.network.parameters()).dtype
        if dtype != torch.float32:
            raise ValueError(
                f"JMPose: model.method.motion is 'flow' and the model's weights are {dtype}; "
                'RAFT works in torch.float32 alone (autocast, as in AmpOptimWrapper, leaves the '
                'weights so)'
            )
        with torch.autocast(images.device.type, enabled=False):
            images = images.float() * self.std + self.mean - 1
            others = [t for t in range(images.shape[1]) if t != self.key_index]
            key = images[:, self.key_index, None].expand(-1, len(others), -1, -1, -1)
            flow = self.network(
                key.flatten(0, 1), images[:, others].flatten(0, 1), self.num_updates
            )[-1]
            return flow.reshape(-1, len(others), 2, height, width)

    def forward(self, images: Tensor | None, size: tuple[int, int]) -> Tensor:
        """M^0 (B, C, h, w) on a grid of the given size (h, w).

        Args:
            images: see `flows`.
            size: cells along y and x.

        Raises:
            ValueError: if there are no images, or of a size that does not fit.
        """
        if images is None:
            raise ValueError(
                "JMPose: model.method.motion is 'flow', which needs the images of the clip; "
                "expected motion='difference' where only features are known"
            )
        flows = self.flows(images)
        parts = [flows[:, : self.key_index], flows[:, self.key_index :]]
        used = zip(self.sides, parts, self.counts)
        sides = [resample(side(part.flatten(1, 2)), size) for side, part, n in used if n]
        return self.join(torch.cat(sides, dim=1))


def check_flow(flow: object) -> None:
    """Checks that ``model.method.flow`` has arguments that `FlowMotion` knows.

    Raises:
        ValueError: if it is no dict, or has another key.
    """
    known = list(inspect.signature(FlowMotion).parameters)[3:]
    unknown = [repr(flow)]
    if isinstance(flow, dict):
        unknown = [str(key) for key in flow if key not in known]
    if unknown:
        raise ValueError(
            f'JMPose: model.method.flow has {", ".join(unknown)}, expected a dict with some of '
            f'{", ".join(known)}'
        )


def _halving(in_channels: int, channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]


def _flow_network(name: str, weights: str | None) -> nn.Module:
    """Torchvision's RAFT with weights from a file, frozen."""
    if name not in FLOW_NETWORKS:
        raise ValueError(
            f'JMPose: model.method.flow.network is {name!r}, expected one of '
            f'{", ".join(FLOW_NETWORKS)}'
        )
    if not isinstance(weights, (str, Path)) or not Path(weights).is_file():
        raise ValueError(
            f"JMPose: model.method.motion is 'flow' and model.method.flow.weights is {weights!r}, "
            f"expected a file with the weights of torchvision's {name} (its documentation names "
            'the address); nothing is downloaded'
        )
    from torchvision.models import optical_flow

    network = getattr(optical_flow, name)(weights=None)
    try:
        network.load_state_dict(torch.load(weights, map_location='cpu', weights_only=True))
    except OSError:
        raise
    except Exception as error:  # of many kinds, by what torch takes the file's first bytes for
        raise ValueError(
            f"{weights}: not the weights of torchvision's {name} (model.method.flow.weights)"
        ) from error
    return network.requires_grad_(False)
