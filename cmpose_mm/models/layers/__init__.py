"""Layers that several methods use: plain torch, one concept per file."""

from .arguments import (
    check_choices,
    check_counts,
    check_flags,
    check_heads,
    check_lists,
    check_not_negative,
    check_positive,
)
from .attention import NeighborhoodAttention, SpatialAttention, TemporalAttention
from .feed_forward import FeedForward
from .gaussian_information import gaussian_mi, require_samples, standardize
from .key_aggregation import KeyAggregation
from .keypoint_similarity import keypoint_similarity
from .label_heatmaps import draw_heatmaps, heat_of_cells, inside_crop
from .missing_frames import key_for_missing
from .modulated_deform import (
    DEFORM_BACKENDS,
    ModulatedDeform,
    StillConv,
    deform_conv,
    offset_groups,
)
from .position import sine_cosine_position
from .prediction_divergence import prediction_kl
from .process_sums import num_processes, sum_over_processes
from .residual_chain import ResidualChain
from .sampled_attention import sampled_attention
from .stage_maps import (
    StageMaps,
    cell_lengths,
    check_heatmaps,
    check_maps,
    check_width,
    need_heatmaps,
    resample,
)
from .stateless_random import draw_seeds, hash_rows, standard_normals
from .token_clustering import cluster_tokens, merge_tokens, restore_tokens
from .token_gathering import gather_tokens, put_tokens
from .token_selection import SELECTIONS, select_at_random, select_exclusive, select_union
from .transformer_layer import TransformerLayer

__all__ = [
    'DEFORM_BACKENDS',
    'SELECTIONS',
    'FeedForward',
    'KeyAggregation',
    'ModulatedDeform',
    'NeighborhoodAttention',
    'ResidualChain',
    'SpatialAttention',
    'StageMaps',
    'StillConv',
    'TemporalAttention',
    'TransformerLayer',
    'cell_lengths',
    'check_choices',
    'check_counts',
    'check_flags',
    'check_heads',
    'check_heatmaps',
    'check_lists',
    'check_maps',
    'check_not_negative',
    'check_positive',
    'check_width',
    'cluster_tokens',
    'deform_conv',
    'draw_heatmaps',
    'draw_seeds',
    'gather_tokens',
    'gaussian_mi',
    'hash_rows',
    'heat_of_cells',
    'inside_crop',
    'key_for_missing',
    'keypoint_similarity',
    'merge_tokens',
    'need_heatmaps',
    'num_processes',
    'offset_groups',
    'prediction_kl',
    'put_tokens',
    'require_samples',
    'resample',
    'restore_tokens',
    'sampled_attention',
    'select_at_random',
    'select_exclusive',
    'select_union',
    'sine_cosine_position',
    'standard_normals',
    'standardize',
    'sum_over_processes',
]
