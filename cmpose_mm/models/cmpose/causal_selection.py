"""The place where `cmpose_mm.models.layers.token_selection` was."""

from cmpose_mm.old_names import old_names

_NAMES = ('select_exclusive', 'select_union', 'SELECTIONS')
__getattr__ = old_names(
    __name__, {name: f'cmpose_mm.models.layers.token_selection:{name}' for name in _NAMES}
)
