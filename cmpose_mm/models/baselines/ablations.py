"""The baselines as variants of any method's config."""

from __future__ import annotations

from mmengine import Config

from cmpose_mm.ablation.variants import Overrides, Variant

CLIP_LENGTHS: Overrides = {
    f'{loader}_dataloader.dataset.num_frames': None for loader in ('train', 'val', 'test')
}
"""Makes clips as long as the method expects, whatever the config says."""


def single_frame(config: Config) -> Overrides:
    """The single-frame model on the same samples; its training steps take less time."""
    return {**CLIP_LENGTHS, 'model.method': dict(_delete_=True, type='KeyFrameOnly')}


def averaged_heatmaps(config: Config) -> Overrides:
    """The single-frame model, tested with the heatmaps averaged over the clip's frames."""
    num_frames = config.model.method.num_frames
    return {
        **CLIP_LENGTHS,
        'model.method': dict(_delete_=True, type='StackedFrames', num_frames=num_frames),
        'model.head.type': 'HeatmapAverageHead',
    }


def concatenation(kernel_size: int) -> Variant:
    """One convolution over the concatenated frames."""

    def overrides(config: Config) -> Overrides:
        method = config.model.method
        width = method.get('embed_dims', config.model.head.in_channels)
        sizes = dict(embed_dims=width, num_frames=method.num_frames)
        method = dict(_delete_=True, type='FrameConcat', kernel_size=kernel_size, **sizes)
        return {'model.method': method}

    return overrides
