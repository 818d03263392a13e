"""The auxiliary tasks of CM-Pose: reconstruct masked tokens, denoise noisy ones.

Shapes: B clips, T frames, N tokens a frame, D token width, M corrupted tokens of a clip.
"""

from __future__ import annotations

from numbers import Real

from torch import Tensor, nn

from cmpose_mm.models.layers import check_flags, check_not_negative, draw_seeds, gather_tokens

from .token_corruption import CorruptedTokens, mask_tokens, noise_tokens

_MIN_SQUARE = 1e-12  # of tokens that are all zero, whose root has no gradient


def with_fixed_scale(tokens: Tensor) -> Tensor:
    """The same tokens, but no gradient through them changes their root mean square in a clip.

    They are divided by it and multiplied with it, detached: a gradient g of a clip's tokens x, as
    vectors, becomes g - x (g x) / (x x).

    Args:
        tokens: (B, T, N, D).
    """
    size = (tokens.float().square().mean(dim=(1, 2, 3), keepdim=True) + _MIN_SQUARE).sqrt()
    return tokens * (size.detach() / size).to(tokens.dtype)


def reconstruction_loss(restored: Tensor, target: Tensor, divide_by_width: bool = True) -> Tensor:
    """Mean squared L2 distance of the corrupted tokens to the clean ones (eq. 2 and 3).

    Computed in float32. Every clip has the same number of corrupted tokens, so the mean over a
    batch is the mean over its parts, however it is split over processes.

    Args:
        restored: (B, M, D) corrupted tokens after the shared network.
        target: (B, M, D) the same tokens, clean.
        divide_by_width: divide the distances by D.

    Returns:
        Scalar.
    """
    squared = (restored.float() - target.float()).square()
    return squared.mean() if divide_by_width else squared.sum(-1).mean()


class AuxReconLoss(nn.Module):
    """Corrupts clean tokens and scores how well the shared network restores them (eq. 1-3, 14).

    It has no parameters: models with and without it have the same weights and the same inference.
    Chosen here, since the paper leaves it open: noise of half the clip's standard deviation,
    distances divided by D, a detached target (otherwise the backbone can satisfy the loss by making
    all features equal), and the weight, found by a search on rendered videos (docs/evidence.md).

    Args:
        mask_ratio: share of the tokens that the masking task sets to zero; 0 turns the task off.
        noise_ratio: share of the tokens that the denoising task adds noise to; 0 turns it off.
        noise_std: standard deviation of the noise, relative to that of the clip's tokens.
        loss_weight: lambda of eq. 14, applied to both losses.
        divide_by_width: divide squared distances by D; False is the literal sum of eq. 2 and 3.
        detach_target: no gradient flows into the clean tokens when they serve as targets.
        detach_input: no gradient flows from the tasks into the clean tokens that are corrupted,
            and so, with ``detach_target``, none into the backbone: the tasks train the shared
            network alone. Where a backbone without a norm at its end (as ResNet) learns from the
            tasks, its features grow in long trainings until the tasks' losses are all that counts
            (docs/evidence.md). The backbones of the ViT configs have a norm there.
        detach_scale: the tasks do not change the size of the features, the root mean square of a
            clip's tokens: their gradient is projected, see `with_fixed_scale`. Values are the same.
            Chosen against that growth, which it stops.

    Raises:
        ValueError: if a ratio is outside [0, 1] or both are 0, ``noise_std`` or ``loss_weight``
            is below 0 or not finite, a flag is no bool, or ``detach_scale`` has nothing to change.
    """

    def __init__(
        self,
        mask_ratio: float = 0.45,
        noise_ratio: float = 0.45,
        noise_std: float = 0.5,
        loss_weight: float = 0.1,
        divide_by_width: bool = True,
        detach_target: bool = True,
        detach_input: bool = False,
        detach_scale: bool = False,
    ):
        super().__init__()
        for name, ratio in (('mask_ratio', mask_ratio), ('noise_ratio', noise_ratio)):
            if not isinstance(ratio, Real) or not 0 <= ratio <= 1:
                raise ValueError(f'AuxReconLoss: {name} is {ratio!r}, expected a number in [0, 1]')
        if mask_ratio == noise_ratio == 0:
            raise ValueError(
                'AuxReconLoss: mask_ratio and noise_ratio are both 0; set aux=None for no tasks'
            )
        sizes = {'aux.noise_std': noise_std, 'aux.loss_weight': loss_weight}
        check_not_negative('AuxReconLoss', **sizes)
        flags = dict(
            divide_by_width=divide_by_width,
            detach_target=detach_target,
            detach_input=detach_input,
            detach_scale=detach_scale,
        )
        check_flags('AuxReconLoss', **{f'aux.{name}': value for name, value in flags.items()})
        if detach_scale and detach_input and detach_target:
            raise ValueError(
                'AuxReconLoss: aux.detach_scale has nothing to change, as with aux.detach_input '
                'and aux.detach_target no gradient of the tasks reaches the features; expected '
                'detach_input=False with it'
            )
        self.mask_ratio = mask_ratio
        self.noise_ratio = noise_ratio
        self.noise_std = noise_std
        self.loss_weight = loss_weight
        self.divide_by_width = divide_by_width
        self.detach_target = detach_target
        self.detach_input = detach_input
        self.detach_scale = detach_scale

    def corrupt(self, tokens: Tensor, clip_seeds: Tensor | None) -> dict[str, CorruptedTokens]:
        """The inputs of the active tasks, by the name of their loss.

        Args:
            tokens: (B, T, N, D) clean tokens.
            clip_seeds: (B,) int64; None draws seeds from torch's global generator.
        """
        if self.detach_input:
            tokens = tokens.detach()
        elif self.detach_scale:
            tokens = with_fixed_scale(tokens)
        if clip_seeds is None:
            clip_seeds = draw_seeds(len(tokens), tokens.device)
        corrupted = {}
        if self.mask_ratio > 0:
            corrupted['loss_mask'] = mask_tokens(tokens, clip_seeds, self.mask_ratio)
        if self.noise_ratio > 0:
            corrupted['loss_denoise'] = noise_tokens(
                tokens, clip_seeds, self.noise_ratio, self.noise_std
            )
        return corrupted

    def forward(self, restored: Tensor, tokens: Tensor, indices: Tensor) -> Tensor:
        """The weighted loss of one task.

        Args:
            restored: (B, M, D) its corrupted tokens after the shared network.
            tokens: (B, T, N, D) clean tokens.
            indices: (B, M) int64 indices t * N + cell of the corrupted tokens.
        """
        if self.detach_target:
            tokens = tokens.detach()
        elif self.detach_scale:
            tokens = with_fixed_scale(tokens)
        target = gather_tokens(tokens, indices)
        return self.loss_weight * reconstruction_loss(restored, target, self.divide_by_width)
