"""The place where `cmpose_mm.models.layers.token_clustering` was."""

from cmpose_mm.old_names import old_names

_NAMES = (
    'pairwise_squared_distances', 'log_density', 'separation', 'cluster_tokens', 'merge_tokens',
    'restore_tokens',
)  # fmt: skip
__getattr__ = old_names(
    __name__, {name: f'cmpose_mm.models.layers.token_clustering:{name}' for name in _NAMES}
)
