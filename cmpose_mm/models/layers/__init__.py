"""Layers that several methods use: plain torch, one concept per file."""

from .arguments import check_choices, check_not_negative, check_positive
from .attention import SpatialAttention, TemporalAttention
from .gaussian_information import gaussian_mi, require_samples, standardize
from .key_aggregation import KeyAggregation
from .label_heatmaps import draw_heatmaps
from .modulated_deform import (
    DEFORM_BACKENDS,
    ModulatedDeform,
    StillConv,
    deform_conv,
    offset_groups,
)
from .prediction_divergence import prediction_kl
from .process_sums import num_processes, sum_over_processes
from .residual_chain import ResidualChain
from .stage_maps import StageMaps, cell_lengths, check_maps, resample
from .stateless_random import draw_seeds, hash_rows, standard_normals
from .token_clustering import cluster_tokens, merge_tokens, restore_tokens
from .token_gathering import gather_tokens
from .token_selection import SELECTIONS, select_exclusive, select_union

__all__ = [
    'DEFORM_BACKENDS',
    'SELECTIONS',
    'KeyAggregation',
    'ModulatedDeform',
    'ResidualChain',
    'SpatialAttention',
    'StageMaps',
    'StillConv',
    'TemporalAttention',
    'cell_lengths',
    'check_choices',
    'check_maps',
    'check_not_negative',
    'check_positive',
    'cluster_tokens',
    'deform_conv',
    'draw_heatmaps',
    'draw_seeds',
    'gather_tokens',
    'gaussian_mi',
    'hash_rows',
    'merge_tokens',
    'num_processes',
    'offset_groups',
    'prediction_kl',
    'require_samples',
    'resample',
    'restore_tokens',
    'select_exclusive',
    'select_union',
    'standard_normals',
    'standardize',
    'sum_over_processes',
]
