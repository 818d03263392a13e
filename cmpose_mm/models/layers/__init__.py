"""Layers that several methods use: plain torch, one concept per file."""

from .attention import SpatialAttention, TemporalAttention
from .stateless_random import draw_seeds, hash_rows, standard_normals
from .token_clustering import cluster_tokens, merge_tokens, restore_tokens
from .token_gathering import gather_tokens
from .token_selection import SELECTIONS, select_exclusive, select_union

__all__ = [
    'SELECTIONS',
    'SpatialAttention',
    'TemporalAttention',
    'cluster_tokens',
    'draw_seeds',
    'gather_tokens',
    'hash_rows',
    'merge_tokens',
    'restore_tokens',
    'select_exclusive',
    'select_union',
    'standard_normals',
]
