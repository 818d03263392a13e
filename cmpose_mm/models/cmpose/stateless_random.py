"""The place where `cmpose_mm.models.layers.stateless_random` was."""

from cmpose_mm.old_names import old_names

_NAMES = ('hash_rows', 'standard_normals', 'draw_seeds')
__getattr__ = old_names(
    __name__, {name: f'cmpose_mm.models.layers.stateless_random:{name}' for name in _NAMES}
)
